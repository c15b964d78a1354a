"""Ranks of a gang on the workers of a Dask cluster: tasks that stay until the gang ends.

A rank runs on a thread of its own, which Dask's pool gives up, so that parts of lost shards can be made anew meanwhile.
The client hears and tells through `listen`, which the worker's event loop runs.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from threading import Event
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from distributed import get_worker, secede
from distributed.comm.addressing import get_address_host
from distributed.protocol.pickle import dumps, loads

from offbeat.engines.base import Listener
from offbeat.engines.blas import one_blas_thread
from offbeat.engines.dask.post import Post
from offbeat.engines.dask.transfers import AHEAD, Transfers, rows
from offbeat.engines.mailbox import Mailbox, Peer
from offbeat.engines.port import RealPort, Stop, follow
from offbeat.sideways.loop import Best
from offbeat.sideways.messages import Row, Run
from offbeat.sideways.peer_program import PeerProgram
from offbeat.sideways.port import begin
from offbeat.sideways.protocol import Progress
from offbeat.sideways.topologies import Peers

LEASE = 60.0  # seconds without a word from the client, after which a rank ends by itself
TICK = 0.01  # seconds between looks at the ranks while somebody listens
HERE, RUNS, ENDED = "here", "runs", "ended"
RECORDED = ("row", "moved")
"""Events that are rows of the trace."""

_LIVES: dict[str, Life] = {}
_OVER: deque[bytes] = deque(maxlen=1000)
_TRANSFERS: dict[bytes, Transfers] = {}


class Seat(NamedTuple):
    """Which rank of which run; which attempt to run it this is; among how many; bytes of the longest message.

    Without ``ports`` messages travel over Dask's own connections.
    """

    run: bytes
    rank: int
    attempt: int
    n_ranks: int
    topology: Peers
    longest: int
    slowdown: float = 1.0
    ports: bool = True


class Orders(NamedTuple):
    """What the client tells the ranks of a run, again and again; the larger ``number`` is the newer.

    ``peers`` is where each rank is heard; ``lives`` has the incarnation of each life that may run, by its token, and
    ``attempts`` the newest attempt of each rank: others are to end. ``heard`` are tokens of lives whose end is known.
    ``callback`` and ``watch`` say what the client wants to hear of; ``time`` is that of its clock.
    """

    run: bytes
    number: int = -1
    peers: Mapping[int, Peer] = {}
    lives: Mapping[str, int] = {}
    attempts: Mapping[int, int] = {}
    program: bytes | None = None
    heard: frozenset[str] = frozenset()
    stop: bool = False
    callback: bool = False
    watch: bool = False
    time: float = 0.0


class Report(NamedTuple):
    """What a rank tells the client.

    ``events`` are pairs of what happened ("row", "moved", "progress" or "watch") and its arguments; ``result`` holds,
    pickled, what the program returned and what it raised; ``best`` the best point, passes and updates, where that is
    news.
    """

    rank: int
    attempt: int
    token: str
    peer: Peer
    status: str
    events: list[tuple[str, tuple[Any, ...]]]
    best: tuple[Progress | None, float, int] | None = None
    result: bytes | None = None


class Life:
    """One life of a rank: between the thread that runs it and the worker's event loop.

    Parameters
    ----------
    seat : Seat
    worker : distributed.Worker
    """

    def __init__(self, seat: Seat, worker: Any) -> None:
        self.seat, self._worker, self.address, self.token = seat, worker, worker.address, uuid4().hex
        self.stop = Stop(self._abandoned)
        self._mailbox = _mailbox(seat, worker)
        self._status, self._begin = HERE, Event()
        self._orders, self._number = Orders(seat.run), -1
        self._news = True
        self._events: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._best: Best | None = None
        self._best_told: tuple[Progress | None, float, int] = (None, 0.0, 0)
        self._result: bytes | None = None
        self._touched = time.monotonic()

    @property
    def news(self) -> bool:
        """Whether there is something that the client should hear at once."""
        return self._news

    def tell(self, orders: Orders) -> None:
        """Take orders: on the worker's event loop."""
        self._touched = time.monotonic()
        if orders.number <= self._number:  # of a call that has been under way for longer
            return
        self._number = orders.number
        attempt = orders.attempts.get(self.seat.rank, self.seat.attempt)
        begun = self._begin.is_set()
        if orders.stop or attempt > self.seat.attempt or (begun and self.token not in orders.lives):
            self.stop.set()
            self._begin.set()
            self._mailbox.wake()
        elif self.token in orders.lives:
            self._mailbox.connect(orders.peers)
            if not begun and orders.program is not None:
                self._orders = orders._replace(time=time.perf_counter() - orders.time)
                self._begin.set()

    def report(self, heard: frozenset[str]) -> Report:
        """Return what is new: on the worker's event loop."""
        status = self._status
        self._news = False
        events = [self._events.popleft() for _ in range(len(self._events))]
        best = None
        if self._best is not None:
            now = (self._best.progress, self._best.passes, self._best.updates)
            if now[1:] != self._best_told[1:] or now[0] is not self._best_told[0]:
                best = self._best_told = now
        result = self._result if status == ENDED and self.token not in heard else None
        return Report(
            self.seat.rank, self.seat.attempt, self.token, self._mailbox.peer, status, events, best, result
        )  # fmt: skip

    def run(self, shard: Any) -> None:
        """Wait for the others, run the program, and stay until the gang ends: on the rank's thread.

        Raises
        ------
        OSError, ValueError
            The worker cannot be heard at its own address.
        """
        _LIVES[self.token] = self
        try:
            if self.seat.run in _OVER:
                return
            while not self._begin.wait(1.0) and not self.stop.is_set():
                pass
            if self.stop.is_set():
                return
            self._say(RUNS)
            self._result = self._packed(shard)
            self._say(ENDED)
            while not self.stop.is_set():  # what was pushed last may still be on its way
                self.stop.pause(1.0)
        finally:
            del _LIVES[self.token]
            if all(life.seat.run != self.seat.run for life in list(_LIVES.values())):
                _TRANSFERS.pop(self.seat.run, None)
            self._mailbox.close()

    def _say(self, status: str) -> None:
        self._status, self._news = status, True

    def _packed(self, shard: Any) -> bytes:
        result, error = None, None
        try:
            result = self._run(shard)
        except BaseException as raised:  # raised again by the client
            error = raised
        try:
            packed: bytes = dumps((result, error))
        except Exception as raised:
            what = f"what it returned ({type(result).__name__})" if error is None else f"what it raised ({error!r})"
            packed = dumps((None, TypeError(f"{what} cannot be sent to the client: {raised}")))
        return packed

    def _run(self, shard: Any) -> Any:
        orders, seat = self._orders, self.seat
        program = loads(orders.program)
        if isinstance(program, PeerProgram):
            self._best = program.best
            self._best_told = (self._best.progress, self._best.passes, self._best.updates)
            callback, watch = self._progress if orders.callback else None, self._watch if orders.watch else None
            program = replace(program, policy=replace(program.policy, callback=callback, watch=watch))
            self._tell_moved(time.perf_counter() - orders.time, shard)
        listener = Listener(record=self._record, started=orders.time)
        life = orders.lives[self.token]
        port = RealPort(self._mailbox, seat.rank, seat.n_ranks, seat.topology, listener, life)
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            generator = begin(program, port, shard)
            try:
                return follow(generator, port, self.stop, seat.slowdown)
            finally:
                generator.close()

    def _tell_moved(self, now: float, shard: Any) -> None:
        """Tell what came to this worker before the rank began: as a rule its shard."""
        told = _TRANSFERS.setdefault(self.seat.run, Transfers())
        me = Run(self.seat.rank, 0, None, self.seat.rank)
        self._events.extend(("moved", (row,)) for row in rows(told.new(self._worker, now, shard), me, now, AHEAD))

    def _record(self, row: Row) -> None:
        self._events.append(("row", (row,)))

    def _progress(self, progress: Progress, row: Row) -> bool:
        self._events.append(("progress", (progress, row)))
        return False  # the client says so, if the run is to stop

    def _watch(self, candidate: Any, now: float) -> None:
        self._events.append(("watch", (candidate, now)))

    def _abandoned(self) -> bool:
        return time.monotonic() - self._touched > LEASE


def rank(seat: Seat, shard: Any) -> None:
    """Be a rank until the gang ends: a task."""
    worker = get_worker()
    secede()
    Life(seat, worker).run(shard)


def _mailbox(seat: Seat, worker: Any) -> Mailbox | Post:
    if not seat.ports:
        return Post(seat.rank, seat.run, seat.longest, worker)
    host = "127.0.0.1" if worker.address.startswith("inproc://") else get_address_host(worker.address)
    return Mailbox(seat.rank, seat.run, host, seat.longest)


async def listen(orders: Orders, seconds: float, dask_worker: Any = None) -> list[Report]:
    """Tell the ranks of a run on this worker what there is, and return what they say.

    Returns at once when a rank came, began or ended; else after so many seconds.
    """
    end = time.monotonic() + seconds
    if orders.stop and orders.run not in _OVER:
        _OVER.append(orders.run)
    while True:
        lives = [life for life in list(_LIVES.values()) if life.seat.run == orders.run]
        lives = [life for life in lives if life.address == dask_worker.address]
        for life in lives:
            life.tell(orders)
        over = orders.run in _OVER or time.monotonic() >= end
        if over or any(life.news for life in lives):
            return [life.report(orders.heard) for life in lives]
        await asyncio.sleep(TICK)


def held() -> int:
    """Return how many ranks live on this worker."""
    return len(_LIVES)
