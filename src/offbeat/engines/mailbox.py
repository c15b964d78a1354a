"""Sockets between the ranks of a gang in different processes: pushes that never block, and nothing unpickled.

Each rank pulls from one socket and pushes through one socket a peer. Connections are encrypted and authenticated by
keys that are made for the run and handed out by the engine (CurveZMQ, rfc.zeromq.org/spec/26): only peers are heard.
Messages may be lost, when a peer is gone or slow; the contributions of solvers are said again by nature.
"""

from __future__ import annotations

import ipaddress
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import zmq

from offbeat.engines.addresses import one_address
from offbeat.engines.doorkeeper import TIMEOUT, Doorkeeper
from offbeat.engines.frames import HEADER_BYTES, FrameError, pack, unpack
from offbeat.sideways.messages import Message

HIGH_WATER = 10  # messages that may wait for a peer, and from a peer
AT_ONCE = 1000  # messages that one poll takes in, so that it ends whatever the others send
OVERHEAD = 64  # bytes that encryption adds to a frame, at most
KEY_BYTES = 40  # of a public key, in the letters of Z85
HANDSHAKE = 1024  # bytes that frames of a handshake need, at most
RECONNECT, LONGEST_RECONNECT = 50, 1000  # milliseconds to the first attempt to reach a peer again, and between attempts


class Peer(NamedTuple):
    """Where a rank is heard, and what proves that it is that rank."""

    address: str
    public_key: bytes | None = None


class Mailbox:
    """What one rank sends and receives with.

    `push`, `poll`, `wait` and `close` are for one thread at a time; `connect`, `forget` and `wake` for any.

    Parameters
    ----------
    rank : int
    run : bytes
        16 random bytes: messages of other runs are rejected.
    host : str
        Address of this machine to be heard at; never all of them at once.
    longest : int
        Bytes of the longest payload of the run: more is neither sent nor received.
    secure : bool
        Encrypt, and accept known peers only. Without, anybody who can reach the port and knows the run's id is heard.

    Attributes
    ----------
    address : str
        ``"tcp://host:port"``, the port chosen by the system.
    public_key : bytes or None
    dropped : int
        Messages that were not sent, to ranks that are unknown, gone or slow.
    rejected : int
        Messages that came in and did not fit.

    Raises
    ------
    ValueError
        The host is no single address.
    OSError
        The address is not this machine's.

    Examples
    --------
    >>> import numpy as np
    >>> with Mailbox(0, bytes(16), "127.0.0.1", 800) as one, Mailbox(1, bytes(16), "127.0.0.1", 800) as other:
    ...     one.connect({1: other.peer})
    ...     other.connect({0: one.peer})
    ...     one.push(Message(0, 0, 0, 0, 1, "step", np.ones(3)), to=[1])
    ...     (other.wait(30.0), other.poll()[0].payload)
    (True, array([1., 1., 1.]))
    """

    def __init__(self, rank: int, run: bytes, host: str, longest: int, secure: bool = True) -> None:
        self.rank, self.run, self.longest, self.secure = rank, run, longest, secure
        self.dropped = self.rejected = 0
        self.public_key: bytes | None = None
        self._secret: bytes | None = None
        if secure:
            self.public_key, self._secret = zmq.curve_keypair()
        self._lock = threading.RLock()  # of what `connect` changes
        self._peers: dict[int, Peer] = {}
        self._pushes: dict[int, zmq.Socket[bytes]] = {}
        self._inbox: deque[Message] = deque()
        self._closed = False
        place = one_address(host)
        self._bell, self._button = socket.socketpair()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.ipv6 = place.version == 6
        self._context.handshake_ivl = int(1e3 * TIMEOUT)
        self._door = Doorkeeper(self._context, f"offbeat_door_{rank}") if secure else None
        self._pull = self._context.socket(zmq.PULL)
        self._poller = zmq.Poller()
        try:
            self.address = self._listen(place)
        except BaseException:
            self.close()
            raise

    def _listen(self, place: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        pull = self._pull
        pull.linger, pull.rcvhwm = 0, HIGH_WATER
        pull.maxmsgsize = max(self.longest, HEADER_BYTES, HANDSHAKE) + OVERHEAD
        if self._door is not None:
            pull.curve_server, pull.curve_secretkey, pull.zap_domain = True, self._secret, b"offbeat"
        try:
            pull.bind(f"tcp://[{place}]:*" if place.version == 6 else f"tcp://{place}:*")
        except zmq.ZMQError as error:
            raise OSError(error.errno, f"cannot listen at {place}: {error.strerror}") from None
        for end in (self._bell, self._button):
            end.setblocking(False)
        self._poller.register(pull, zmq.POLLIN)
        self._poller.register(self._bell, zmq.POLLIN)
        return pull.getsockopt_string(zmq.LAST_ENDPOINT)

    @property
    def peer(self) -> Peer:
        """What the others need to know to `connect`."""
        return Peer(self.address, self.public_key)

    def connect(self, peers: Mapping[int, Peer]) -> None:
        """Send to these ranks, and accept them, from now on; those known before stay known.

        Parameters
        ----------
        peers : mapping of int to Peer
            A rank that is at a new address, or has a new key, takes the place of its earlier life, whose messages that
            wait to be sent are lost. The own rank may be among them.

        Raises
        ------
        ValueError
            An address is none, or a key is missing.
        """
        for rank, peer in peers.items():
            if not peer.address.startswith("tcp://"):
                raise ValueError(f"the address of rank {rank} is {peer.address!r}; give tcp://host:port")
            if self.secure and len(peer.public_key or b"") != KEY_BYTES:
                raise ValueError(f"rank {rank} has no public key of {KEY_BYTES} bytes, and this mailbox is secure")
        with self._lock:
            if self._closed:
                return
            changed = {r: peer for r, peer in peers.items() if r != self.rank and self._peers.get(r) != peer}
            self._hang_up(changed)
            for rank, peer in changed.items():
                self._pushes[rank] = self._dial(peer)
                self._peers[rank] = peer
            self._admit()

    def forget(self, ranks: Iterable[int]) -> None:
        """Neither send to these ranks nor let them connect again."""
        with self._lock:
            gone = list(ranks)
            self._hang_up(gone)
            for rank in gone:
                self._peers.pop(rank, None)
            self._admit()

    def push(self, message: Message, to: Sequence[int]) -> None:
        """Send a message to these ranks; never blocks, and the payload may be reused afterwards.

        Raises
        ------
        FrameError
            The message cannot travel, or is longer than the longest of the run.
        """
        header, body = pack(message, self.run)
        if body.nbytes > self.longest:
            raise FrameError(f"a payload of {body.nbytes} bytes is longer than the longest of this run, {self.longest}")
        if self.rank in to:
            self._inbox.append(message._replace(payload=message.payload.copy()))
        others = [rank for rank in to if rank != self.rank]
        # Copied once, then counted references. Sending without a copy would start a thread of pyzmq's own that stays.
        copied = zmq.Frame(body, copy=True) if others else None
        with self._lock:
            for rank in others:
                pushing = self._pushes.get(rank)
                if pushing is None or not _sent(pushing, header, copied):
                    self.dropped += 1

    def poll(self) -> list[Message]:
        """Return what has come in since the last call, oldest first; never blocks."""
        self._collect()
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def wait(self, seconds: float) -> bool:
        """Wait until a message has come in or somebody calls `wake`, but no longer than that.

        Returns
        -------
        news : bool
            Whether `poll` would return something.
        """
        end = time.monotonic() + seconds
        self._collect()
        while not (self._inbox or self._closed):
            left = end - time.monotonic()
            ready = self._poller.poll(math.ceil(1e3 * max(left, 0.0)))
            self._collect()
            if left <= 0.0 or any(source != self._pull for source, _ in ready):
                break
        self._quiet()
        return bool(self._inbox)

    def wake(self) -> None:
        """End a `wait`, or the next one if there is none: from any thread."""
        try:
            self._button.send(b"\0")
        except OSError:  # it has been rung often enough, or the mailbox is closed
            return

    def close(self) -> None:
        """Close all sockets and end the thread; messages that have not left are lost. May be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._hang_up(list(self._pushes))
        self._pull.close(0)
        self._context.term()  # ends the doorkeeper
        if self._door is not None:
            self._door.join()
        self._bell.close()
        self._button.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _dial(self, peer: Peer) -> zmq.Socket[bytes]:
        """Return a socket of one peer: with several peers, a push socket would deal its messages out among them."""
        pushing = self._context.socket(zmq.PUSH)
        try:
            pushing.linger, pushing.sndhwm = 0, HIGH_WATER
            pushing.reconnect_ivl, pushing.reconnect_ivl_max = RECONNECT, LONGEST_RECONNECT
            if self.secure:
                pushing.curve_serverkey = peer.public_key
                pushing.curve_publickey, pushing.curve_secretkey = self.public_key, self._secret
            pushing.connect(peer.address)
        except zmq.ZMQError as error:
            pushing.close(0)
            raise ValueError(f"cannot connect to {peer.address!r}: {error}") from None
        return pushing

    def _hang_up(self, ranks: Iterable[int]) -> None:
        for rank in ranks:
            if rank in self._pushes:
                self._pushes.pop(rank).close(0)

    def _admit(self) -> None:
        if self._door is not None:
            self._door.admit(peer.public_key for peer in self._peers.values() if peer.public_key is not None)

    def _collect(self) -> None:
        """Take in what has come."""
        if self._closed:
            return
        for _ in range(AT_ONCE):
            try:
                frames: list[Any] = self._pull.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._inbox.append(unpack(frames, self.run))
            except FrameError:
                self.rejected += 1

    def _quiet(self) -> None:
        """Forget how often the bell was rung."""
        try:
            while self._bell.recv(64):
                pass
        except OSError:  # nobody did, or the mailbox is closed
            return


def _sent(pushing: zmq.Socket[bytes], header: bytes, body: Any) -> bool:
    """Send a message unless the queue of its peer is full.

    A socket that sends without blocking hears only about once a millisecond what its peer has taken, and until then
    refuses what there is room for. To ask for its events makes it listen.
    """
    for _ in range(2):
        try:
            pushing.send(header, zmq.NOBLOCK | zmq.SNDMORE)
            pushing.send(body, zmq.NOBLOCK)
            return True
        except zmq.Again:
            if not int(pushing.getsockopt(zmq.EVENTS)) & zmq.POLLOUT:
                return False
    return False
