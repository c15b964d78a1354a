"""Who is in the cluster: ranks of a run, the workers they stand for, who came and who went."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed import Client

from offbeat.engines.dask.by_value import by_value
from offbeat.engines.dask.cluster import RemoteShard
from offbeat.errors import ProblemError

if TYPE_CHECKING:
    from offbeat.engines.dask.engine import Dask

EVERY = 1.0  # seconds between looks at who is there
TIDY = 5.0  # seconds that workers have for tidying up
log = logging.getLogger("offbeat")


class Members:
    """Threads of workers have ranks; those of a worker that goes are not used again.

    The first ranks are those that the shards were cut for.

    Parameters
    ----------
    engine : Dask
    client : Client
    shards : sequence of RemoteShard
    """

    def __init__(self, engine: Dask, client: Client, shards: Sequence[RemoteShard]) -> None:
        self._engine, self._client = engine, client
        self._addresses = {shard.rank: shard.home for shard in shards}
        self._known = set(self._addresses.values())  # others that are there come at the first look, to help out
        self._count = len(self._addresses)
        self._looked = 0.0
        self._alone: float | None = None

    def address(self, rank: int) -> str | None:
        """Return the worker of a rank; None when it is gone."""
        return self._addresses.get(rank)

    def look(self, now: float) -> tuple[list[int], list[int]]:
        """Return the ranks that came and those that went since the last look, at most once a second.

        Raises
        ------
        ProblemError
            The scheduler is gone, or all workers are, and none came back in time.
        """
        check_scheduler(self._client)
        if now - self._looked < EVERY:
            return [], []
        self._looked = now
        here = present(self._client, self._engine.silence)
        return ([], []) if here is None else self._compare(here, now)

    def _compare(self, here: dict[str, int], now: float) -> tuple[list[int], list[int]]:
        went = [rank for rank, address in self._addresses.items() if address not in here]
        for rank in went:
            del self._addresses[rank]
        came = []
        for address in sorted(here.keys() - self._known):
            for _ in range(here[address]):
                self._addresses[self._count] = address
                came.append(self._count)
                self._count += 1
        self._known = set(here)
        if self._addresses:
            self._alone = None
        elif self._alone is None:
            self._alone = now
        elif now - self._alone > self._engine.timeout:
            raise all_gone(self._engine.timeout)
        return came, went


def check_scheduler(client: Client, *, connecting: bool = True) -> None:
    """Raise `ProblemError` if the scheduler is gone; ``connecting``: a client that tries again is given the time."""
    if client.status != "running" and not (connecting and client.status == "connecting"):
        raise ProblemError(
            f"the Dask scheduler is gone (the client is {client.status}): start a cluster, and go on from a checkpoint "
            "with resume= if the fit kept one"
        )


def all_gone(timeout: float) -> ProblemError:
    """Return the error that says that no worker is left."""
    return ProblemError(
        f"all workers of the Dask cluster are gone, and none came back within {timeout:g} s: start some, or raise the "
        "timeout of engines.Dask"
    )


def present(client: Client, silence: float) -> dict[str, int] | None:
    """Return the threads of the workers that are there, None when that cannot be asked now.

    A worker that has not been heard of for so many seconds is taken out of the cluster. Its data would otherwise be
    waited for: only when the scheduler counts it as gone, it is made anew elsewhere.
    """
    try:
        here = facts_of_workers(client)
    except (OSError, TimeoutError):  # the connection is being made anew, or will be reported as gone
        return None
    newest = max((facts["last_seen"] for facts in here.values()), default=0.0)
    for address, facts in list(here.items()):
        if newest - facts["last_seen"] > silence:
            _take_out(client, address, silence)
            del here[address]
    return {address: int(facts["nthreads"]) for address, facts in here.items()}


def _take_out(client: Client, address: str, silence: float) -> None:
    try:
        client.run_on_scheduler(by_value(_remove), address)
        log.warning("worker %s has not been heard of for %g s: taken out", address, silence)
    except Exception as error:  # what a scheduler that refuses raises
        log.info("worker %s, silent for %g s, cannot be taken out (%r): left to Dask", address, silence, error)


async def _remove(address: str, dask_scheduler: Any = None) -> None:
    from time import time

    await dask_scheduler.remove_worker(address, stimulus_id=f"offbeat-silent-{time()}", close=False)


def threads_of_workers(client: Client) -> dict[str, int]:
    """Return the number of threads of each worker that runs, by address."""
    return {address: int(facts["nthreads"]) for address, facts in facts_of_workers(client).items()}


def facts_of_workers(client: Client) -> dict[str, Any]:
    """Return what the scheduler knows of each worker that runs, by address."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address: facts for address, facts in workers.items() if facts.get("status", "running") == "running"}


def everywhere(client: Client, function: Callable[..., Any], *args: Any) -> None:
    """Run a function on all workers; one that hangs is not waited for, nor are errors reported."""
    if client.status != "running":
        return

    def run() -> None:
        with suppress(Exception):
            client.run(function, *args, on_error="ignore")

    thread = threading.Thread(target=run, name="offbeat_everywhere", daemon=True)
    thread.start()
    thread.join(TIDY)
