"""Where shards are at home, how far each has come, and which wait for a worker."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection


class Homes:
    """The clocks of the shards, their homes, and heaps of those that wait.

    Shard ``s`` is at first at home on worker ``s * n_workers // n_shards``. Taking a shard, giving it back and moving
    it cost the logarithm of the number of shards.

    Parameters
    ----------
    n_shards, n_workers : int
    common : bool
        Whether to keep what any worker may take, besides what each has at home.
    """

    def __init__(self, n_shards: int, n_workers: int, *, common: bool) -> None:
        self.n_shards, self.n_workers = n_shards, n_workers
        self.clocks = [0] * n_shards
        self.slowest = 0
        self.of = [s * n_workers // n_shards for s in range(n_shards)]
        self.waits = [False] * n_shards
        self.since = [0.0] * n_shards  # when each began to wait
        self.now = 0.0
        self._common = common
        self._idle: dict[int, list[tuple[int, int]]] = {w: [] for w in range(n_workers)}  # heaps; some are out of date
        self._all: list[tuple[int, int, int]] = []  # likewise, of all workers: what there is to steal
        self._counts = {0: n_shards}  # shards at each clock
        for shard in range(n_shards):
            self.give_back(shard)

    @property
    def level(self) -> bool:
        """Whether all shards have reported equally often: a round has ended."""
        return len(self._counts) == 1

    def advance(self, shard: int) -> bool:
        """Take note that a shard's step is done, so that it waits for the next; whether the slowest went on."""
        clock = self.clocks[shard]
        self.clocks[shard] = clock + 1
        self._counts[clock + 1] = self._counts.get(clock + 1, 0) + 1
        self._counts[clock] -= 1
        first = False
        if not self._counts[clock]:
            del self._counts[clock]
            first = clock == self.slowest
            self.slowest += first
        self.give_back(shard)
        return first

    def give_back(self, shard: int) -> None:
        """Have a shard wait for a worker. Thieves begin at the far end of what a worker has to do."""
        self.waits[shard], self.since[shard] = True, self.now
        heapq.heappush(self._idle[self.of[shard]], (self.clocks[shard], shard))
        if self._common:
            heapq.heappush(self._all, (self.clocks[shard], -shard, shard))

    def take(self, worker: int, limit: float) -> int | None:
        """Return the waiting shard at home here that is furthest behind, if its clock is within the limit."""
        if self.oldest(worker) > limit or not self._idle[worker]:
            return None
        shard = heapq.heappop(self._idle[worker])[1]
        self.begin(shard)
        return shard

    def furthest_behind(self, limit: float) -> int | None:
        """Return the waiting shard, anybody's, that is furthest behind, if its clock is within the limit."""
        while self._all:
            clock, _, shard = self._all[0]
            if self.waits[shard] and self.clocks[shard] == clock:
                return None if clock > limit else shard
            heapq.heappop(self._all)
        return None

    def begin(self, shard: int) -> None:
        """Have a shard wait no longer, whoever took it."""
        self.waits[shard] = False

    def oldest(self, worker: int) -> float:
        """Return the clock of the waiting shard at home here that is furthest behind; ``inf`` if none waits."""
        heap = self._idle[worker]
        while heap:
            clock, shard = heap[0]
            if self.waits[shard] and self.clocks[shard] == clock and self.of[shard] == worker:
                return clock
            heapq.heappop(heap)
        return math.inf

    def welcome(self, worker: int, workers: Collection[int]) -> list[int]:
        """Return the shards that move to a worker when it comes: those it had at the start, or an even share.

        Those that nobody is left for go with them.
        """
        self._idle.setdefault(worker, [])
        left = [s for s in range(self.n_shards) if self.of[s] not in workers]
        if worker < self.n_workers:
            mine = {s for s in range(self.n_shards) if s * self.n_workers // self.n_shards == worker}
            return sorted(mine.union(left))
        owned = Counter(home for home in self.of if home in workers)
        taken = left
        while owned and max(owned.values()) > len(taken) + 1:
            richest = max(owned, key=lambda w: (owned[w], -w))
            taken.append(next(s for s in range(self.n_shards) if self.of[s] == richest and s not in taken))
            owned[richest] -= 1
        return taken

    def move(self, shard: int, worker: int) -> None:
        """Give a shard another home."""
        self.of[shard] = worker
        if self.waits[shard]:
            heapq.heappush(self._idle[worker], (self.clocks[shard], shard))
