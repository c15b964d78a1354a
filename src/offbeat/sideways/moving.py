"""When a shard whose rows must be moved goes to another worker, and to whom it belongs from then on."""

from __future__ import annotations

import math

TRIAL = 10.0  # times its last step that a worker has been idle, until it is tried again whatever that step took


class Moving:
    """Who holds which rows, how fast each worker was last, and since when each has been idle.

    A worker that has nothing to do takes a shard that has been waiting for as long as the worker would need for it: its
    last step, and moving the rows if it does not hold them. So a wait is at most doubled by not having been foreseen,
    and a slow one leaves shards to others who get to them sooner. A shard is then at home where it was done first.

    Where moving costs nothing, shards go to whoever is idle, and have the same home for good.

    Parameters
    ----------
    homes : sequence of int
        The worker that holds each shard at the start.
    seconds : float
        What moving a shard takes.
    """

    def __init__(self, homes: list[int], seconds: float) -> None:
        self._seconds = seconds
        self._held = {(worker, shard) for shard, worker in enumerate(homes)}
        self._pace: dict[int, float] = {}
        self._idle: dict[int, float] = {}

    @property
    def costs(self) -> bool:
        """Whether moving takes any time."""
        return self._seconds > 0.0

    def due(self, worker: int, shard: int, since: float) -> float:
        """Return when a worker may take a shard that has been waiting since a time."""
        if not self.costs:
            return since
        ready = since if (worker, shard) in self._held else since + self._seconds
        pace = self._pace.get(worker, 0.0)
        return min(ready + pace, max(ready, self._idle.get(worker, math.inf) + TRIAL * pace))

    def begins(self, worker: int, shard: int) -> None:
        """Take note that a worker is given a step of a shard: it has the rows from then on."""
        self._held.add((worker, shard))
        self._idle.pop(worker, None)

    def parks(self, worker: int, now: float) -> None:
        """Take note that a worker has nothing to do."""
        self._idle.setdefault(worker, now)

    def ended(self, worker: int, duration: float) -> None:
        """Take note of how long a worker's step took."""
        self._pace[worker] = duration

    def lost(self, worker: int) -> None:
        """Forget a worker."""
        self._held = {pair for pair in self._held if pair[0] != worker}
        self._pace.pop(worker, None)
        self._idle.pop(worker, None)
