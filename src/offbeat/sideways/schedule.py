"""Who runs what next: the staleness rule, homes of shards, stealing, and asking again. No clock of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from offbeat.sideways.flights import Flight, Flights, Key
from offbeat.sideways.homes import Homes
from offbeat.sideways.messages import CERTIFY, STEP, Message
from offbeat.sideways.moving import Moving

LAG = 2  # clocks that a shard must be behind before another worker than its own takes it, when nobody waits for it
DEPTH = 3  # steps that a worker has before it where messages can be lost: it works on one while others are on their way
SLACK = 4.0  # times the patience there: an answer that is late seldom means that a worker is slow


@dataclass(frozen=True)
class Stealing:
    """Idle workers take over the shards of slow ones; the first answer for a (shard, clock) wins.

    Parameters
    ----------
    patience : float
        A step that has been under way for so many times the usual time is run a second time, elsewhere.
    shards_per_worker : int
        How finely the data is cut, so that there is something to move.
    least : float
        Seconds that moving a shard takes, where its rows are sent along: a step has been under way, or a shard been
        waiting at home, for that long before it moves. See `moving.Moving`.

    Examples
    --------
    >>> Stealing().shards_per_worker
    4
    """

    patience: float = 2.0
    shards_per_worker: int = 4
    least: float = 0.0


class Schedule:
    """Assigns steps to workers.

    Every shard has a home, the worker that holds its rows. Pinned shards run there only. With `Stealing`, a worker
    with nothing to do at home takes other shards, those that lag first, and runs what is overdue a second time.

    Where messages can be lost, a worker without barrier has several steps before it, so that it is not idle while an
    answer is on its way. What it should have answered before something else, or has not heard of while it is idle, is
    asked for again at once.

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
    depth : int
        Steps that a worker has before it without barrier, where no message is lost.
    """

    def __init__(
        self, n_shards: int, n_workers: int, *, staleness: float = 0.0, stealing: Stealing | None = None,
        concurrency: float = math.inf, retry: float = math.inf, usual: float = math.inf, depth: int = 1,
    ) -> None:  # fmt: skip
        self.n_shards = n_shards
        self.staleness, self.stealing, self.concurrency = staleness, stealing, concurrency
        self.homes = Homes(n_shards, n_workers, common=stealing is not None)
        self.depth = 1 if staleness == 0 else DEPTH if math.isfinite(retry) else depth
        self.workers: dict[int, dict[Key, Flight]] = {w: {} for w in range(n_workers)}  # in the order of asking
        patience = math.inf if stealing is None else stealing.patience * (SLACK if self.depth > 1 else 1.0)
        least = 0.0 if stealing is None else stealing.least
        self.moving = Moving(self.homes.of, least)
        self.flights = Flights(n_shards, retry=retry, patience=patience, usual=usual, least=least)
        self._free: dict[int, None] = dict.fromkeys(range(n_workers))  # may have something to do
        self._parked: dict[int, None] = {}  # had nothing to do when last looked at
        self._astray: list[Flight] = []
        self._asked: dict[int, set[int]] = {w: set() for w in range(n_workers)}
        self._unasked: dict[int, None] = {}
        self._number, self._pending = 0, set[int]()  # of the certificate under way: its number, who has not answered
        self._begun = 0.0  # when it began

    # what the loop tells -------------------------------------------------------------------------------------------
    def arrived(self, message: Message, now: float) -> bool:
        """Take note of an answer; whether it is the first for its shard, clock and role."""
        self.homes.now = now
        key = (message.shard, message.clock, message.role)
        flight = self.workers.get(message.worker, {}).get(key)
        if flight is not None:
            self._land(flight, now, message.duration)
        self.moving.ended(message.worker, message.duration)
        if not self._awaited(key):
            return False
        self.flights.answered(key)
        elsewhere = self.homes.of[message.shard] != message.worker
        if self.moving.costs and elsewhere and message.worker in self.workers:
            self._move(message.shard, message.worker)  # which holds the rows, and was there first
        if message.role == CERTIFY:
            self._pending.discard(message.shard)
            self._unask(message.shard)
        elif self.homes.advance(message.shard):
            self.wake()
        return True

    def expects(self, message: Message) -> bool:
        """Whether this answer of this worker has not come in before."""
        return (message.shard, message.clock, message.role) in self.workers.get(message.worker, {})

    def idle(self, worker: int, since: float) -> None:
        """Take note that a worker has had nothing to do since a time: what it was asked before has gone astray."""
        self._astray += [flight for flight in self.workers.get(worker, {}).values() if flight.last <= since]

    def ask(self, number: int) -> None:
        """Have every shard evaluated, for the certificate of this number: the next thing that its worker does."""
        self._number, self._pending, self._begun = number, set(range(self.n_shards)), self.homes.now
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
        self.workers[worker] = {}
        self._free[worker] = None
        self._asked.setdefault(worker, set())
        for shard in self.homes.welcome(worker, self.workers):
            self._move(shard, worker)
        self.wake()

    def lost(self, worker: int) -> None:
        """Take a worker out; its shards and its steps go to others."""
        for flight in self.workers.pop(worker, {}).values():
            if not self.flights.drop(flight):
                continue
            if flight.role == CERTIFY:
                self._ask(flight.shard)
            else:
                self.homes.give_back(flight.shard)
        self._free.pop(worker, None)
        self._parked.pop(worker, None)
        self.moving.lost(worker)
        alive = sorted(self.workers)
        orphans = [s for s in range(self.n_shards) if self.homes.of[s] == worker]
        for i, shard in enumerate(orphans):
            if alive:
                self._move(shard, alive[(worker + 1 + i) % len(alive)])
        self.wake()

    # what the loop asks --------------------------------------------------------------------------------------------
    def assign(self, now: float) -> Iterator[Flight]:
        """Yield the steps to start now, and those to ask for again."""
        self.homes.now = now
        yield from self._again(now)
        while self._free and len(self.flights) < self.concurrency:
            worker = next(iter(self._free))
            del self._free[worker]
            chosen = self._pick(worker, now)
            if chosen is None:
                self._parked[worker] = None
                if not self.workers[worker]:
                    self.moving.parks(worker, now)
                continue
            self.moving.begins(worker, chosen[0])
            flight = Flight(*chosen, worker, now, 1, now)
            self.workers[worker][flight.key] = flight
            if len(self.workers[worker]) < self.depth:
                self._free[worker] = None
            self.flights.add(flight)
            yield flight

    @property
    def level(self) -> bool:
        """Whether all shards have reported equally often: a round has ended."""
        return self.homes.level

    def next_look(self) -> float:
        """Return when to look again although nothing came in; ``inf`` if there is no need."""
        takers = self._parked if self.stealing is not None and len(self.flights) < self.concurrency else {}
        due = self.flights.next_look(takers)
        if not self.moving.costs:
            return due
        for worker in takers:
            for shard, since in self._movable(self.homes.slowest + self.staleness):
                due = min(due, self.moving.due(worker, shard, since))
        return due

    # steps under way -----------------------------------------------------------------------------------------------
    def _land(self, flight: Flight, now: float, duration: float) -> None:
        """Take note of a worker's answer.

        Workers do what they are told in turn: what this one was last told before it has gone astray.
        """
        steps = self.workers[flight.worker]
        if self.depth > 1 and flight.asked == 1:
            for other in steps.values():
                if other is flight:
                    break
                self._astray.append(other)
        del steps[flight.key]
        self.flights.land(flight, now, duration)
        self._parked.pop(flight.worker, None)
        self._free[flight.worker] = None

    def _again(self, now: float) -> Iterator[Flight]:
        astray, self._astray = self._astray, []
        still = [flight for flight in astray if self.workers.get(flight.worker, {}).get(flight.key) is flight]
        for again in self.flights.again(now, still):
            steps = self.workers[again.worker]
            del steps[again.key]
            steps[again.key] = again
            yield again

    def _awaited(self, key: Key) -> bool:
        """Whether nobody has answered this yet."""
        shard, clock, role = key
        if role == CERTIFY:
            return clock == self._number and shard in self._pending
        return clock == self.homes.clocks[shard] + 1

    def _move(self, shard: int, worker: int) -> None:
        old = self.homes.of[shard]
        self.homes.move(shard, worker)
        if shard in self._asked[old]:
            self._asked[old].remove(shard)
            self._asked[worker].add(shard)

    # choosing ------------------------------------------------------------------------------------------------------
    def _pick(self, worker: int, now: float) -> Key | None:
        asked = self._take_asked(worker, now)
        if asked is not None:
            return asked, self._number, CERTIFY
        slowest = self.homes.slowest
        limit = slowest + self.staleness
        if self.stealing is None:
            return self._step(self.homes.take(worker, limit))
        if self._pending or (self.staleness > 0 and not self.homes.oldest(worker) - slowest < LAG):
            urgent = self._step(self._steal(worker, slowest, now)) or self.flights.overdue(now, worker)
            if urgent is not None:
                return urgent
        own = self._step(self.homes.take(worker, limit))
        return own or self._step(self._steal(worker, limit, now)) or self.flights.overdue(now, worker)

    def _steal(self, worker: int, limit: float, now: float) -> int | None:
        shard = self.homes.furthest_behind(limit)
        if shard is None or self.moving.due(worker, shard, self.homes.since[shard]) > now:
            return None
        self.homes.begin(shard)
        return shard

    def _movable(self, limit: float) -> Iterator[tuple[int, float]]:
        """Yield what an idle worker would take from others: what is to be evaluated, and the shard furthest behind."""
        for asked in islice(self._unasked, 1):
            yield asked, self._begun
        shard = self.homes.furthest_behind(limit)
        if shard is not None:
            yield shard, self.homes.since[shard]

    def _step(self, shard: int | None) -> Key | None:
        return None if shard is None else (shard, self.homes.clocks[shard] + 1, STEP)

    def _ask(self, shard: int) -> None:
        self._asked[self.homes.of[shard]].add(shard)
        self._unasked[shard] = None

    def _unask(self, shard: int) -> None:
        self._asked[self.homes.of[shard]].discard(shard)
        self._unasked.pop(shard, None)

    def _take_asked(self, worker: int, now: float) -> int | None:
        if not self._unasked:
            return None
        if self._asked[worker]:
            shard = min(self._asked[worker])
        else:
            shard = next(iter(self._unasked))
            if self.stealing is None or self.moving.due(worker, shard, self._begun) > now:
                return None
        self._unask(shard)
        return shard
