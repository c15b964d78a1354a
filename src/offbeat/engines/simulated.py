"""A simulated cluster: real numerics, virtual time, one seed; no threads and no wall clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from offbeat.data.shards import Shard
from offbeat.engines.arguments import check_factors, check_workers
from offbeat.engines.base import Listener, Loop, Steps, run_program
from offbeat.engines.blas import one_blas_thread
from offbeat.engines.simulation.faults import Crash, Fault, Partition, Pause
from offbeat.engines.simulation.gang import Gang
from offbeat.engines.simulation.hub import Cluster
from offbeat.engines.simulation.models import Model, as_model
from offbeat.engines.simulation.world import Conditions, World
from offbeat.errors import ProblemError
from offbeat.sideways.loop import Outcome
from offbeat.sideways.port import Program
from offbeat.sideways.topologies import Peers

T = TypeVar("T")
RETRY = 2.0  # times the usual time of a step, after which it is asked for again where messages can be lost


@dataclass(frozen=True)
class Simulated:
    """Run steps and programs in virtual time, under any delay and fault; the same seed gives the same bytes.

    Parameters
    ----------
    n_workers : int
    compute : float or Model
        Seconds of a gradient pass over an even share of the rows; a step costs its work times that.
    latency : float or Model
        Seconds that a message is under way, besides its size.
    bandwidth : float
        Bytes a second that a machine can send, and receive.
    straggler : mapping of int to float
        Factors by which workers are slower than the others.
    faults : sequence of Fault
        See `offbeat.engines.faults`.
    seed : int
    after : callable, optional
        Called after every event: for tests.
    update : float
        Seconds that the coordinator takes for an update: what comes in meanwhile is taken in by the next.

    Examples
    --------
    >>> import offbeat
    >>> from offbeat import Problem, engines, losses, penalties
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> cluster = engines.Simulated(16, straggler={0: 10.0})
    >>> solution = offbeat.solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, engine=cluster)
    >>> solution.status, solution.trace.metadata["clock"]
    ('converged', 'virtual')
    """

    n_workers: int
    compute: float | Model = 0.01
    latency: float | Model = 0.0005
    bandwidth: float = 1e9
    straggler: Mapping[int, float] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    after: Callable[[Any], Any] | None = field(default=None, repr=False)
    update: float = 0.0

    name = "simulated"
    virtual = True
    depth = 1

    def __post_init__(self) -> None:
        """Refuse clusters that cannot be."""
        check_workers("Simulated", self.n_workers)
        for seconds in (self.compute, self.latency, self.update):
            as_model(seconds)
        check_factors("straggler of Simulated", self.straggler)
        if not isinstance(self.faults, list | tuple):
            raise ProblemError(f"faults of Simulated is {self.faults!r}; give a list of faults")
        if wrong_kind := [fault for fault in self.faults if not isinstance(fault, get_args(Fault))]:
            raise ProblemError(f"faults of Simulated holds {wrong_kind[0]!r}; give faults of offbeat.engines.faults")
        if not self.bandwidth > 0.0:
            raise ProblemError(f"bandwidth of Simulated is {self.bandwidth}; give bytes a second, above 0")
        named = [*self.straggler, *(f.worker for f in self.faults if isinstance(f, (Crash, Pause)))]
        named += [worker for f in self.faults if isinstance(f, Partition) for worker in f.workers]
        if wrong := [w for w in named if not 0 <= w < self.n_workers]:
            raise ProblemError(f"workers {wrong} are named as slow or faulty; workers are 0 to {self.n_workers - 1}")

    @property
    def usual(self) -> float:
        """A guess of the seconds of a step."""
        return 2.0 * (as_model(self.compute).typical + 2.0 * as_model(self.latency).typical)

    @property
    def retry(self) -> float:
        """When to ask again: after a few times the usual time, if anything can go wrong at all."""
        return RETRY if self.faults else math.inf

    def place(self, shards: list[Shard]) -> list[Shard]:
        """Return the shards as they are."""
        return shards

    def release(self, shards: list[Shard]) -> None:
        """Do nothing: they go with the last that refers to them."""

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard], *, light: bool = False) -> list[T]:
        """Return ``function`` of each shard, in order; takes no virtual time."""
        with one_blas_thread():
            return [function(shard) for shard in shards]

    def drive(self, loop: Loop, steps: Steps, listener: Listener) -> Outcome:
        """Interpret a hub loop to its end."""
        world = self._world([steps.shards[i] for i in range(len(steps.shards))])
        with one_blas_thread():
            outcome = Cluster(world, steps, listener, self.after, update=self.update).run(loop)
        _tell(world, listener)
        return outcome

    def gang(self, program: Program, shards: list[Shard], topology: Peers, listener: Listener) -> list[Any]:
        """Run a program on every shard, side by side in virtual time."""
        world = self._world(shards)
        with one_blas_thread():
            results = Gang(world, program, shards, topology, listener, self.after).run()
        _tell(world, listener)
        return results

    def run(self, program: Program, dataset: Any, *, topology: Peers | None = None) -> list[Any]:
        """Run a user's program, one rank a simulated worker; see `offbeat.engines.base.run_program`."""
        return run_program(self, program, dataset, topology)

    def _world(self, shards: list[Shard]) -> World:
        conditions = Conditions(
            as_model(self.compute), as_model(self.latency), self.bandwidth, self.straggler, tuple(self.faults),
            self.seed,
        )  # fmt: skip
        workers = min(self.n_workers, len(shards))
        return World(conditions, workers, sum(shard.n_rows for shard in shards) / workers)


def _tell(world: World, listener: Listener) -> None:
    """Report time and traffic."""
    traffic = world.traffic
    listener.report(
        {
            "seconds": repr(world.now),
            "messages": str(sum(traffic.messages.values())),
            "bytes": str(sum(traffic.bytes.values())),
            "bytes of the busiest": str(max(traffic.bytes.values(), default=0)),
            "messages lost": str(traffic.lost),
        }
    )
