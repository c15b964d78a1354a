"""The variants that ``offbeat simulate`` compares: which there are, their runs and their results."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from offbeat.commands import cluster_options
from offbeat.commands.simulation_certificates import CandidateLog
from offbeat.data.dataset import Dataset
from offbeat.diagnostics.display import Activity
from offbeat.diagnostics.formatting import duration
from offbeat.diagnostics.progress import QUIET
from offbeat.diagnostics.trace import Trace
from offbeat.engines import Simulated
from offbeat.engines.simulation.faults import Fault
from offbeat.engines.simulation.models import Model
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.inspection import Options
from offbeat.fit.settings import FitArguments, Settings
from offbeat.fit.solve import fit
from offbeat.problem import Problem
from offbeat.sideways.protocol import Solver
from offbeat.sideways.schedule import Stealing
from offbeat.topology import Hub

HUB = -1  # number of the hub among the workers of a simulation
EVENTS_PER_REFRESH = 64  # events of a simulation between updates of the display
MODES = ("even", "barrier", "barrier-stealing", "async", "async-stealing")
"""Ways to run a fit, in the order in which they are shown."""
VARIED = ("workers", "straggler", "staleness", "latency", "bandwidth", "topology", "solver")
"""What ``--vary`` can vary."""


@dataclass(frozen=True)
class Machines:
    """A cluster: how many workers, how fast, and what goes wrong. ``compute`` is seconds of a worker's even share."""

    workers: int
    compute: Model
    latency: Model
    bandwidth: float
    straggler: Mapping[int, float]
    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def engine(self, after: Callable[[Any], Any] | None = None) -> Simulated:
        """Return the engine."""
        return Simulated(
            self.workers, self.compute, self.latency, self.bandwidth, dict(self.straggler), self.faults, self.seed,
            after,
        )  # fmt: skip

    def resized(self, workers: int) -> Machines:
        """Return a cluster of as many of the same workers, which share the same rows."""
        return replace(self, workers=workers, compute=cluster_options.scaled(self.compute, self.workers / workers))


@dataclass(frozen=True)
class Variant:
    """One way to run the fit. ``reference`` names the variant that its time is compared with."""

    name: str
    machines: Machines
    solver: Solver
    staleness: float = 0.0
    topology: Any = field(default_factory=Hub)
    stealing: Stealing | None = None
    reference: str = ""

    @property
    def mode(self) -> str:
        """Barrier or not, pinned or not, in words."""
        return "barrier" if self.staleness == 0 else "asynchronous"


@dataclass(frozen=True)
class Result:
    """The result of a variant. Bytes of a worker are those it sent and received; ``seconds`` are virtual."""

    variant: Variant
    status: str
    trace: Trace
    seconds: float = math.nan
    passes: float = math.nan
    relative_gap: float = math.nan
    messages: int = 0
    lost: int = 0
    bytes: int = 0
    busiest_worker: int = 0
    coordinator: int = 0

    @property
    def converged(self) -> bool:
        """Whether it reached the tolerance."""
        return self.status == "converged"


@dataclass(frozen=True)
class Task:
    """What all variants solve, and when they stop."""

    problem: Problem
    dataset: Dataset
    options: Options
    max_iter: float = 1000.0
    time_limit: float | None = None


def in_modes(base: Variant, modes: Sequence[str], staleness: float) -> list[Variant]:
    """Return a variant for each mode that the solver and the topology allow.

    Parameters
    ----------
    base : Variant
    modes : sequence of str
        Some of `MODES`.
    staleness : float
        Of the modes without barrier.
    """
    hub = isinstance(base.topology, Hub)
    cut = base.stealing or Stealing()
    even = replace(base.machines, straggler={}, faults=())
    made = {
        "even": replace(base, name="even cluster, barrier", machines=even, stealing=None),
        "barrier": replace(base, name="barrier, pinned", stealing=None),
        "barrier-stealing": replace(base, name="barrier, stealing", stealing=cut),
        "async": replace(base, name="asynchronous, pinned", stealing=None, staleness=staleness),
        "async-stealing": replace(base, name="asynchronous, stealing", stealing=cut, staleness=staleness),
    }
    able = [
        made[mode] for mode in MODES
        if mode in modes and made[mode].staleness <= base.solver.max_staleness and (hub or not made[mode].stealing)
    ]  # fmt: skip
    return [replace(variant, reference=able[0].name) for variant in able]


def varied(base: Variant, modes: Sequence[str], staleness: float, key: str, values: Sequence[Any]) -> list[Variant]:
    """Return the variants of every mode for each value of what is varied, mode by mode.

    Parameters
    ----------
    base : Variant
    modes : sequence of str
    staleness : float
    key : str
        One of `VARIED`.
    values : sequence
    """
    by_mode: dict[str, list[Variant]] = {}
    for value, shown in values:
        beyond = value if key == "staleness" else staleness
        wanted = modes if beyond > 0 else ["barrier"]
        for variant in in_modes(_with(base, key, value), wanted, beyond):
            group = "" if key == "staleness" else f", {variant.name}"
            by_mode.setdefault(group, []).append(replace(variant, name=f"{key} {shown}{group}"))
    return [replace(v, reference=group[0].name) for group in by_mode.values() for v in group]


def _with(base: Variant, key: str, value: Any) -> Variant:
    machines = base.machines
    if key == "workers":
        return replace(base, machines=machines.resized(value))
    if key == "straggler":
        slow = {worker: value for worker in machines.straggler or {0: value}}
        return replace(base, machines=replace(machines, straggler=slow))
    if key in ("latency", "bandwidth"):
        return replace(base, machines=replace(machines, **{key: value}))
    return base if key == "staleness" else replace(base, **{key: value})


def simulate(variants: Sequence[Variant], task: Task, *, quiet: bool = False) -> Iterator[Result]:
    """Run the variants one after another; after Ctrl-C, the rest is left out.

    Parameters
    ----------
    variants : sequence of Variant
    task : Task
    quiet : bool
        Show no progress.
    """
    with Activity(quiet=quiet, after=QUIET) as activity:
        meter = _Meter(len(variants), activity)
        for variant in variants:
            meter.begin(variant.name)
            result = _run(variant, task, meter)
            yield result
            if result.status == "interrupted":
                return


def _run(variant: Variant, task: Task, meter: _Meter) -> Result:
    candidates = CandidateLog()
    arguments = FitArguments(
        solver=variant.solver, engine=variant.machines.engine(meter.observe),
        settings=Settings(variant.staleness, variant.topology, variant.stealing), max_iter=task.max_iter,
        time_limit=task.time_limit, random_state=variant.machines.seed, progress=False, watch=candidates.watch,
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the table says it
            solution = fit(task.problem, task.dataset, task.options, arguments)
    except ProblemError as error:
        return Result(variant, f"failed: {error}", Trace())
    trace = candidates.certified(solution.trace, task.problem, task.dataset, task.options)
    facts, traffic = solution.trace.metadata, meter.world.traffic
    loads = {w: traffic.bytes.get(w, 0) + traffic.received.get(w, 0) for w in {*traffic.bytes, *traffic.received}}
    return Result(
        variant, solution.status, trace, float(facts["seconds"]), solution.passes,
        solution.certificate.relative_gap, int(facts["messages"]), traffic.lost, int(facts["bytes"]),
        max((load for worker, load in loads.items() if worker != HUB), default=0), loads.get(HUB, 0),
    )  # fmt: skip


class _Meter:
    """Shows on a terminal which variant runs and how far it is, once that takes longer than two seconds."""

    def __init__(self, count: int, activity: Activity) -> None:
        self._count, self._at, self._name = count, 0, ""
        self._activity, self._events = activity, 0
        self.world: Any = None

    def begin(self, name: str) -> None:
        """Take note of the next variant."""
        self._at, self._name, self._events = self._at + 1, name, 0

    def observe(self, simulation: Any) -> None:
        """Take note of an event of the simulation."""
        self.world = simulation.world
        self._events += 1
        if self._events % EVENTS_PER_REFRESH == 0 and self._activity.due:
            moment = f"{duration(self.world.now)} of virtual time, {self._events:,} events"
            self._activity.say(f"variant {self._at} of {self._count}: {self._name}, {moment}")
