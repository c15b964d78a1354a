"""Where ranks of a gang sit: at most one on a thread, next to its shard; who went, and where there is room."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from distributed import Client

from offbeat.engines.dask.cluster import RemoteShard
from offbeat.engines.dask.members import EVERY, Present, Workers, check_scheduler, nobody
from offbeat.errors import ProblemError

if TYPE_CHECKING:
    from offbeat.engines.dask.engine import Dask

LOOK = 0.1  # seconds between them while workers are awaited


class Seats:
    """Threads of the workers, and which of them ranks take.

    Parameters
    ----------
    engine : Dask
    client : Client
    shards : sequence of RemoteShard
        One a rank.
    """

    def __init__(self, engine: Dask, client: Client, shards: Sequence[RemoteShard]) -> None:
        self._engine, self._client, self._shards = engine, client, shards
        self._workers = Workers(client, engine.silence)
        self._present = Present({})
        self._looked = 0.0

    def first(self) -> list[str]:
        """Return a worker for each rank: that of its shard if there is room, else any.

        Raises
        ------
        ProblemError
            There are more ranks than threads, and no more come in time.
        """
        count, end = len(self._shards), time.monotonic() + self._engine.timeout
        here = self._engine.threads()
        while sum(here.values()) < count:
            if time.monotonic() > end:
                raise ProblemError(
                    f"{count} peers need a thread each, and the Dask cluster has {sum(here.values())}: start "
                    "more workers, cut the data into fewer parts, or use topology.Hub()"
                )
            time.sleep(LOOK)
            here = self._engine.threads()
        self._present = Present(here)
        taken: list[str] = []
        homes = [shard.home for shard in self._shards]
        room = Counter(here)
        room.subtract(homes)
        for home in homes:
            if here.get(home, 0) > taken.count(home):
                taken.append(home)
            else:
                taken.append(max(room, key=lambda address: (room[address], address)))
                room[taken[-1]] -= 1
        return taken

    def look(self, *, now: bool = False) -> bool:
        """See who is there, at most once a second unless it matters now; return whether that was done.

        Raises
        ------
        ProblemError
            The scheduler is gone.
        """
        check_scheduler(self._client)
        if time.monotonic() - self._looked < (LOOK if now else EVERY):
            return False
        here = self._workers.look(time.monotonic())
        if here is None:
            return False
        self._present = here
        self._looked = time.monotonic()
        return True

    @property
    def paused(self) -> frozenset[str]:
        """Workers that were paused at the last look: they finish what they run, and start nothing."""
        return self._present.paused

    def nobody(self) -> ProblemError:
        """Return the error that says why there is no room."""
        return nobody(self._present, self._engine.timeout)

    def gone(self, addresses: Collection[str]) -> set[str]:
        """Return which of these workers were not there at the last look, or were about to leave."""
        return set(addresses) - self._present.running.keys() - self._present.paused

    def another(self, taken: Collection[str], *, crowded: bool = False) -> str | None:
        """Return the worker with the most threads that no rank takes; None when there is none.

        ``crowded`` lets ranks share threads: those of ranks do not belong to Dask's pool.
        """
        room = Counter(self._present.running)
        room.subtract(taken)
        free = [address for address in self._present.running if crowded or room[address] > 0]
        return max(free, key=lambda address: (room[address], address), default=None)
