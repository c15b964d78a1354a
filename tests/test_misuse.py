"""Misuse of asynchronous fits: every mistake has a clear error, nothing hangs, nothing outlives the fit."""

from __future__ import annotations

import math
import threading
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from conformance.oracle import Data
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.data.load import as_dataset
from offbeat.data.shards import Shard
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from offbeat.fit.solve import solve
from offbeat.sideways.schedule import Stealing
from support.bench import best, data, honest, run

PROBLEM = Problem(losses.Logistic(), penalties.L2(0.02))
ASYNCHRONOUS = [solvers.ADMM(), solvers.DelayedProximalGradient(), solvers.Newton()]
EVERY = [getattr(solvers, name)() for name in solvers.__all__]
ABLE = [
    pytest.param(solver, staleness, id=f"{solver.name}-{staleness}")
    for solver in EVERY
    for staleness in (0.0, math.inf)
    if staleness <= solver.max_staleness
]
ENGINES = [engines.Serial(), engines.Threads(2), engines.Simulated(3)]
TOPOLOGIES = [topology.Hub(), topology.Broadcast(), topology.Tree(2), topology.Gossip(1)]


KINKED = Problem(losses.Hinge(), penalties.L2(0.02))


def name(thing: Any) -> str:
    return str(thing.name)


def taken(solver: Any) -> Problem:
    """Return a problem that the solver takes: one with a kink where it takes no other; targets are the same."""
    return KINKED if solver.name == "interior-point" else PROBLEM


# options ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("solver", [s for s in EVERY if s.max_staleness == 0], ids=name)
@pytest.mark.parametrize("staleness", [1.0, math.inf])
def test_a_solver_that_needs_rounds_names_those_that_do_not(solver: Any, staleness: float) -> None:
    with pytest.raises(ProblemError) as caught:
        run(taken(solver), solver, staleness=staleness)
    said = str(caught.value)
    assert said.startswith(f"{solver.name} needs rounds (staleness=0): use one of ")
    named = set(said.partition("use one of ")[2].partition(", or leave")[0].split(", "))
    assert named == {known for known in solvers.__all__ if getattr(solvers, known)().max_staleness > 0}
    assert {"ADMM", "DelayedProximalGradient", "DualAveraging", "ModelAveraging", "Newton"} <= named


def test_what_is_chosen_may_need_rounds_too() -> None:
    problem = Problem(losses.Multinomial(3), penalties.L2(0.1))
    X = np.random.default_rng(0).standard_normal((30, 2))
    with pytest.raises(ProblemError, match="lbfgs needs rounds"):
        solve(problem, X, np.arange(30) % 3, staleness=math.inf)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"staleness": -1.0}, "staleness is -1"),
        ({"staleness": math.nan}, "staleness is nan"),
        ({"concurrency": 0}, "concurrency is 0; it must be a number of at least 1"),
        ({"concurrency": -2.0}, "concurrency is -2"),
        ({"concurrency": math.nan}, "concurrency is nan"),
        ({"time_limit": -1.0}, "time_limit is -1"),
        ({"time_limit": math.nan}, "time_limit is nan"),
        ({"tol": math.nan}, "tol is nan"),
        ({"topology": topology.Broadcast(), "stealing": Stealing()}, r"stealing needs topology=Hub\(\)"),
        ({"topology": topology.Tree(), "stealing": Stealing()}, r"stealing needs topology=Hub\(\)"),
        ({"topology": topology.Gossip(), "checkpoint": "never.offbeat"}, r"checkpoints need topology=Hub\(\)"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        run(PROBLEM, solvers.ADMM(), **{"staleness": math.inf, "engine": engines.Serial()} | options)


# shards -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", TOPOLOGIES, ids=name)
@pytest.mark.parametrize("solver", ASYNCHRONOUS, ids=name)
def test_more_workers_than_rows(solver: Any, where: Any) -> None:
    given = Data(data(PROBLEM.loss).X[:5], np.array([0.0, 1.0, 0.0, 1.0, 1.0]))
    problem = Problem(losses.Logistic(), penalties.L2(0.5))
    for engine in (engines.Simulated(64), engines.Threads(16)):
        solution = run(problem, solver, given=given, engine=engine, staleness=math.inf, topology=where, tol=1e-2)
        assert solution.status == "converged"
        assert {row.shard for row in solution.trace if row.kind == "step"} == set(range(5))


def cut(monkeypatch: pytest.MonkeyPatch, bounds: list[int]) -> None:
    """Have data sets cut their rows at given places, whatever they are asked for."""
    from offbeat.data.dataset import Dataset

    def shards(self: Dataset, count: int, cancelled: Any = lambda: False) -> list[Shard]:
        rows = self.block_rows(len(bounds))
        return [self._shard(a, b, rows, cancelled) for a, b in pairwise(bounds)]

    monkeypatch.setattr(Dataset, "shards", shards)


@pytest.mark.parametrize("staleness", [0.0, math.inf])
@pytest.mark.parametrize("solver", [s for s in EVERY if s.max_staleness > 0], ids=name)
def test_shards_of_very_different_sizes(solver: Any, staleness: float, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, [0, 1, 3, 100, 120])
    coarse = solver.name in ("dual-averaging", "model-averaging")
    solution = run(
        PROBLEM, solver, engine=engines.Simulated(4), staleness=staleness, tol=0.3 if coarse else 1e-4, stealing=None,
        max_iter=400.0, random_state=0,
    )  # fmt: skip
    assert solution.status == "converged" or coarse
    honest(PROBLEM, solution)
    assert solution.certificate.primal <= 1.1 * best(PROBLEM)


@pytest.mark.parametrize(("solver", "staleness"), ABLE)
def test_empty_shards(solver: Any, staleness: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if getattr(solver, "whole", False):
        pytest.skip("all rows are one shard")
    cut(monkeypatch, [0, 0, 60, 60, 120])
    coarse = solver.name in ("sgd", "dual-averaging", "model-averaging")
    solution = run(
        PROBLEM, solver, engine=engines.Simulated(4), staleness=staleness, tol=0.3 if coarse else 1e-4, stealing=None,
        max_iter=400.0, random_state=0,
    )  # fmt: skip
    assert solution.status == "converged"
    assert {row.shard for row in solution.trace if row.kind == "step"} == {0, 1}  # those that have rows
    honest(PROBLEM, solution)


# what is not finite -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("solver", "staleness"), ABLE)
def test_bad_data_are_named_by_every_solver(solver: Any, staleness: float) -> None:
    X = data(PROBLEM.loss).X.copy()
    X[70, 2] = math.nan
    given = Data(X, data(PROBLEM.loss).y)
    with pytest.raises(DataError, match="column 2") as caught:
        run(taken(solver), solver, given=given, engine=engines.Simulated(3), staleness=staleness)
    assert "row 70" in str(caught.value)


class Poisoned:
    """A solver whose steps give numbers that are not finite from some step on."""

    def __init__(self, inner: Any, after: int) -> None:
        self.inner, self.after, self.steps = inner, after, 0
        self.name, self.max_staleness = inner.name, inner.max_staleness

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def local_step(self, problem: Any, shard: Any, local: Any, query: Any) -> Any:
        step = self.inner.local_step(problem, shard, local, query)
        self.steps += 1
        payload = step.payload.copy()
        if self.steps > self.after:
            payload[: payload.size // 2] = math.nan  # sums, and not how many rows they are of
        return step._replace(payload=payload)


@pytest.mark.parametrize("where", TOPOLOGIES[:2], ids=name)
@pytest.mark.parametrize(("solver", "staleness"), ABLE)
def test_numbers_that_are_not_finite_stop_the_fit_at_the_last_good_point(
    solver: Any, staleness: float, where: Any
) -> None:
    seen: list[float] = []
    problem = taken(solver)
    given = data(problem.loss)
    steps = {"sgd": 600, "dual-averaging": 600, "model-averaging": 200, "delayed-proximal-gradient": 60, "admm": 30}
    steps |= {"proximal-newton": 2, "row-space": 2, "saga": 45, "sdca": 45}  # the first two are there soon
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solution = solve(
            problem, given.X, given.y, engine=engines.Simulated(3), staleness=staleness, topology=where,
            solver=Poisoned(solver, steps.get(solver.name, 9 if staleness == 0 else 20)), stealing=None,
            tol=0.0, max_iter=1000.0,
            callback=lambda progress, row: seen.append(progress.certificate.gap),
        )  # fmt: skip
    assert solution.status in ("diverged", "not finite") or (solution.status == "stalled" and solver.name == "newton")
    (warning,) = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    if solution.status != "stalled":
        assert "not finite: scale the columns" in str(warning.message)
    assert np.all(np.isfinite(solution.coef)) and math.isfinite(solution.passes)
    assert solution.certificate.gap == min(seen, default=math.inf)  # Newton without rounds has not certified any yet
    assert seen or (solver.name == "newton" and staleness > 0.0)
    honest(problem, solution)


def test_a_loss_that_overflows_from_the_start_is_said_to() -> None:
    problem = Problem(losses.Poisson(), penalties.L2(1e-3))
    given = data(problem.loss)
    start = (np.full(4, 1e4), 0.0)
    with pytest.raises(DataError, match="not finite at the starting point"):
        run(problem, solvers.Newton(), given=given, start=start)
    for solver in ASYNCHRONOUS[1:]:
        solution = run(problem, solver, given=given, start=start, staleness=math.inf, max_iter=50.0)
        assert solution.status in ("diverged", "max_iter", "converged")
        assert not (solution.status == "diverged" and solution.certificate.satisfied)


# what raises --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", TOPOLOGIES, ids=name)
@pytest.mark.parametrize("staleness", [0.0, math.inf])
@pytest.mark.parametrize("engine", ENGINES, ids=name)
def test_what_a_callback_raises_reaches_the_caller(engine: Any, staleness: float, where: Any) -> None:
    def broken(progress: Any, row: Any) -> None:
        raise KeyError("mine")

    before = threading.active_count()
    for solver in (solvers.Newton(), solvers.DelayedProximalGradient()):
        with pytest.raises(KeyError, match="mine"):
            run(PROBLEM, solver, engine=engine, staleness=staleness, topology=where, callback=broken)
    assert threading.active_count() == before


@pytest.mark.parametrize("where", TOPOLOGIES, ids=name)
@pytest.mark.parametrize("engine", ENGINES, ids=name)
def test_what_a_step_raises_reaches_the_caller(engine: Any, where: Any) -> None:
    class Broken(Poisoned):
        def local_step(self, problem: Any, shard: Any, local: Any, query: Any) -> Any:
            self.steps += 1
            if self.steps > self.after:
                raise MemoryError("no more")
            return self.inner.local_step(problem, shard, local, query)

    before = threading.active_count()
    with pytest.raises(MemoryError, match="no more"):
        run(PROBLEM, Broken(solvers.ADMM(), 7), engine=engine, staleness=math.inf, topology=where, tol=0.0)
    assert threading.active_count() == before


# limits -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", TOPOLOGIES, ids=name)
@pytest.mark.parametrize("staleness", [0.0, math.inf])
@pytest.mark.parametrize("engine", ENGINES, ids=name)
def test_a_time_limit_of_zero_ends_with_a_defined_result(engine: Any, staleness: float, where: Any) -> None:
    before = threading.active_count()
    given = data(PROBLEM.loss)
    for solver in ASYNCHRONOUS:
        with pytest.warns(ConvergenceWarning, match="raise time_limit"):
            solution = solve(
                PROBLEM, given.X, given.y, solver=solver, engine=engine, staleness=staleness, topology=where,
                time_limit=0.0, tol=0.0,
            )  # fmt: skip
        assert solution.status == "time_limit"
        assert np.all(np.isfinite(solution.coef)) and np.isfinite(solution.intercept)
        assert not solution.certificate.satisfied
    assert threading.active_count() == before


def test_no_passes_at_all() -> None:
    for solver in ASYNCHRONOUS:
        solution = run(PROBLEM, solver, engine=engines.Simulated(3), staleness=math.inf, max_iter=0.0, tol=0.0)
        assert solution.status == "max_iter"
        assert np.all(np.isfinite(solution.coef))


def test_data_without_a_target() -> None:
    with pytest.raises(DataError, match="no target was given"):
        solve(PROBLEM, as_dataset(np.ones((3, 1)), None).source.read(0, 3), staleness=math.inf)
