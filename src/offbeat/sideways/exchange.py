"""What a peer keeps of the others' contributions, and what it passes on: one class for flooding, one for trees."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from offbeat.sideways.board import Board, View
from offbeat.sideways.messages import Floats, Message
from offbeat.sideways.topologies import Peers, Tree

Outgoing: TypeAlias = list[tuple[tuple[int, ...], Message]]
TAIL = 3  # numbers behind a sum of contributions: how many there are, the oldest and the newest clock among them


class Exchange(Protocol):
    """The board of one peer, with what is to be sent."""

    def board(self) -> Board:
        """Return the sum of all, as far as it is known."""

    def put(self, message: Message) -> None:
        """Take in a contribution: of one's own, or from a neighbour."""

    def outgoing(self) -> Outgoing:
        """Return what is to be sent now: to whom, and what."""

    def memory(self) -> Outgoing:
        """Return what has been sent and may still matter, in case it was lost."""

    def oldest(self) -> int:
        """Return the oldest clock among the contributions of all shards; 0 while some are missing."""

    def newest(self) -> int:
        """Return the newest clock that is known; 0 while there is none."""

    def of(self, worker: int) -> list[Message]:
        """Return what is remembered of a worker's own contributions, if they travel by themselves."""


@dataclass(frozen=True)
class Seat:
    """Where a peer sits: its rank, life and neighbours, the number of shards, the run its messages belong to."""

    worker: int
    incarnation: int
    neighbours: tuple[int, ...]
    n_shards: int
    run: int = 0


def exchange(topology: Peers, seat: Seat, *, exact: bool) -> Exchange:
    """Return the exchange of one peer; ``exact`` takes sums in shard order."""
    if isinstance(topology, Tree):
        return Sums(seat, exact=exact)
    return Flood(seat, exact=exact, relays=topology.relays)


class Flood:
    """Contributions travel one by one: a worker sends its own, and with ``relays`` also those that were new to it."""

    def __init__(self, seat: Seat, *, exact: bool, relays: bool) -> None:
        self._seat, self._relays = seat, relays
        self._board = Board(seat.n_shards, run=seat.run, exact=exact)
        self._exact = exact
        self._news: dict[int, Message] = {}
        self._before: dict[int, Message] = {}  # of the round before: whoever missed it is still in it

    def board(self) -> Board:
        """Return the board itself."""
        return self._board

    def put(self, message: Message) -> None:
        """Take in a contribution: of one's own, or from a neighbour."""
        old = self._board.slot(message.shard) if 0 <= message.shard < self._seat.n_shards else None
        if self._board.put(message):
            if self._exact and old is not None and old.clock < message.clock:
                self._before[message.shard] = old
            if self._mine(message):
                self._news[message.shard] = message

    def outgoing(self) -> Outgoing:
        """Return what was new since the last call, to all neighbours."""
        news, self._news = self._news, {}
        return [(self._seat.neighbours, message) for message in news.values()]

    def memory(self) -> Outgoing:
        """Return all that is passed on, as it is now and as it was the round before."""
        known = (self._board.slot(s) for s in range(self._seat.n_shards))
        newest = [message for message in known if message is not None and self._mine(message)]
        before = [message for message in self._before.values() if self._mine(message)]
        return [(self._seat.neighbours, message) for message in (*before, *newest)]

    def oldest(self) -> int:
        """Return the oldest clock among the contributions of all shards; 0 while some are missing."""
        return min(self._board.clock(s) for s in range(self._seat.n_shards))

    def newest(self) -> int:
        """Return the newest clock that is known; 0 while there is none."""
        return max(self._board.clock(s) for s in range(self._seat.n_shards))

    def of(self, worker: int) -> list[Message]:
        """Return the newest contribution of a worker, and that of the round before."""
        known = (self._before.get(worker), self._board.slot(worker))
        return [message for message in known if message is not None]

    def _mine(self, message: Message) -> bool:
        return self._relays or message.worker == self._seat.worker


class Sums:
    """Sums travel along the edges of a tree.

    What a neighbour is told is the sum of everything but what it told itself: keyed by edge, newest wins, never deltas,
    so that lost, repeated and reordered messages do no harm. It is told nothing before all that belongs into its sum is
    there: passed on one by one, the first contributions would be as many messages on each edge as there are workers.
    With ``exact`` all must be of the same clock as well, as in an all-reduce.
    """

    def __init__(self, seat: Seat, *, exact: bool) -> None:
        self._seat, self._exact = seat, exact
        self._edges = {neighbour: i for i, neighbour in enumerate(seat.neighbours)}
        self._own: dict[int, int] = {}
        self._slots = Board(len(seat.neighbours) + seat.n_shards, run=seat.run)
        self._sent = 0
        self._told: dict[int, tuple[float, float, float]] = {}
        rounds = 2 if exact else 1  # with a barrier a neighbour may still be in the round before
        self._last: dict[int, deque[Message]] = {neighbour: deque(maxlen=rounds) for neighbour in self._edges}
        self._stepped = False

    def board(self) -> Board:
        """Return the sum of all edges, as a board."""
        total = self._sum(self._filled())
        return View(total[:-TAIL], self._seat.n_shards, round(float(total[-TAIL])))

    def put(self, message: Message) -> None:
        """Take in a contribution of one's own, or a neighbour's sum."""
        if message.worker == self._seat.worker:
            slot = self._own.setdefault(message.shard, len(self._edges) + len(self._own))
            tail = np.array([1.0, float(message.clock), float(message.clock)])
            message = message._replace(payload=np.concatenate([message.payload, tail]))
            self._stepped = True
        else:
            slot = self._edges[message.worker]
        self._slots.put(message._replace(shard=slot))

    def outgoing(self) -> Outgoing:
        """Return for each neighbour the sum of all that it did not tell itself, where that is news."""
        stepped, self._stepped = self._stepped, False
        out: Outgoing = []
        for neighbour, edge in self._edges.items():
            rest = self._filled(without=edge)
            if len(rest) < len(self._edges) - 1 + max(len(self._own), 1):
                continue
            facts = self._facts(rest)
            if self._exact and facts[1] != facts[2]:
                continue
            if facts != self._told.get(neighbour) or (stepped and not self._exact):
                self._told[neighbour] = facts
                message = self._message(rest[-1], self._sum(rest))
                self._last[neighbour].append(message)
                out.append(((neighbour,), message))
        return out

    def memory(self) -> Outgoing:
        """Return what each neighbour was told last, and the round before."""
        return [((neighbour,), message) for neighbour, last in self._last.items() for message in last]

    def _message(self, like: Message, total: Floats) -> Message:
        self._sent += 1
        clock = int(total[-1]) if self._exact else self._sent
        sender = (self._seat.run, self._seat.worker, self._seat.incarnation)
        return Message(*sender, -1, clock, like.kind, total, role=like.role)

    def oldest(self) -> int:
        """Return the oldest clock among the contributions of all shards; 0 while some are missing."""
        count, oldest, _ = self._facts(self._filled())
        return int(oldest) if round(count) == self._seat.n_shards else 0

    def newest(self) -> int:
        """Return the newest clock that is known; 0 while there is none."""
        return int(self._facts(self._filled())[2])

    def of(self, worker: int) -> list[Message]:
        """Return nothing: sums do not tell their parts."""
        return []

    def _filled(self, without: int = -1) -> list[Message]:
        slots = (self._slots.slot(i) for i in range(len(self._edges) + len(self._own)) if i != without)
        return [slot for slot in slots if slot is not None]

    def _sum(self, messages: Sequence[Message]) -> Floats:
        if not messages:
            return np.zeros(TAIL)
        total: Floats = np.sum([message.payload for message in messages], axis=0)
        total[-TAIL:] = self._facts(messages)
        return total

    def _facts(self, messages: Sequence[Message]) -> tuple[float, float, float]:
        """Return how many contributions there are, and the oldest and the newest clock; payloads may differ in size."""
        if not messages:
            return 0.0, 0.0, 0.0
        count, oldest, newest = zip(*(message.payload[-TAIL:].tolist() for message in messages), strict=True)
        return sum(count), min(oldest), max(newest)
