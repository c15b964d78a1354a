"""Messages between ranks over Dask's own connections between workers: where other ports are not allowed.

The frames are those of the mailboxes; Dask's connections encrypt and authenticate them where the cluster uses TLS.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

from offbeat.engines.frames import FrameError, pack, unpack
from offbeat.engines.mailbox import HIGH_WATER, Peer
from offbeat.sideways.messages import Message

HANDLER = "offbeat_frames"
PAUSE = 0.05  # seconds after a message that did not arrive
ROOM = 1000  # messages that may wait to be polled
LINGER = 2.0  # seconds for which a worker still takes what comes too late

_BOXES: dict[bytes, Post] = {}


class _Line:
    """What waits to be sent to one life of a rank."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.busy = peer, False
        self.waiting: list[tuple[Any, bytes, bytes]] = []
        self.sending: Future[None] | None = None

    def put(self, key: Any, header: bytes, body: bytes) -> bool:
        """Add a message; where there are too many the oldest of its kind goes. Return whether one was lost."""
        lost = len(self.waiting) >= HIGH_WATER
        if lost:
            old = next((i for i, each in enumerate(self.waiting) if each[0] == key), None)
            if old is None:
                return True
            del self.waiting[old]
        self.waiting.append((key, header, body))
        return lost


class Post:
    """What one rank sends and receives with: in place of a `Mailbox`.

    Parameters
    ----------
    rank : int
    run : bytes
    longest : int
        Bytes of the longest payload.
    worker : distributed.Worker

    Attributes
    ----------
    peer : Peer
        The worker's address, and the name of this post on it.
    dropped, rejected : int
    """

    def __init__(self, rank: int, run: bytes, longest: int, worker: Any) -> None:
        self.rank, self.run, self.longest, self._worker = rank, run, longest, worker
        self.peer = Peer(worker.address, uuid4().hex.encode())
        self.dropped = self.rejected = 0
        self._lock = threading.Lock()
        self._lines: dict[int, _Line] = {}
        self._inbox: deque[Message] = deque()
        self._news = threading.Event()
        self._closed = False
        _BOXES[self._name] = self
        worker.handlers[HANDLER] = receive

    @property
    def _name(self) -> bytes:
        assert self.peer.public_key is not None
        return self.peer.public_key

    def connect(self, peers: Mapping[int, Peer]) -> None:
        """Send to these ranks from now on; one that has a new peer takes the place of its earlier life."""
        with self._lock:
            for rank, peer in peers.items():
                known = self._lines.get(rank)
                if rank == self.rank or self._closed or (known is not None and known.peer == peer):
                    continue
                if known is not None and known.sending is not None:
                    known.sending.cancel()
                self._lines[rank] = _Line(peer)

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
        copied, key = bytes(body), (message.role, message.worker, message.shard)
        with self._lock:
            for rank in to:
                line = self._lines.get(rank)
                if rank == self.rank:
                    self._inbox.append(message._replace(payload=message.payload.copy()))
                elif line is None or self._closed:
                    self.dropped += 1
                else:
                    self.dropped += line.put(key, header, copied)
                    if not line.busy:
                        line.busy, line.sending = True, self._start(self._send(line))

    def poll(self) -> list[Message]:
        """Return what has come in since the last call, oldest first; never blocks."""
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def wait(self, seconds: float) -> bool:
        """Wait until a message has come in or somebody calls `wake`, but no longer than that."""
        if not self._inbox:
            self._news.wait(max(seconds, 0.0))
        self._news.clear()
        return bool(self._inbox)

    def wake(self) -> None:
        """End a `wait`: from any thread."""
        self._news.set()

    def take(self, header: bytes, body: bytes) -> None:
        """Take what came in: on the worker's event loop."""
        try:
            message = unpack((header, body), self.run)
        except FrameError:
            self.rejected += 1
            return
        if len(body) <= self.longest and len(self._inbox) < ROOM:
            self._inbox.append(message)
            self._news.set()

    def close(self) -> None:
        """Send and take no more. May be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for line in self._lines.values():
                if line.sending is not None:
                    line.sending.cancel()
            self._lines.clear()
        _BOXES.pop(self._name, None)
        loop = self._worker.loop
        loop.add_callback(loop.call_later, LINGER, _tidy, self._worker)

    def _start(self, call: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(call, self._worker.loop.asyncio_loop)

    async def _send(self, line: _Line) -> None:
        """Send what waits for a peer, all at once: on the worker's event loop."""
        while True:
            with self._lock:
                frames = [frame for _, *message in line.waiting for frame in message]
                line.waiting.clear()
                line.busy = bool(frames)
            if not frames:
                return
            try:
                await getattr(self._worker.rpc(line.peer.address), HANDLER)(box=line.peer.public_key, frames=frames)
            except Exception:  # it is gone, or leaves
                self.dropped += len(frames) // 2
                await asyncio.sleep(PAUSE)


def receive(box: bytes, frames: list[bytes]) -> None:
    """Take frames from another worker; those of a rank that is gone are lost."""
    post = _BOXES.get(box)
    if post is not None:
        for header, body in zip(frames[::2], frames[1::2], strict=False):
            post.take(header, body)


def _tidy(worker: Any) -> None:
    if not _BOXES:
        worker.handlers.pop(HANDLER, None)
