"""Who is in the cluster: ranks of a run, the workers they stand for, who came and who went."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from distributed import Client, Future, wait

from offbeat.engines.dask.by_value import by_value
from offbeat.errors import ProblemError

if TYPE_CHECKING:
    from offbeat.engines.dask.cluster import RemoteShard
    from offbeat.engines.dask.engine import Dask

EVERY = 1.0  # seconds between looks at who is there
TIDY = 5.0  # seconds that workers have for tidying up
ALIVE = ("running", "paused")
BEATS, WORKERS_A_BEAT = 3.0, 200  # heartbeats that may be missing; workers for which Dask makes one a second longer
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
        self._workers = Workers(client, engine.silence)
        self._addresses = {shard.rank: shard.home for shard in shards}
        self._known = set(self._addresses.values())  # others that are there come at the first look, to help out
        self._count = len(self._addresses)
        self._looked = 0.0
        self._absence = Absence(engine.timeout)

    def address(self, rank: int) -> str | None:
        """Return the worker of a rank; None when it is gone."""
        return self._addresses.get(rank)

    def look(self, now: float) -> tuple[list[int], list[int]]:
        """Return the ranks that came and those that went since the last look, at most once a second.

        Raises
        ------
        ProblemError
            The scheduler is gone, or no worker goes on in time: all are gone, or paused.
        """
        check_scheduler(self._client)
        if now - self._looked < EVERY:
            return [], []
        self._looked = now
        here = self._workers.look(now)
        return ([], []) if here is None else self._compare(here, now)

    def _compare(self, here: Present, now: float) -> tuple[list[int], list[int]]:
        alive = here.running.keys() | here.paused
        went = [rank for rank, address in self._addresses.items() if address not in alive]
        for rank in went:
            del self._addresses[rank]
        came = []
        for address in sorted(here.running.keys() - self._known):
            for _ in range(here.running[address]):
                self._addresses[self._count] = address
                came.append(self._count)
                self._count += 1
        self._known = (self._known & alive) | here.running.keys()
        self._absence.see(here, now)
        return came, went


class Present(NamedTuple):
    """Workers that are there: threads of those that start tasks, by address; those that are paused.

    ``busy``: some paused worker has not finished the tasks that it runs.
    """

    running: dict[str, int]
    paused: frozenset[str] = frozenset()
    busy: bool = False


class Workers:
    """Looks at who is in a cluster, and takes out who has fallen silent.

    The data of a silent worker would otherwise be waited for: only when the scheduler counts it as gone, it is made
    anew elsewhere. Times are those of the caller's clock: those of other machines may be set while a fit runs.

    Parameters
    ----------
    client : Client
    silence : float
        Seconds after which a worker is silent that the scheduler has not heard of, while it has heard of another.
    """

    def __init__(self, client: Client, silence: float) -> None:
        self._client, self._silence = client, silence
        self._heard: dict[
            str, tuple[float, float]
        ] = {}  # the scheduler's time of the last sign of life; when it was news
        self._suspects: set[str] = set()

    def look(self, now: float) -> Present | None:
        """Return who is there, None when that cannot be asked now.

        Raises
        ------
        ProblemError
            The scheduler is gone.
        """
        try:
            here = facts_of_workers(self._client)
        except (OSError, TimeoutError):  # the connection is being made anew, or will be reported as gone
            return None
        for address in self._silent({a: facts["last_seen"] for a, facts in here.items()}, now):
            _take_out(self._client, address, self._silence)
            del here[address]
        return present(here)

    def _silent(self, seen: Mapping[str, float], now: float) -> list[str]:
        """Return workers that were silent at this look and the one before."""
        old = self._heard
        self._heard = {a: old[a] if a in old and old[a][0] == last else (last, now) for a, last in seen.items()}
        newest = max((heard for _, heard in self._heard.values()), default=0.0)
        longest = max(self._silence, BEATS * (1.0 + len(seen) / WORKERS_A_BEAT))
        silent = {address for address, (_, heard) in self._heard.items() if newest - heard > longest}
        found, self._suspects = sorted(silent & self._suspects), silent
        return found


def present(facts: Mapping[str, Any]) -> Present:
    """Return who is there by what the scheduler knows of each worker."""
    running = {a: int(each["nthreads"]) for a, each in facts.items() if each.get("status", "running") == "running"}
    paused = {address: each for address, each in facts.items() if address not in running}
    counts = [each.get("metrics", {}).get("task_counts", {}) for each in paused.values()]
    return Present(running, frozenset(paused), any(count.get("executing", 0) for count in counts))


class Absence:
    """How long no worker has gone on.

    Parameters
    ----------
    timeout : float
        Seconds that this may last.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._since: float | None = None

    def see(self, here: Present, now: float) -> None:
        """Take note of who is there.

        Raises
        ------
        ProblemError
            All have been gone or paused for too long.
        """
        if here.running or here.busy:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since > self._timeout:
            raise nobody(here, self._timeout)


def wait_for(client: Client, futures: Sequence[Future[Any]], timeout: float) -> None:
    """Wait until tasks have ended.

    Raises
    ------
    ProblemError
        The scheduler is gone, or no worker has gone on for so many seconds.
    """
    absence = Absence(timeout)
    while True:
        with suppress(TimeoutError):
            wait(futures, timeout=EVERY)
            return
        with suppress(OSError):
            absence.see(present(facts_of_workers(client)), time.monotonic())


def check_scheduler(client: Client, *, connecting: bool = True) -> None:
    """Raise `ProblemError` if the scheduler is gone; ``connecting``: a client that tries again is given the time."""
    if client.status != "running" and not (connecting and client.status == "connecting"):
        raise scheduler_gone(client)


def scheduler_gone(client: Client) -> ProblemError:
    """Return the error that says that the scheduler does not answer."""
    return ProblemError(
        f"the Dask scheduler is gone (the client is {client.status}): start a cluster, and go on from a checkpoint "
        "with resume= if the fit kept one"
    )


def nobody(here: Present, timeout: float) -> ProblemError:
    """Return the error that says why no worker goes on."""
    if here.paused:
        return ProblemError(
            f"the Dask cluster has {len(here.paused)} workers, and all are paused because their memory is nearly full; "
            f"none went on within {timeout:g} s: give workers more memory, or start more of them, or raise the timeout "
            "of engines.Dask"
        )
    return ProblemError(
        f"all workers of the Dask cluster are gone, and none came back within {timeout:g} s: start some, or raise the "
        "timeout of engines.Dask"
    )


def _take_out(client: Client, address: str, silence: float) -> None:
    try:
        client.run_on_scheduler(by_value(_remove), address)
        log.warning("worker %s has not been heard of for %g s: taken out", address, silence)
    except Exception as error:  # what a scheduler that refuses raises
        log.info("worker %s, silent for %g s, cannot be taken out (%r): left to Dask", address, silence, error)


async def _remove(address: str, dask_scheduler: Any = None) -> None:
    from time import time

    await dask_scheduler.remove_worker(address, stimulus_id=f"offbeat-silent-{time()}", close=False)


def facts_of_workers(client: Client) -> dict[str, Any]:
    """Return what the scheduler knows of each worker that runs or is paused, by address.

    Raises
    ------
    ProblemError
        The scheduler is gone.
    OSError
        It does not answer now.
    """
    check_scheduler(client)
    scheduler: Any = client.scheduler
    try:
        workers = client.sync(scheduler.identity, n_workers=-1)["workers"]  # what a client keeps may be old
    except OSError:
        raise
    except Exception:
        check_scheduler(client)  # it may have gone since
        raise
    return {address: facts for address, facts in workers.items() if facts.get("status", "running") in ALIVE}


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
