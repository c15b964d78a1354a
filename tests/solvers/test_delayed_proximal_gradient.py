"""Delay-tolerant proximal gradient: what it computes, from gradients of any age, and what it remembers of a shard."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from conformance.oracle import Data, objective, optimum
from offbeat import Problem, engines, losses, penalties
from offbeat.errors import ProblemError
from offbeat.solvers import DelayedProximalGradient
from support.bench import Bench, best, honest, label, run

LOGISTIC = Problem(losses.Logistic(), penalties.L1(0.02))
RIDGE = Problem(losses.Squared(), penalties.L2(0.05))
PROBLEMS = [
    LOGISTIC,
    RIDGE,
    Problem(losses.Logistic(), penalties.L2(0.05)),
    Problem(losses.Squared(), penalties.L1(0.02)),
]
POISSON = Problem(losses.Poisson(), penalties.L2(0.05))


def steepness(payload: Any) -> float:
    """The shard's bound of the curvature, over all of its rows."""
    return float(payload[-3])


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_the_iterate_is_the_prox_of_the_mean_over_points_of_any_age(problem: Problem, rng: np.random.Generator) -> None:
    bench, n = Bench(problem, DelayedProximalGradient()), 120
    seen: list[Any] = [None] * 3
    for clock in range(25):
        for shard in range(3) if clock == 0 else [int(rng.integers(3))]:
            seen[shard] = bench.query.x
            bench.step(shard)
        bench.update()
        bounds = [steepness(payload) for payload in bench.payloads]
        pulled = sum(bounds[i] * seen[i] - bench.slope(i, seen[i]) for i in range(3))
        expected = bench.prox(pulled / sum(bounds), n / sum(bounds))
        assert_allclose(bench.query.x, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_a_shard_that_hardly_ever_reports_does_no_harm(problem: Problem) -> None:
    bench = Bench(problem, DelayedProximalGradient())
    bench.round()
    for clock in range(1, 3000):
        bench.step(2 if clock % 60 == 0 else clock % 2)
        bench.update()
    assert bench.state.status is None
    tight = run(problem, DelayedProximalGradient(), tol=1e-9, engine=engines.Serial())
    x = bench.query.x
    coef = x[:-1] / bench.info.scale
    assert_allclose(coef, tight.coef, atol=1e-3)
    assert bench.state.candidate.estimate < 1e-2


@pytest.mark.parametrize("problem", [*PROBLEMS, POISSON], ids=label)
def test_bounds_hold_whatever_the_ages(problem: Problem, rng: np.random.Generator) -> None:
    bench, least = Bench(problem, DelayedProximalGradient(), 4), best(problem)
    bench.round()
    highest = -math.inf
    for _ in range(150):
        for shard in rng.permutation(4)[: rng.integers(1, 3)]:
            bench.step(int(shard))
        bench.update()
        offered = bench.state.candidate
        highest = max(highest, offered.dual)
        assert highest <= least + 1e-11
        if problem is not POISSON:  # whose curvature has no bound
            coef = offered.coef / bench.info.scale
            above = objective(problem, bench.given, coef, offered.intercept - bench.info.center @ coef) - least
            assert offered.estimate * bench.info.reference.objective >= above - 1e-11
    assert highest >= least - 0.1 * abs(least)


def test_the_bound_of_the_curvature_never_falls_and_is_above_the_losses() -> None:
    for problem in (LOGISTIC, RIDGE, POISSON):
        bench = Bench(problem, DelayedProximalGradient())
        before = [0.0] * 3
        for _ in range(20):
            bench.round()
            bounds = [steepness(payload) for payload in bench.payloads]
            assert all(new >= old * (1.0 - 1e-12) for new, old in zip(bounds, before, strict=True))
            before = bounds
        if problem is RIDGE:
            for shard in range(3):
                rows, _ = bench.rows(shard)
                largest = float(np.linalg.eigvalsh(rows.T @ rows)[-1])
                assert largest <= 1.0001 * before[shard] <= 1.3 * largest


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("problem", [*PROBLEMS, POISSON], ids=label)
def test_a_local_state_is_rebuilt_from_the_contribution(problem: Problem, repeats: int) -> None:
    method = DelayedProximalGradient(repeats=repeats)
    kept, lost = Bench(problem, method), Bench(problem, method)
    for _ in range(3):
        kept.round()
        lost.round()
    whole, again = kept.round(), lost.round(rebuilt=True)
    for one, other in zip(whole, again, strict=True):
        assert_allclose(other.payload, one.payload, rtol=1e-9, atol=1e-10)
        assert other.work == one.work  # nothing is looked at again to find what was lost


def test_repeats_are_steps_on_the_shards_own_rows() -> None:
    bench = Bench(RIDGE, DelayedProximalGradient(repeats=4))
    first, second = bench.round(), bench.round()
    assert [step.work for step in second] == [4.0] * 3
    assert all(step.work < 4.0 for step in first)  # nobody knows the others' contributions yet
    plain = Bench(RIDGE, DelayedProximalGradient())
    plain.round()
    assert [step.work for step in plain.round()] == [1.0] * 3


def test_repeats_end_at_the_same_optimum() -> None:
    for staleness in (0.0, math.inf):
        solution = run(LOGISTIC, DelayedProximalGradient(repeats=3), engine=engines.Simulated(3), staleness=staleness)
        assert solution.status == "converged"
        honest(LOGISTIC, solution)


def test_one_shard_is_plain_proximal_gradient() -> None:
    bench = Bench(LOGISTIC, DelayedProximalGradient(), 1)
    x = bench.query.x
    for _ in range(10):
        bench.round()
        step = 1.0 / steepness(bench.payloads[0])
        x = bench.prox(x - step * bench.slope(0, x), 120 * step)
        assert_allclose(bench.query.x, x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("staleness", [0.0, math.inf])
def test_a_loss_that_bends_without_bound(staleness: float) -> None:
    engine = engines.Simulated(4, straggler={1: 5.0})
    solution = run(POISSON, DelayedProximalGradient(), engine=engine, staleness=staleness, start=(np.full(4, 0.3), 0.0))
    assert solution.status == "converged"
    honest(POISSON, solution)


def test_several_outputs() -> None:
    problem = Problem(losses.Multinomial(3), penalties.L2(0.05))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 3))
    y = np.argmax(X @ rng.standard_normal((3, 3)) + rng.standard_normal((90, 3)), axis=1).astype(float)
    given = Data(X, y)
    for staleness in (0.0, math.inf):
        engine = engines.Simulated(3, straggler={0: 4.0})
        solution = run(problem, DelayedProximalGradient(), given=given, engine=engine, staleness=staleness)
        assert solution.status == "converged"
        honest(problem, solution, given, optimum(problem, given))


def test_numbers_that_are_not_finite_end_the_fit_and_leave_the_iterate() -> None:
    bench = Bench(RIDGE, DelayedProximalGradient())
    for _ in range(3):
        bench.round()
    good, x = bench.state.candidate, bench.query.x
    bad = bench.payloads[0].copy()
    bad[5] = math.nan
    bench.payloads[0] = bad
    bench.board.put(bench.board.slot(0)._replace(clock=99, payload=bad))
    bench.update()
    assert bench.state.status == "diverged" and bench.state.candidate is good
    assert_allclose(bench.query.x, x, rtol=0.0)


def test_what_it_does_not_take() -> None:
    with pytest.raises(ProblemError, match=r"needs a smooth loss, which hinge is not; use ADMM"):
        DelayedProximalGradient().check(Problem(losses.Hinge(), penalties.L2(0.1)))
    with pytest.raises(ProblemError, match="repeats of DelayedProximalGradient is 0"):
        DelayedProximalGradient(repeats=0)
    assert replace(DelayedProximalGradient(), repeats=2).max_staleness == math.inf
