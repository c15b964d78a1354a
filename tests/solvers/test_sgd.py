"""Mini-batch SGD in rounds: the published iteration, which rows a batch has, how near it comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from offbeat import Problem, engines, losses, penalties
from offbeat.errors import ProblemError
from offbeat.solvers import SGD
from offbeat.solvers._common.constants import ROWS_PER_RUN
from offbeat.solvers.baselines.minibatch import mini_batch
from support.bench import Bench, best, data, honest, label, run

LOSSES = [losses.Hinge(), losses.Logistic(), losses.Squared()]
PROBLEMS = [Problem(loss, penalty) for loss in LOSSES for penalty in (penalties.L2(0.05), penalties.L1(0.02))]
LOGISTIC = PROBLEMS[2]


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_with_all_rows_in_a_batch_it_is_proximal_gradient_with_decaying_steps(problem: Problem) -> None:
    bench, n = Bench(problem, SGD(batch=1.0, eta=0.3)), 120
    x = average = bench.query.x
    for t in range(1, 16):
        step = 0.3 / math.sqrt(t)
        x = bench.prox(x - step * sum(bench.slope(shard, x) for shard in range(3)) / n, step)
        average = average + (x - average) * 2.0 / (t + 1.0)
        bench.round()
        assert_allclose(bench.query.x, x, rtol=1e-9, atol=1e-11)
        assert_allclose(bench.state.mean, average, rtol=1e-9, atol=1e-11)
        bench.query = bench.query._replace(x=x)
    assert bench.state.passes == pytest.approx(15.0 + 1.0)  # and one for the curvature, although eta was given


def test_a_batch_stands_for_all_rows_of_the_shard() -> None:
    bench = Bench(LOGISTIC, SGD(batch=0.2))
    x, sums = bench.query.x, np.zeros(5)
    for _ in range(5):  # shards of 40 rows: 5 runs of 8, each visited once in five steps
        bench.query = bench.query._replace(x=x)
        sums += bench.step(0).payload[:5]
    assert_allclose(sums / 5.0, bench.slope(0, x), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("share", "steps"), [(0.2, 5), (0.4, 3), (1.0, 1), (1e-9, 5)])
def test_every_pass_visits_every_row_once_and_each_pass_in_another_order(share: float, steps: int) -> None:
    shard = Bench(LOGISTIC, SGD()).shards[1]
    orders = []
    for epoch in range(6):
        runs = np.concatenate([mini_batch(shard, share, (3, epoch * steps + i)).runs for i in range(steps)])
        rows = np.concatenate([np.arange(first, last) for first, last in runs])
        assert_array_equal(np.sort(rows), np.arange(shard.n_rows))
        assert np.all(np.diff(runs) <= ROWS_PER_RUN)
        orders.append(tuple(runs[:, 0]))
    assert len(set(orders)) == (1 if share == 1.0 else pytest.approx(6, abs=2))
    again = mini_batch(shard, share, (3, 2)).runs
    assert_array_equal(again, mini_batch(shard, share, (3, 2)).runs)


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_a_local_state_is_rebuilt_from_the_contribution_to_the_last_bit(problem: Problem) -> None:
    kept, lost = Bench(problem, SGD()), Bench(problem, SGD())
    kept.round()
    lost.round()
    for _ in range(3):
        for one, other in zip(kept.round(), lost.round(rebuilt=True), strict=True):
            assert_array_equal(other.payload, one.payload)
            assert other.work == one.work == 8 / 40


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_comes_near_and_says_how_near(problem: Problem) -> None:
    solution = run(problem, SGD(), engine=engines.Simulated(4), tol=1e-6, max_iter=60.0, random_state=0)
    assert solution.status == "max_iter"
    honest(problem, solution)
    assert solution.certificate.primal <= 1.03 * best(problem)


def test_it_certifies_itself_where_the_tolerance_is_within_reach() -> None:
    solution = run(LOGISTIC, SGD(), engine=engines.Simulated(4), tol=0.02, max_iter=200.0, random_state=0)
    assert solution.status == "converged"
    honest(LOGISTIC, solution)


def test_the_seed_decides_which_rows_are_looked_at() -> None:
    one, same, other = (
        run(LOGISTIC, SGD(), engine=engines.Serial(), max_iter=15.0, tol=0.0, random_state=seed) for seed in (1, 1, 2)
    )
    assert_array_equal(one.coef, same.coef)
    assert np.all(one.coef != other.coef)


def test_a_first_step_far_too_long_is_survived_or_said() -> None:
    given = data(losses.Poisson())
    problem = Problem(losses.Poisson(), penalties.L2(0.05))
    solution = run(problem, SGD(eta=1e6), given=given, engine=engines.Serial(), max_iter=20.0)
    assert solution.status == "diverged"
    assert np.all(np.isfinite(solution.coef)) and np.isfinite(solution.intercept)
    assert not solution.certificate.satisfied


def test_it_needs_rounds() -> None:
    with pytest.raises(ProblemError, match=r"sgd needs rounds \(staleness=0\): use one of .*DualAveraging"):
        run(LOGISTIC, SGD(), staleness=1.0)


def test_refuses_parameters_out_of_range() -> None:
    for share in (0.0, 1.5, math.nan):
        with pytest.raises(ProblemError, match="batch of sgd"):
            SGD(batch=share)
    for eta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ProblemError, match="eta of sgd"):
            SGD(eta=eta)
