"""Newton without rounds: models of the shards, how far they are trusted, and what of them can be rebuilt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from conformance.oracle import Data
from offbeat import Problem, engines, losses, penalties
from offbeat.losses.questions import curvature_jumps
from offbeat.solvers import Newton
from offbeat.solvers.newton import asynchronous
from offbeat.solvers.newton.newton import NewtonState
from support.bench import Bench, best, data, honest, label, run

RIDGE = Problem(losses.Squared(), penalties.L2(0.05))
LOGISTIC = Problem(losses.Logistic(), penalties.L2(0.02))
SPARSE = Problem(losses.Logistic(), penalties.L1(0.02))
POISSON = Problem(losses.Poisson(), penalties.L2(0.05))
KINKED = [Problem(losses.Huber(0.3), penalties.L2(0.02)), Problem(losses.SquaredHinge(), penalties.L2(0.02))]
PROBLEMS = [RIDGE, LOGISTIC, SPARSE, POISSON, *KINKED]
HESSIAN = "gradient + Hessian"


def bench(problem: Problem, n_shards: int = 3, **options: Any) -> Bench:
    return Bench(problem, Newton(), n_shards, staleness=math.inf, **options)


def test_staleness_decides_which_newton_runs() -> None:
    assert isinstance(bench(LOGISTIC).state, asynchronous.AsynchronousNewtonState)
    assert isinstance(Bench(LOGISTIC, Newton()).state, NewtonState)


def test_a_quadratic_loss_is_solved_by_the_first_sum_whatever_points_it_is_of() -> None:
    fit = bench(RIDGE)
    for shard, start in enumerate(np.random.default_rng(1).standard_normal((3, 5))):
        fit.query = fit.query._replace(x=start)
        fit.step(shard)
    fit.update()
    rows, y = (np.concatenate(parts) for parts in zip(*(fit.rows(i) for i in range(3)), strict=True))
    ridge = np.append(120 * 0.05 / fit.info.scale**2, 0.0)
    assert_allclose(fit.query.x, np.linalg.solve(rows.T @ rows + np.diag(ridge), rows.T @ y), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("problem", [LOGISTIC, SPARSE, POISSON], ids=label)
def test_with_rounds_it_is_newtons_method(problem: Problem) -> None:
    fit = bench(problem)
    changes = []
    for _ in range(8):
        before = fit.query.x
        fit.round()
        changes.append(float(np.linalg.norm(fit.query.x - before)))
    assert changes[-1] < 1e-7 * max(changes)
    tight = run(problem, Newton(), tol=1e-10, engine=engines.Serial())
    assert_allclose(fit.query.x[:-1] / fit.info.scale, tight.coef, atol=1e-6)


def test_hessians_that_hardly_change_are_kept() -> None:
    fit = bench(LOGISTIC)
    kinds = [[step.kind for step in fit.round()] for _ in range(12)]
    assert kinds[0] == [HESSIAN] * 3
    assert all(kind == "gradient" for late in kinds[-4:] for kind in late)
    steps = [row for row in run(LOGISTIC, Newton(), engine=engines.Simulated(4), staleness=math.inf).trace if row.note]
    assert 0 < sum(row.note == HESSIAN for row in steps) < sum(row.note == "gradient" for row in steps) + 16


@pytest.mark.parametrize("problem", [LOGISTIC, POISSON, *KINKED], ids=label)
def test_a_step_costs_what_was_looked_at(problem: Problem) -> None:
    fit = bench(problem)
    hessian = 1.0 + 4 / 25.0
    assert [step.work for step in fit.round()] == pytest.approx([hessian] * 3)
    for _ in range(6):
        for step in fit.round():
            assert step.work >= 1.0
            assert step.kind in ("gradient", HESSIAN, "stayed")


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_a_local_state_is_rebuilt_from_the_contribution(problem: Problem) -> None:
    kept, lost = bench(problem), bench(problem)
    for _ in range(2):
        kept.round()
        lost.round()
    whole, again = kept.round(), lost.round(rebuilt=True)
    for one, other in zip(whole, again, strict=True):
        slope = slice(0, 4 + 5 + 4 + 5)  # head, gradient, repair, point: what does not depend on which Hessian is kept
        assert_allclose(other.payload[slope], one.payload[slope], rtol=1e-9, atol=1e-9)
    for _ in range(8):
        kept.round()
        lost.round(rebuilt=True)
    assert_allclose(lost.query.x, kept.query.x, atol=1e-6)


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_bounds_hold_whatever_the_ages(problem: Problem, rng: np.random.Generator) -> None:
    fit, optimum, highest = bench(problem, 4), best(problem), -math.inf
    fit.round()
    for _ in range(80):
        for shard in rng.permutation(4)[: rng.integers(1, 3)]:
            fit.step(int(shard))
        fit.update()
        highest = max(highest, fit.state.candidate.dual)
        assert highest <= optimum + 1e-11
    assert highest >= optimum - 1e-3 * abs(optimum)


@pytest.mark.parametrize("problem", [LOGISTIC, POISSON, *KINKED], ids=label)
def test_a_shard_goes_only_as_far_as_its_model_was_right(problem: Problem, rng: np.random.Generator) -> None:
    fit = bench(problem)
    fit.round()
    for _ in range(40):
        shard = int(rng.integers(3))
        fit.query = fit.query._replace(x=fit.query.x + 3.0 * rng.standard_normal(5), promise=0.0)
        before = fit.locals[shard].model
        fit.step(shard)
        after = fit.locals[shard].model
        assert after.look.finite
        if fit.locals[shard].doubts <= asynchronous.MAX_LARGE_ERRORS:
            bound = before.value(after.look.x) + asynchronous.MAX_MODEL_ERROR * before.quadratic_term(after.look.x)
            assert after.look.loss <= bound + 1e-9 * (1.0 + abs(bound))
        fit.update()


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_far_starts_and_stragglers(problem: Problem) -> None:
    engine = engines.Simulated(4, straggler={0: 6.0})
    start = (np.full(4, 1.5), -1.0)
    solution = run(problem, Newton(), engine=engine, staleness=math.inf, start=start, tol=1e-6)
    assert solution.status == "converged"
    honest(problem, solution)


def test_curvature_that_jumps_is_bounded_after_some_doubt() -> None:
    fit = bench(KINKED[1])
    for local in fit.locals:
        assert local.doubts == 0
    fit.round()
    fit.locals = [local._replace(doubts=asynchronous.MAX_LARGE_ERRORS) for local in fit.locals]
    fit.step(0)
    rows, _ = fit.rows(0)
    model = fit.locals[0].model
    assert fit.locals[0].doubts == asynchronous.MAX_LARGE_ERRORS + 1
    assert_allclose(model.hessian, rows.T @ rows, rtol=1e-9, atol=1e-9)  # the squared hinge bends by 1 at most
    again = fit.step(0)
    assert again.work == 1.0 and again.kind == "gradient"


def test_losses_with_equal_parameters_are_not_taken_for_each_other() -> None:
    assert losses.Squared() == losses.SquaredHinge()  # as tuples
    assert not curvature_jumps(losses.Squared())
    assert curvature_jumps(losses.SquaredHinge())


def test_without_an_intercept_it_stays_zero() -> None:
    solution = run(LOGISTIC, Newton(), engine=engines.Simulated(3), staleness=math.inf, fit_intercept=False)
    assert solution.status == "converged" and solution.intercept == 0.0


def test_separable_classes_without_penalty_are_said_to_be() -> None:
    X = np.linspace(-1.0, 1.0, 40)[:, None] * np.array([1.0, 0.5]) + 0.01 * data(losses.Squared()).X[:40, :2]
    given = Data(X, (X[:, 0] > 0.0).astype(float))
    problem = Problem(losses.Logistic(), penalties.Zero())
    solution = run(problem, Newton(), given=given, engine=engines.Simulated(3), staleness=math.inf, tol=1e-12)
    assert solution.status == "separable"


def test_numbers_that_are_not_finite_end_the_fit() -> None:
    fit = bench(LOGISTIC)
    fit.round()
    x, bad = fit.state.x, fit.payloads[1].copy()
    bad[0] = math.nan
    fit.board.put(fit.board.slot(1)._replace(clock=9, payload=bad))
    fit.update()
    assert fit.state.status == "diverged" and fit.state.x is x
    assert_allclose(fit.query.x, x, rtol=0.0)


@pytest.mark.parametrize("problem", KINKED, ids=label)
def test_a_shard_that_found_too_little_curvature_comes_along_in_the_end(problem: Problem) -> None:
    """Where few rows are curved, a step fails the test of its model however short it is."""
    optimum = bench(problem)
    for _ in range(30):
        optimum.round()
    for seed in range(200):
        fit = bench(problem)
        rng = np.random.default_rng(seed)
        fit.query = fit.query._replace(x=optimum.query.x + rng.standard_normal(5) * 10.0 ** rng.uniform(-1.0, 1.0))
        fit.step(0)
        fit.query = fit.query._replace(x=optimum.query.x)
        for _ in range(30):
            fit.step(0)
        assert_allclose(fit.locals[0].model.look.x, optimum.query.x, atol=1e-9, err_msg=f"seed {seed}")
