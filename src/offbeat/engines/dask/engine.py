"""The engine: a client, its workers, and where a run's steps go."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from dask.base import normalize_token
from distributed import Client

from offbeat.data.shards import Shard
from offbeat.engines.base import Listener, Loop, Steps, run_program
from offbeat.engines.dask import remote
from offbeat.engines.dask.cluster import RemoteShard, held_for_now, pinned
from offbeat.engines.dask.collections import is_placed
from offbeat.engines.dask.connection import address_of, connection, promptly
from offbeat.engines.dask.gang import Gang
from offbeat.engines.dask.hub import Host
from offbeat.engines.dask.members import Present, facts_of_workers, nobody, present, scheduler_gone
from offbeat.engines.dask.names import SHARD, task_key
from offbeat.engines.dask.page import Page
from offbeat.engines.dask.versions import check_versions
from offbeat.engines.interpreter import interpret
from offbeat.engines.stored import dask_engine
from offbeat.errors import ProblemError
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import Row
from offbeat.sideways.port import Program
from offbeat.sideways.schedule import Stealing
from offbeat.sideways.topologies import Broadcast, Peers

T = TypeVar("T")
PATIENCE = 20.0  # times the usual time of a step, after which a worker counts as hung and another one tries
LEAST = 5.0  # seconds of that, at least
FRESH = 0.5  # seconds that the list of workers may be old
EACH = 2  # shards a thread, where they may move: each step is a task, which costs some milliseconds
LATENCY, RATE = 0.1, 2e8  # seconds, and bytes a second: what moving a shard takes


@dataclass(frozen=True, eq=False)
class Dask:
    """Run steps on the workers of a Dask cluster, next to the data.

    Parameters
    ----------
    client : distributed.Client or str, optional
        Or the address of a scheduler. By default the current one: that of the running task, or the last that was made.
        Pickles and copies for other processes keep the address only.
    timeout : float
        Seconds to wait for workers when there are none.
    silence : float
        Seconds after which a worker that has not been heard of is taken out of the cluster, in the course of a fit.
    slowdown : mapping of int to float, optional
        Factors by which ranks are slowed with sleeps after each step: to see what stragglers do to a fit. Threads of
        workers have ranks in the order of the workers' addresses.
    ports : bool
        Whether peers may listen on ports of their own, at the addresses of their workers. Without, their messages
        travel over Dask's own connections between workers: slower, and otherwise the same.
    page : bool
        Whether fits of more than a second have a page, ``offbeat``, beside those of Dask's dashboard as long as they
        run: the gap against time.

    Examples
    --------
    >>> from distributed import Client
    >>> import dask.array as da
    >>> import offbeat
    >>> from offbeat import Problem, engines, losses, penalties
    >>> with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as client:
    ...     X = da.random.default_rng(0).normal(size=(1000, 3), chunks=(250, 3)).persist()
    ...     y = (X.sum(axis=1) > 0).astype(float)
    ...     problem = Problem(losses.Logistic(), penalties.L2(1e-3))
    ...     offbeat.solve(problem, X, y, engine=engines.Dask(client)).status
    'converged'
    """

    client: Any = None
    timeout: float = 30.0
    silence: float = 30.0
    slowdown: Mapping[int, float] = field(default_factory=dict)
    ports: bool = True
    page: bool = True
    _seen: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    name = "dask"
    virtual = False
    depth = 2
    usual = math.inf
    retry = math.inf

    def stealing(self, staleness: float, size: float) -> Stealing:
        """Return when shards move: of data of so many bytes.

        With a barrier, when a worker seems to hang; without, when moving rows takes no longer than they have waited.
        """
        if staleness == 0:
            return Stealing(patience=PATIENCE, shards_per_worker=1, least=LEAST)
        return Stealing(shards_per_worker=EACH, least=LATENCY + size / (self.n_workers * EACH * RATE))

    def connect(self) -> Client:
        """Return the client, for use in this thread."""
        return connection(self.client, self.timeout)

    def __reduce__(self) -> tuple[Any, ...]:
        """Store the settings, and the address of the scheduler in place of the client."""
        return dask_engine, (self._settings(),)

    def __copy__(self) -> Dask:
        """Return itself: it is a name for a cluster."""
        return self

    def __deepcopy__(self, memo: Any) -> Dask:
        """Return itself: copies of an estimator use the client that it has."""
        return self

    def __dask_tokenize__(self) -> Any:
        """Return what tells this engine from another, in the keys of Dask's tasks."""
        return normalize_token(("offbeat.engines.Dask", self._settings()))

    def _settings(self) -> dict[str, Any]:
        address = address_of(self.client)
        if address is not None:
            self._seen["address"] = address
        return {
            "client": self._seen.get("address", address), "timeout": self.timeout, "silence": self.silence,
            "slowdown": dict(self.slowdown), "ports": self.ports, "page": self.page,
        }  # fmt: skip

    def __post_init__(self) -> None:
        """Keep the address of the scheduler, which a client that is closed no longer tells."""
        self._settings()

    def threads(self) -> dict[str, int]:
        """Return the number of threads of each worker, by address.

        Raises
        ------
        ProblemError
            No worker runs, and none does in time; the scheduler is gone.
        """
        looked, known = self._seen.get("threads", (-math.inf, {}))
        if time.monotonic() - looked < FRESH:
            return dict(known)
        client = self.connect()
        try:
            found = present(facts_of_workers(client))
            if not found.running:
                found = self._awaited(client)
        except OSError:
            raise scheduler_gone(client) from None
        self._seen["threads"] = (time.monotonic(), found.running)
        return dict(found.running)

    def _awaited(self, client: Client) -> Present:
        """Wait for a worker that runs."""
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=self.timeout)
        found = present(facts_of_workers(client))
        if not found.running:
            if found.paused:
                raise nobody(found, self.timeout)
            raise ProblemError(
                f"the Dask cluster has no workers, and none came within {self.timeout:g} s: start some, or raise the "
                "timeout of engines.Dask"
            )
        return found

    @property
    def n_workers(self) -> int:
        """Number of threads of all workers."""
        return sum(self.threads().values())

    def place(self, shards: list[Shard]) -> list[Shard]:
        """Send shards that are in this process to the workers, each to one; others are where they should be."""
        if not shards or isinstance(shards[0], RemoteShard):
            return shards
        client = self.connect()
        check_versions(client, self.threads())
        seats = [address for address, n in sorted(self.threads().items()) for _ in range(n)]
        placed = []
        ranks = min(len(seats), len(shards))
        with held_for_now(but_when_done=True) as futures:
            for number, shard in enumerate(shards):
                rank = number * ranks // len(shards)
                home = seats[rank]
                alone = replace(shard.alone(), cancelled=_never)
                futures += client.scatter({task_key(SHARD): alone}, workers=[home], hash=False).values()
                spans = shard.spans or ((shard.start, shard.stop),)
                placed.append(RemoteShard(number, shard.n_rows, rank, home, futures[-1], alone, spans))
        return cast("list[Shard]", placed)

    def release(self, shards: list[Shard]) -> None:
        """Have the workers forget shards, even if a traceback still refers to them."""
        for shard in cast("list[RemoteShard]", shards):
            shard.future.release()

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard], *, light: bool = False) -> list[T]:
        """Return ``function`` of each shard, in order: where the shards are."""
        client = self.connect()
        func = getattr(function, "func", function)
        name = getattr(func, "__name__", "look").strip("_<>").replace("_", "-")
        with promptly(client), held_for_now() as futures:
            for shard in cast("list[RemoteShard]", self.place(list(shards))):
                task = task_key(name)
                futures.append(
                    client.submit(remote.on_shard, function, shard.future, key=task, pure=False, **pinned(shard.home))
                )
            return cast("list[T]", client.gather(futures))

    def drive(self, loop: Loop, steps: Steps, listener: Listener) -> Outcome:
        """Interpret a hub loop to its end: each step is a task."""
        shards = self.place([steps.shards[i] for i in range(len(steps.shards))])
        client = self.connect()
        with promptly(client), self._shown(listener) as heard:
            host = Host(self, client, steps, cast("list[RemoteShard]", shards), heard)
            with closing(host):
                return interpret(loop, host.start, host.next, heard)

    def gang(self, program: Program, shards: list[Shard], topology: Peers, listener: Listener) -> list[Any]:
        """Run a program on every shard, each rank a task that stays on its worker."""
        placed = self.place(shards)
        try:
            with self._shown(listener) as heard:
                return Gang(self, self.connect(), program, cast("list[RemoteShard]", placed), topology, heard).run()
        finally:
            if placed is not shards:
                self.release(placed)

    @contextmanager
    def _shown(self, listener: Listener) -> Iterator[Listener]:
        """Show what a listener hears of a fit on a page of the dashboard, as long as that lasts."""
        if not self.page or not listener.about:
            yield listener
            return
        page = Page(self.connect(), listener.about)

        def record(row: Row) -> None:
            listener.record(row)
            page.add(row)

        try:
            yield replace(listener, record=record)
        finally:
            page.close()

    def run(self, program: Program, dataset: Any, *, topology: Peers | None = None) -> list[Any]:
        """Run a user's program, one rank a thread; see `offbeat.engines.base.run_program`.

        Parameters
        ----------
        program : callable
        dataset : Dataset, array or Dask collection
            The latter is cut where its parts lie.
        topology : Broadcast, Tree or Gossip, optional
        """
        from offbeat.engines.dask.placing import place  # which imports this module

        if not is_placed(dataset):
            return run_program(self, program, dataset, topology)
        data = place(dataset, None, engine=self)
        try:
            shards = data.shards(self.n_workers)
            try:
                return self.gang(program, shards, topology or Broadcast(), Listener(lead_ends=False))
            finally:
                self.release(shards)
        finally:
            data.release()


def _never() -> bool:
    return False
