"""From the options of ``offbeat simulate`` to the data and the variants that it compares."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from offbeat import datasets
from offbeat.commands import cluster_options, problem_options, terminal, training_data
from offbeat.commands.options import DataRequest, FitRequest, LossName, ModelRequest, SimulationRequest
from offbeat.commands.simulation_variants import MODES, VARIED, Machines, Task, Variant, in_modes, varied
from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.diagnostics.trace import Trace
from offbeat.engines.simulation.calibrate import measured
from offbeat.engines.simulation.models import Model
from offbeat.errors import DataError, ProblemError
from offbeat.fit import choice
from offbeat.fit.inspection import Options
from offbeat.sideways.schedule import Stealing
from offbeat.solvers.registry import all_solvers, find_solver

GENERATED = "20000x50"


@dataclass(frozen=True)
class Plan:
    """What is to be simulated, and what there is to say about it.

    ``reason`` is why this solver; ``notes`` are for the user before anything is run.
    """

    variants: list[Variant]
    task: Task
    base: Variant
    reason: str
    about: str
    notes: tuple[str, ...] = ()


def check(data: DataRequest | None, model: ModelRequest, how: FitRequest, request: SimulationRequest) -> None:
    """Raise `ProblemError` for options that cannot be understood or do not fit together."""
    if data is not None and request.generate is not None:
        raise ProblemError("give a table or --generate, not both")
    problem_options.make_problem(model, None)
    find_solver(how.solver)
    _generated_size(request)
    if not how.max_iter > 0:
        raise ProblemError(f"--max-iter is {how.max_iter:g}; it must be positive")
    if not how.tol >= 0:
        raise ProblemError(f"--tol is {how.tol:g}; it must be at least 0")
    if request.shards_per_worker < 1:
        raise ProblemError(f"--shards-per-worker is {request.shards_per_worker}; it must be at least 1")
    if not request.staleness > 0:
        raise ProblemError(f"--staleness is {request.staleness:g}; give a number above 0, or --modes barrier")
    if request.seed < 0:
        raise ProblemError(f"--seed is {request.seed}; it must be at least 0")
    _machines(how, request).engine()
    _modes(request)
    cluster_options.parse_topology(request.topology)
    if request.vary is not None:
        _varied(request.vary)


def make(data: DataRequest | None, model: ModelRequest, how: FitRequest, request: SimulationRequest) -> Plan:
    """Read or generate the data, and return what is to be simulated.

    Raises
    ------
    DataError, TargetError, ProblemError
        Something cannot be read, found or used.
    """
    dataset, classes = _dataset(data, model, request)
    problem = problem_options.make_problem(model, classes)
    solver, reason = choice.solver(problem, dataset, find_solver(how.solver))
    solver.check(problem)
    machines = _machines(how, request)
    notes: list[str] = []
    if request.calibrate is not None:
        machines = replace(machines, compute=_calibrated(request, machines, dataset, notes))
    base = Variant(
        "", machines, solver, topology=cluster_options.parse_topology(request.topology),
        stealing=Stealing(shards_per_worker=request.shards_per_worker),
    )  # fmt: skip
    if solver.max_staleness == 0 and request.vary is None:
        able = ", ".join(name for name, each in all_solvers().items() if each.max_staleness > 0)
        notes.append(
            f"{solver.name} needs rounds: only variants with a barrier." + (f" Others: {able}." if able else "")
        )
    options = Options(how.intercept, how.standardize, how.tol)
    variants = _variants(base, request)
    for variant in variants:
        variant.machines.engine()  # says what is wrong with it before anything runs
        variant.solver.check(problem)
    about = "made up" if data is None else data.table.name
    return Plan(
        variants, Task(problem, dataset, options, how.max_iter, how.time_limit), base, reason, about, tuple(notes)
    )


def _variants(base: Variant, request: SimulationRequest) -> list[Variant]:
    modes = _modes(request)
    if request.vary is None:
        calm = not base.machines.straggler and not base.machines.faults
        chosen = modes or [mode for mode in MODES if mode != "even" or not calm]
        made = in_modes(base, chosen, request.staleness)
    else:
        key, values = _varied(request.vary)
        made = varied(base, modes or _compared(base, key), request.staleness, key, values)
    if not made:
        raise ProblemError(f"{base.solver.name} with {base.topology.name} allows none of the modes {request.modes}")
    return made


def _compared(base: Variant, key: str) -> list[str]:
    """Return the modes to compare when something is varied."""
    hub = base.topology.name == "hub" and key != "topology"
    return ["barrier", "async-stealing" if hub and key != "staleness" else "async"]


def _modes(request: SimulationRequest) -> list[str]:
    """Return the modes asked for; none for the default."""
    if request.modes is None:
        return []
    modes = cluster_options.parse_list("--modes", request.modes, str)
    if wrong := [mode for mode in modes if mode not in MODES]:
        raise ProblemError(f"--modes has {wrong[0]!r}; give some of {', '.join(MODES)}")
    return modes


def _varied(text: str) -> tuple[str, list[tuple[Any, str]]]:
    """Return what is varied, and its values with what is shown of each."""
    key, _, values = text.partition("=")
    key = key.strip()
    if key not in VARIED or not values:
        raise ProblemError(f"--vary {text} is not understood: write NAME=A,B,... with one of {', '.join(VARIED)}")
    convert: Callable[[str], Any] = {
        "workers": _whole,
        "straggler": lambda part: cluster_options.number(part, low=1e-9),
        "staleness": lambda part: math.inf if part == "inf" else cluster_options.number(part),
        "latency": lambda part: cluster_options.parse_model("--vary latency", part),
        "bandwidth": cluster_options.parse_rate,
        "topology": cluster_options.parse_topology,
        "solver": find_solver,
    }[key]
    found = cluster_options.parse_list(f"--vary {key}", values, lambda part: (convert(part), _shown(key, part)))
    if key == "solver" and any(value == "auto" for value, _ in found):
        raise ProblemError("--vary solver needs names of solvers; auto is none")
    return key, found


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _shown(key: str, text: str) -> str:
    return f"{int(text):,}" if key == "workers" else text


def _machines(how: FitRequest, request: SimulationRequest) -> Machines:
    slow = dict(cluster_options.parse_straggler(text) for text in request.straggler)
    return Machines(
        16 if how.workers is None else how.workers,
        cluster_options.parse_model("--compute", request.compute),
        cluster_options.parse_model("--latency", request.latency),
        cluster_options.parse_rate(request.bandwidth),
        slow,
        tuple(cluster_options.parse_fault(text) for text in request.fault),
        request.seed,
    )


def _calibrated(request: SimulationRequest, machines: Machines, dataset: Dataset, notes: list[str]) -> Model:
    """Return the time of a worker's share, from the trace of a fit."""
    assert request.calibrate is not None
    trace = Trace.load(request.calibrate)
    try:
        n_rows, n_columns = int(trace.metadata["rows"]), int(trace.metadata["columns"])
    except (KeyError, ValueError):
        n_rows, n_columns = dataset.n_rows, dataset.n_columns
        notes.append(f"{request.calibrate.name} does not say of how many rows it is: taken to be of these {n_rows:,}.")
    model = measured(trace, n_rows, n_columns, dataset.n_rows / machines.workers)
    if n_columns != dataset.n_columns:  # a pass costs what it reads
        model = cluster_options.scaled(model, dataset.n_columns / n_columns)  # type: ignore[assignment]
    return model


def _generated_size(request: SimulationRequest) -> tuple[int, int]:
    return cluster_options.parse_size(request.generate or GENERATED)


def _dataset(data: DataRequest | None, model: ModelRequest, request: SimulationRequest) -> tuple[Dataset, int | None]:
    """Return the rows, and how many classes there are, if any."""
    if data is not None:
        with terminal.noted_warnings():
            split = training_data.load_split(data, model.loss)
        return split.train, None if split.classes is None else len(split.classes)
    makers: dict[LossName, Any] = {
        LossName.SQUARED: datasets.make_regression, LossName.HUBER: datasets.make_regression,
        LossName.POISSON: datasets.make_counts,
    }  # fmt: skip
    maker = makers.get(model.loss, datasets.make_classification if model.loss.classifier else None)
    if maker is None or model.loss == LossName.MULTINOMIAL:
        raise DataError(f"no data can be made up for the {model.loss} loss: give a table")
    made = maker(*_generated_size(request), seed=request.seed)
    return as_dataset(made.X, made.y), 2 if model.loss.classifier else None
