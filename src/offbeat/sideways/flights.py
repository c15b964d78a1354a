"""Steps under way: how long they usually take, which to ask for again, which to run a second time elsewhere."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from statistics import median
from typing import NamedTuple, TypeAlias

Key: TypeAlias = tuple[int, int, str]
"""What a step is: shard, clock and role."""
Place: TypeAlias = tuple[int, int, str, int]
"""A step and the worker that is at it."""
DOUBLINGS = 2  # after so many questions the time until the next one grows no more
LEAST = 1e-9  # seconds: where steps take no time at all, asking again still does


class Flight(NamedTuple):
    """A step under way: since when, how often it has been asked for, and when last."""

    shard: int
    clock: int
    role: str
    worker: int
    sent: float
    asked: int = 1
    last: float = 0.0

    @property
    def key(self) -> Key:
        """What the step is, whoever is at it."""
        return self[:3]

    @property
    def place(self) -> Place:
        """The step and who is at it."""
        return self[:4]


class Flights:
    """The steps under way; every question about them takes a time that does not depend on how many there are.

    Parameters
    ----------
    n_shards : int
    retry : float
        Multiples of the usual time after which a worker is asked again; each time twice as long.
    patience : float
        Multiples of the usual time after which another worker should try.
    usual : float
        Guess of the time of a step, in seconds, until steps have been seen.
    least : float
        Seconds after which another worker should try, at least.
    """

    def __init__(self, n_shards: int, *, retry: float, patience: float, usual: float, least: float = 0.0) -> None:
        self._least = least
        self._retry, self._patience, self._guess, self._usual = retry, patience, usual, usual
        self._levels: list[dict[Place, Flight]] = [{}]  # by how often asked for; each in the order of asking
        self._copies: dict[Key, int] = {}  # how many workers are at a step that nobody has answered
        self._lone: dict[Key, Flight] = {}  # where that is one; oldest first
        self._recent = deque[float](maxlen=max(8, min(n_shards, 64)))
        self._enough = min(n_shards, self._recent.maxlen or 1) / 2
        self._unused = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Flight]:
        return (flight for level in self._levels for flight in level.values())

    def add(self, flight: Flight) -> None:
        """Take note of a step that starts."""
        self._count += 1
        self._levels[0][flight.place] = flight
        key = flight.key
        self._copies[key] = self._copies.get(key, 0) + 1
        if self._copies[key] == 1:
            self._lone[key] = flight
        else:
            self._lone.pop(key, None)

    def land(self, flight: Flight, now: float, duration: float) -> None:
        """Take note of a worker's answer, and how long it says that the step took.

        One that was asked for several times is measured from the last question: counted from the first, lost messages
        would pass for slow steps, and waiting would grow without end (Karn & Partridge 1987, on round trips). It may be
        known by then, so that the question is answered at once: the step took no less than the worker says.
        """
        self._remove(flight)
        self._recent.append(now - flight.sent if flight.asked == 1 else max(now - flight.last, duration))
        self._unused += 1

    def answered(self, key: Key) -> None:
        """Take note that a step is done: it does not matter any more who else is at it."""
        self._copies.pop(key, None)
        self._lone.pop(key, None)

    def drop(self, flight: Flight) -> bool:
        """Take out a step that will not be answered; whether nobody is at it now although it is wanted."""
        self._remove(flight)
        key = flight.key
        if key not in self._copies:
            return False
        self._copies[key] -= 1
        if not self._copies[key]:
            self.answered(key)
            return True
        if self._copies[key] == 1:
            self._lone[key] = next(f for f in self if f.key == key)
            self._lone = dict(sorted(self._lone.items(), key=lambda item: item[1].sent))
        return False

    def again(self, now: float, astray: Iterable[Flight] = ()) -> Iterator[Flight]:
        """Yield steps to ask the same worker for again: the question or the answer may have been lost.

        For those named, that is known.
        """
        if math.isinf(self._retry):
            return
        for flight in astray:
            yield self._ask_again(flight, now)
        for level in list(reversed(self._levels)):
            for flight in list(level.values()):
                if self._due(flight) > now:
                    break
                yield self._ask_again(flight, now)

    def overdue(self, now: float, worker: int) -> Key | None:
        """Return the oldest step that takes so long that this worker should try, too, unless two are at it."""
        for key, flight in self._lone.items():
            if flight.sent + self._overdue() > now:
                break
            if flight.worker != worker:
                return key
        return None

    def next_look(self, idle: Collection[int]) -> float:
        """Return when a step will have to be asked for again, or overdue if an idle worker could take it."""
        due = math.inf
        if not math.isinf(self._retry):
            first = (next(iter(level.values())) for level in self._levels if level)
            due = min(map(self._due, first), default=math.inf)
        if idle:
            oldest = next((f for f in self._lone.values() if len(idle) > 1 or f.worker not in idle), None)
            due = min(due, math.inf if oldest is None else oldest.sent + self._overdue())
        return due

    def forget_times(self) -> None:
        """Begin to learn anew how long steps take."""
        self._recent.clear()
        self._unused, self._usual = 0, self._guess

    def usual(self) -> float:
        """Return the median time of recent steps; the guess while fewer than half of the shards have told."""
        seen = len(self._recent)
        if self._unused > seen / 8 and seen >= self._enough:
            self._usual, self._unused = max(median(self._recent), LEAST), 0
        return self._usual

    def _overdue(self) -> float:
        return max(self._patience * self.usual(), self._least)

    def _due(self, flight: Flight) -> float:
        return flight.last + self._retry * 2.0 ** min(flight.asked - 1, DOUBLINGS) * max(self.usual(), LEAST)

    def _ask_again(self, flight: Flight, now: float) -> Flight:
        new = flight._replace(asked=flight.asked + 1, last=now)
        del self._level(flight)[flight.place]
        self._level(new)[new.place] = new
        if flight.key in self._lone:
            self._lone[flight.key] = new
        return new

    def _level(self, flight: Flight) -> dict[Place, Flight]:
        number = min(flight.asked - 1, DOUBLINGS)
        while len(self._levels) <= number:
            self._levels.append({})
        return self._levels[number]

    def _remove(self, flight: Flight) -> None:
        self._count -= 1
        del self._level(flight)[flight.place]
