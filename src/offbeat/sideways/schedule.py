"""Who runs what next: the staleness rule, homes of shards, stealing, and asking again. No clock of its own."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from offbeat.sideways.flights import Flight, Flights, Key
from offbeat.sideways.messages import CERTIFY, STEP, Message

LAG = 2  # clocks that a shard must be behind before another worker than its own takes it, when nobody waits for it


@dataclass(frozen=True)
class Stealing:
    """Idle workers take over the shards of slow ones; the first answer for a (shard, clock) wins.

    Parameters
    ----------
    patience : float
        A step that has been under way for so many times the usual time is run a second time, elsewhere.
    shards_per_worker : int
        How finely the data is cut, so that there is something to move.

    Examples
    --------
    >>> Stealing().shards_per_worker
    4
    """

    patience: float = 2.0
    shards_per_worker: int = 4


class Schedule:
    """Assigns steps to workers.

    Every shard has a home, the worker that holds its rows. Pinned shards run there only. With `Stealing`, a worker
    with nothing to do at home takes other shards, those that lag first, and runs what is overdue a second time.

    Parameters
    ----------
    n_shards, n_workers : int
    staleness : float
        How many clocks a shard may run ahead of the slowest.
    stealing : Stealing, optional
    concurrency : float
        Most steps under way at once.
    retry : float
        Multiples of the usual time after which a worker is asked again, in case the message was lost.
    usual : float
        Guess of the time of a step, in seconds, until steps have been seen.
    """

    def __init__(
        self, n_shards: int, n_workers: int, *, staleness: float = 0.0, stealing: Stealing | None = None,
        concurrency: float = math.inf, retry: float = math.inf, usual: float = math.inf,
    ) -> None:  # fmt: skip
        self.n_shards, self.n_workers = n_shards, n_workers
        self.staleness, self.stealing, self.concurrency = staleness, stealing, concurrency
        self.clocks = [0] * n_shards
        self.slowest = 0
        self.home = [s * n_workers // n_shards for s in range(n_shards)]
        self.workers: dict[int, Flight | None] = dict.fromkeys(range(n_workers))
        patience = math.inf if stealing is None else stealing.patience
        self.flights = Flights(n_shards, retry=retry, patience=patience, usual=usual)
        self._free: dict[int, None] = dict.fromkeys(range(n_workers))  # may have something to do
        self._parked: dict[int, None] = {}  # had nothing to do when last looked at
        self._idle: dict[int, list[tuple[int, int]]] = {w: [] for w in range(n_workers)}  # heaps; some are out of date
        self._all: list[tuple[int, int, int]] = []  # likewise, of all workers: what there is to steal
        self._waits = [False] * n_shards
        self._asked: dict[int, set[int]] = {w: set() for w in range(n_workers)}
        self._unasked: dict[int, None] = {}
        self._number, self._pending = 0, set[int]()  # of the certificate under way: its number, who has not answered
        self._counts = {0: n_shards}  # shards at each clock
        for shard in range(n_shards):
            self._make_idle(shard)

    # what the loop tells -------------------------------------------------------------------------------------------
    def arrived(self, message: Message, now: float) -> bool:
        """Take note of an answer; whether it is the first for its shard, clock and role."""
        key = (message.shard, message.clock, message.role)
        flight = self.workers.get(message.worker)
        if flight is not None and flight[:3] == key:
            self.flights.land(flight, now)
            self.workers[message.worker] = None
            self._free[message.worker] = None
        if not self._awaited(key):
            return False
        self.flights.answered(key)
        if message.role == CERTIFY:
            self._pending.discard(message.shard)
            self._unask(message.shard)
        else:
            self._advance(message.shard)
        return True

    def ask(self, number: int) -> None:
        """Have every shard evaluated, for the certificate of this number: the next thing that its worker does."""
        self._number, self._pending = number, set(range(self.n_shards))
        for shard in range(self.n_shards):
            self._ask(shard)
        self.wake()

    def new_round(self) -> None:
        """Take note of an update: with a barrier, steps may take another time than before."""
        if self.staleness == 0:
            self.flights.forget_times()

    def wake(self) -> None:
        """Look at all workers again."""
        self._free.update(self._parked)
        self._parked.clear()

    def joined(self, worker: int) -> None:
        """Give a worker its shards back, or its share when it was not there at the start."""
        if worker in self.workers:
            self.lost(worker)
        self.workers[worker] = None
        self._free[worker] = None
        self._idle.setdefault(worker, [])
        self._asked.setdefault(worker, set())
        for shard in self._share(worker):
            self._move(shard, worker)
        self.wake()

    def lost(self, worker: int) -> None:
        """Take a worker out; its shards and its step go to others."""
        flight = self.workers.pop(worker, None)
        self._free.pop(worker, None)
        self._parked.pop(worker, None)
        if flight is not None and self.flights.drop(flight):
            if flight.role == CERTIFY:
                self._ask(flight.shard)
            else:
                self._make_idle(flight.shard)
        alive = sorted(self.workers)
        orphans = [s for s in range(self.n_shards) if self.home[s] == worker]
        for i, shard in enumerate(orphans):
            if alive:
                self._move(shard, alive[(worker + 1 + i) % len(alive)])
        self.wake()

    # what the loop asks --------------------------------------------------------------------------------------------
    def assign(self, now: float) -> Iterator[Flight]:
        """Yield the steps to start now."""
        for again in self.flights.again(now):
            self.workers[again.worker] = again
            yield again
        while self._free and len(self.flights) < self.concurrency:
            worker = next(iter(self._free))
            del self._free[worker]
            chosen = self._pick(worker, now)
            if chosen is None:
                self._parked[worker] = None
                continue
            flight = Flight(*chosen, worker, now, 1, now)
            self.workers[worker] = flight
            self.flights.add(flight)
            yield flight

    @property
    def level(self) -> bool:
        """Whether all shards have reported equally often: a round has ended."""
        return len(self._counts) == 1

    def next_look(self) -> float:
        """Return when to look again although nothing came in; ``inf`` if there is no need."""
        takers = self.stealing is not None and bool(self._parked) and len(self.flights) < self.concurrency
        return self.flights.next_look(idle=takers)

    def usual(self) -> float:
        """Return the usual time of a step."""
        return self.flights.usual()

    # clocks and homes ----------------------------------------------------------------------------------------------
    def _awaited(self, key: Key) -> bool:
        """Whether nobody has answered this yet."""
        shard, clock, role = key
        if role == CERTIFY:
            return clock == self._number and shard in self._pending
        return clock == self.clocks[shard] + 1

    def _advance(self, shard: int) -> None:
        clock = self.clocks[shard]
        self.clocks[shard] = clock + 1
        self._counts[clock + 1] = self._counts.get(clock + 1, 0) + 1
        self._counts[clock] -= 1
        if not self._counts[clock]:
            del self._counts[clock]
            if clock == self.slowest:
                self.slowest = clock + 1
                self.wake()
        self._make_idle(shard)

    def _make_idle(self, shard: int) -> None:
        """Have a shard wait for a worker. Thieves begin at the far end of what a worker has to do."""
        self._waits[shard] = True
        heapq.heappush(self._idle[self.home[shard]], (self.clocks[shard], shard))
        if self.stealing is not None:
            heapq.heappush(self._all, (self.clocks[shard], -shard, shard))

    def _move(self, shard: int, worker: int) -> None:
        old = self.home[shard]
        self.home[shard] = worker
        if self._waits[shard]:
            heapq.heappush(self._idle[worker], (self.clocks[shard], shard))
        if shard in self._asked[old]:
            self._asked[old].remove(shard)
            self._asked[worker].add(shard)

    def _share(self, worker: int) -> list[int]:
        """Return the shards that a worker gets when it comes: those it had at the start, or an even share.

        Those that nobody is left for go with them.
        """
        left = [s for s in range(self.n_shards) if self.home[s] not in self.workers]
        if worker < self.n_workers:
            mine = {s for s in range(self.n_shards) if s * self.n_workers // self.n_shards == worker}
            return sorted(mine.union(left))
        owned = Counter(home for home in self.home if home in self.workers)
        taken = left
        while owned and max(owned.values()) > len(taken) + 1:
            richest = max(owned, key=lambda w: (owned[w], -w))
            taken.append(next(s for s in range(self.n_shards) if self.home[s] == richest and s not in taken))
            owned[richest] -= 1
        return taken

    # choosing ------------------------------------------------------------------------------------------------------
    def _pick(self, worker: int, now: float) -> Key | None:
        asked = self._take_asked(worker)
        if asked is not None:
            return asked, self._number, CERTIFY
        if self.stealing is None:
            return self._step(self._take_idle(worker))
        if self._pending or (self.staleness > 0 and not self._oldest(worker) - self.slowest < LAG):
            urgent = self._step(self._steal(self.slowest)) or self.flights.overdue(now)
            if urgent is not None:
                return urgent
        limit = self.slowest + self.staleness
        return self._step(self._take_idle(worker)) or self._step(self._steal(limit)) or self.flights.overdue(now)

    def _step(self, shard: int | None) -> Key | None:
        return None if shard is None else (shard, self.clocks[shard] + 1, STEP)

    def _ask(self, shard: int) -> None:
        self._asked[self.home[shard]].add(shard)
        self._unasked[shard] = None

    def _unask(self, shard: int) -> None:
        self._asked[self.home[shard]].discard(shard)
        self._unasked.pop(shard, None)

    def _take_asked(self, worker: int) -> int | None:
        if not self._unasked:
            return None
        if self._asked[worker]:
            shard = min(self._asked[worker])
        elif self.stealing is not None:
            shard = next(iter(self._unasked))
        else:
            return None
        self._unask(shard)
        return shard

    def _oldest(self, worker: int) -> float:
        """Return the clock of the waiting shard at home here that is furthest behind."""
        heap = self._idle[worker]
        while heap and not self._valid(heap[0][1], heap[0][0], worker):
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def _valid(self, shard: int, clock: int, home: int) -> bool:
        return self._waits[shard] and self.clocks[shard] == clock and self.home[shard] == home

    def _take_idle(self, home: int) -> int | None:
        if self._oldest(home) - self.slowest > self.staleness or not self._idle[home]:
            return None
        shard = heapq.heappop(self._idle[home])[1]
        self._waits[shard] = False
        return shard

    def _steal(self, limit: float) -> int | None:
        """Return a waiting shard of anybody's, among those furthest behind, if its clock is within the limit."""
        while self._all:
            clock, _, shard = self._all[0]
            if not (self._waits[shard] and self.clocks[shard] == clock):
                heapq.heappop(self._all)
            elif clock > limit:
                return None
            else:
                heapq.heappop(self._all)
                self._waits[shard] = False
                return shard
        return None
