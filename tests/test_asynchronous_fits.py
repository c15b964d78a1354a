"""Whole fits without a barrier and with it, on every engine and topology, to honest certificates.

Optima come from SciPy and scikit-learn. With the barrier, iterates are the same bits wherever they are computed.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.engines.faults import Delay, Duplicate, Exponential, HeavyTailed, Loss
from offbeat.errors import ProblemError
from offbeat.sideways.schedule import Stealing
from support.bench import SerialShards, best, data, honest, label, run, watched

LOSSES = [losses.Hinge(), losses.Logistic(), losses.Squared()]
PENALTIES = [penalties.L2(0.05), penalties.L1(0.02)]
PROBLEMS = [Problem(loss, penalty) for loss in LOSSES for penalty in PENALTIES]
SMOOTH, SPARSE = PROBLEMS[2], PROBLEMS[3]
EXACT = [solvers.ADMM(), solvers.DelayedProximalGradient(), solvers.Newton()]
SLOW = engines.Simulated(4, straggler={0: 6.0})
PEERS = [topology.Broadcast(), topology.Tree(2), topology.Gossip(2)]


def accepts(solver: Any, problem: Problem) -> bool:
    try:
        solver.check(problem)
    except ProblemError:
        return False
    return True


def pairs(of_solvers: list[Any], of_problems: list[Problem]) -> list[Any]:
    return [
        pytest.param(solver, problem, id=f"{solver.name}-{label(problem)}")
        for solver in of_solvers
        for problem in of_problems
        if accepts(solver, problem)
    ]


# to the optimum -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("staleness", [0.0, 2.0, math.inf])
@pytest.mark.parametrize(("solver", "problem"), pairs(EXACT, PROBLEMS))
def test_a_straggler_does_not_keep_a_fit_from_its_certificate(solver: Any, problem: Problem, staleness: float) -> None:
    solution = run(
        problem, solver, engine=SLOW, staleness=staleness, tol=1e-3 if problem.loss.name == "hinge" else 1e-5
    )
    assert solution.status == "converged"
    assert solution.certificate.satisfied
    honest(problem, solution)


@pytest.mark.parametrize("where", PEERS, ids=repr)
@pytest.mark.parametrize("staleness", [0.0, math.inf])
@pytest.mark.parametrize(("solver", "problem"), pairs(EXACT, [SPARSE, PROBLEMS[4]]))
def test_without_a_coordinator(solver: Any, problem: Problem, staleness: float, where: Any) -> None:
    solution = run(problem, solver, engine=SLOW, staleness=staleness, topology=where, tol=1e-5)
    assert solution.status == "converged"
    honest(problem, solution)


def test_a_support_vector_machine_without_a_coordinator() -> None:
    for where in PEERS[:2]:
        solution = run(
            PROBLEMS[0], solvers.ADMM(), engine=engines.Simulated(4, straggler={0: 2.0}), staleness=math.inf,
            topology=where, tol=1e-3,
        )  # fmt: skip
        assert solution.status == "converged"
        honest(PROBLEMS[0], solution)


@pytest.mark.parametrize("where", [topology.Hub(), topology.Hub(batch=1), *PEERS], ids=repr)
@pytest.mark.parametrize(("solver", "problem"), pairs(EXACT, [SMOOTH, SPARSE]))
def test_on_threads(solver: Any, problem: Problem, where: Any) -> None:
    before = threading.active_count()
    solution = run(problem, solver, engine=engines.Threads(3), staleness=math.inf, topology=where, tol=1e-5)
    assert solution.status == "converged"
    honest(problem, solution)
    assert threading.active_count() == before


@pytest.mark.parametrize(("solver", "problem"), pairs(EXACT, [SPARSE]))
def test_one_at_a_time_and_one_arrival_at_a_time(solver: Any, problem: Problem) -> None:
    for settings in ({"concurrency": 1}, {"topology": topology.Hub(batch=1)}, {"topology": topology.Hub(batch=3)}):
        solution = run(problem, solver, engine=SLOW, staleness=math.inf, tol=1e-5, **settings)
        assert solution.status == "converged"
        honest(problem, solution)


@pytest.mark.parametrize("where", [topology.Hub(), *PEERS], ids=lambda t: t.name)
@pytest.mark.parametrize(("solver", "problem"), pairs(EXACT, [SMOOTH, PROBLEMS[4]]))
def test_beyond_the_last_digit_a_fit_ends_without_harm(solver: Any, problem: Problem, where: Any) -> None:
    solution = run(
        problem, solver, engine=engines.Simulated(3), staleness=math.inf, topology=where, stealing=None, tol=0.0,
        max_iter=150.0,
    )  # fmt: skip
    assert solution.status in ("converged", "stalled", "max_iter")
    assert solution.certificate.relative_gap < 1e-11
    honest(problem, solution)


def test_weights_offsets_and_no_intercept() -> None:
    from dataclasses import replace

    from conformance.oracle import optimum

    rng, given = np.random.default_rng(3), data(SMOOTH.loss)
    given = replace(given, weight=rng.integers(0, 4, 120) * 0.5, offset=0.3 * rng.standard_normal(120))
    for solver in EXACT:
        for intercept in (True, False):
            solution = run(
                SMOOTH, solver, given=given, engine=SLOW, staleness=math.inf, tol=1e-5, fit_intercept=intercept,
                sample_weight=given.weight, offset=given.offset,
            )  # fmt: skip
            assert solution.status == "converged"
            honest(SMOOTH, solution, given, optimum(SMOOTH, given, fit_intercept=intercept))


@pytest.mark.parametrize("staleness", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("where", [topology.Hub(), topology.Broadcast()], ids=lambda t: t.name)
def test_nobody_is_ahead_by_more_than_the_staleness(where: Any, staleness: float) -> None:
    solution = run(
        SMOOTH, solvers.DelayedProximalGradient(), engine=SLOW, staleness=staleness, topology=where, stealing=None,
        tol=1e-5,
    )  # fmt: skip
    done: dict[int, list[tuple[float, int]]] = {worker: [] for worker in range(4)}
    for row in solution.trace:
        if row.kind == "step" and row.note == "gradient" and row.clock > 0:
            done[row.worker].append((row.time + row.duration, row.time))  # type: ignore[arg-type]
    for worker in range(1, 4):
        for number, (_, began) in enumerate(done[worker]):
            slowest = sum(end <= began + 1e-12 for end, _ in done[0])
            assert number - slowest <= staleness + 2  # evaluations for certificates count as steps here


# the same bits ------------------------------------------------------------------------------------------------------
EVERY = [getattr(solvers, name)() for name in solvers.__all__]
DIVIDED = [solver for solver in EVERY if not getattr(solver, "whole", False)]  # the others have nothing to steal
WILD = engines.Simulated(
    3, HeavyTailed(0.01, 1.0), Exponential(0.005), straggler={1: 7.0}, seed=5,
    faults=(Delay(0.5, 0.05), Duplicate(0.2), Loss(0.1)),
)  # fmt: skip
PLACES: dict[str, dict[str, Any]] = {
    "threads": {"engine": engines.Threads(3)},
    "even": {"engine": engines.Simulated(3)},
    "wild": {"engine": WILD},
    "one-at-a-time": {"engine": engines.Simulated(3, seed=2), "concurrency": 1},
}


@pytest.mark.parametrize(("solver", "problem"), pairs(EVERY, [PROBLEMS[0], SMOOTH, SPARSE]))
def test_with_a_barrier_iterates_are_the_same_bits_everywhere(solver: Any, problem: Problem) -> None:
    here, iterates = watched(problem, solver, engine=SerialShards())
    assert iterates
    for place, settings in PLACES.items():
        there, others = watched(problem, solver, **settings)
        assert len(others) == len(iterates), place
        for one, other in zip(iterates, others, strict=True):
            assert_array_equal(one, other, err_msg=place)
        assert_array_equal(here.coef, there.coef)
        assert here.certificate == there.certificate
        assert (here.status, here.passes) == (there.status, there.passes)


@pytest.mark.parametrize(("solver", "problem"), pairs(DIVIDED, [SMOOTH, SPARSE]))
def test_with_a_barrier_stealing_changes_when_and_not_what(solver: Any, problem: Problem) -> None:
    _, pinned = watched(problem, solver, engine=SerialShards())
    stealing = Stealing(1.5, shards_per_worker=1)
    there, stolen = watched(problem, solver, engine=engines.Simulated(3, straggler={0: 9.0}), stealing=stealing)
    assert {row.worker for row in there.trace if row.shard == 0} > {0} or len(stolen) < 3
    if solver.name == "admm":  # local solves are inexact, and what they leave over depends on who makes them
        honest(problem, there)
        return
    both = min(len(pinned), len(stolen))  # certificates are taken at other times, so that one may end sooner
    assert both >= len(pinned) - 2
    rounding = 1e-9 if solver.name == "delayed-proximal-gradient" else 0.0  # of a state rebuilt from its contribution
    for one, other in zip(pinned[:both], stolen[:both], strict=True):
        np.testing.assert_allclose(one, other, rtol=rounding, atol=rounding)


@pytest.mark.parametrize(("solver", "problem"), pairs(EVERY, [PROBLEMS[0], SMOOTH, SPARSE]))
def test_a_hub_and_a_broadcast_go_through_the_same_iterates(solver: Any, problem: Problem) -> None:
    _, hub = watched(problem, solver, engine=SerialShards())
    for engine in (WILD, engines.Threads(3)):
        _, peers = watched(problem, solver, engine=engine, topology=topology.Broadcast())
        # certificates are taken at other times, so that one may end sooner
        both = min(len(hub), len(peers))
        assert both >= min(len(hub), 3)
        for one, other in zip(hub[:both], peers[:both], strict=True):
            assert_array_equal(one, other)


# the end ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", [topology.Hub(), *PEERS], ids=lambda t: t.name)
@pytest.mark.parametrize("engine", [engines.Serial(), engines.Threads(3), SLOW], ids=lambda e: e.name)
def test_a_callback_stops_all_workers(engine: Any, where: Any) -> None:
    seen: list[Any] = []
    before = threading.active_count()
    solution = run(
        SPARSE, solvers.DelayedProximalGradient(), engine=engine, staleness=math.inf, topology=where, tol=0.0,
        callback=lambda progress, row: seen.append(progress) or len(seen) == 2,
    )  # fmt: skip
    assert (solution.status, len(seen)) == ("callback", 2)
    assert solution.certificate.gap == min(progress.certificate.gap for progress in seen)
    assert threading.active_count() == before
    honest(SPARSE, solution)


@pytest.mark.parametrize("where", [topology.Hub(), *PEERS], ids=lambda t: t.name)
def test_a_time_limit_is_of_the_virtual_clock(where: Any) -> None:
    solution = run(
        SPARSE, solvers.DelayedProximalGradient(), engine=SLOW, staleness=math.inf, topology=where, tol=0.0,
        time_limit=0.7,
    )  # fmt: skip
    assert solution.status == "time_limit"
    assert 0.7 <= float(solution.trace.metadata["seconds"]) < 0.7 + 0.13
    assert solution.certificate.gap < math.inf
    honest(SPARSE, solution)


def test_the_budget_is_spent_and_what_it_bought_is_returned() -> None:
    for solver in (solvers.DelayedProximalGradient(), solvers.DualAveraging(), solvers.ADMM()):
        for staleness in (0.0, math.inf):
            solution = run(SMOOTH, solver, engine=SLOW, staleness=staleness, tol=0.0, max_iter=4.0, random_state=0)
            assert solution.status == "max_iter"
            assert np.any(solution.coef)
            assert 4.0 <= solution.passes < 12.0
            honest(SMOOTH, solution)
            assert solution.certificate.primal < 1.2 * best(SMOOTH)
