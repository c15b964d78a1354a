"""Who may connect: the ZeroMQ authentication protocol (ZAP, rfc.zeromq.org/spec/27) for one set of keys.

Ranks connect in any order, and one that came back may reach its peers before they have heard of its new key. A socket
that is told no (status 400, as pyzmq's own authenticator does) never tries again, and one that is told to come back
(status 300) may hang with libzmq 4.3.5. So who is unknown gets no answer until it is known, or its handshake times out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import zmq
from zmq.utils import z85

WHERE = "inproc://zeromq.zap.01"  # fixed by the protocol, one a context
TIMEOUT = 5.0  # seconds that a handshake may take; whoever tried tries again
LOOK = 20  # milliseconds between looks at the keys while somebody waits
WAITING = 1000  # requests that wait, at most


class Doorkeeper:
    """Answers for a context, on a thread of its own, until the context is terminated.

    Parameters
    ----------
    context : zmq.Context
    name : str
        Of the thread.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], name: str) -> None:
        self._keys: frozenset[bytes] = frozenset()
        self._waiting: list[tuple[float, bytes, list[bytes]]] = []  # since when, key, beginning of the answer
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(WHERE)  # before any socket listens: where nobody answers, everybody is let in
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def admit(self, keys: Iterable[bytes]) -> None:
        """Let in who proves to have one of these public keys, and nobody else."""
        self._keys = frozenset(z85.decode(key) for key in keys)

    def join(self) -> None:
        """Wait for the thread, once the context is terminated."""
        self._thread.join()

    def _serve(self) -> None:
        try:
            while True:
                if self._socket.poll(LOOK if self._waiting else None):
                    self._hear(self._socket.recv_multipart())
                self._answer()
        except zmq.ZMQError:  # the context is terminated
            self._socket.close(0)

    def _hear(self, request: list[bytes]) -> None:
        sender, empty, version, number, _domain, _address, _identity, mechanism, *key = request
        reply = [sender, empty, version, number]
        if mechanism == b"CURVE" and len(key) == 1:
            self._waiting = [*self._waiting[1 - WAITING :], (time.monotonic(), key[0], reply)]
        else:
            self._socket.send_multipart([*reply, b"400", b"no key", b"", b""])

    def _answer(self) -> None:
        """Let in who is known by now; forget who has waited for too long."""
        now, keys, waiting = time.monotonic(), self._keys, self._waiting
        self._waiting = [each for each in waiting if each[1] not in keys and now - each[0] < TIMEOUT]
        for _, key, reply in waiting:
            if key in keys:
                self._socket.send_multipart([*reply, b"200", b"OK", b"peer", b""])
