"""Dual averaging: the published iteration, means that do not depend on who is asked how often, how near it comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from offbeat import Problem, engines, losses, penalties, topology
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.solve import solve
from offbeat.solvers import DualAveraging
from support.bench import Bench, best, data, honest, label, run

LOSSES = [losses.Hinge(), losses.Logistic(), losses.Squared()]
PROBLEMS = [Problem(loss, penalty) for loss in LOSSES for penalty in (penalties.L2(0.05), penalties.L1(0.02))]
LOGISTIC = PROBLEMS[2]
SLOW = engines.Simulated(4, straggler={0: 6.0})


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_with_all_rows_in_a_batch_it_is_the_published_iteration(problem: Problem) -> None:
    bench, eta, n = Bench(problem, DualAveraging(batch=1.0, eta=0.3)), 0.3, 120
    origin = x = average = bench.query.x
    gradients = np.zeros(5)
    for t in range(1, 16):
        gradients += sum(bench.slope(shard, x) for shard in range(3)) / n
        bench.round()
        step = eta * math.sqrt(t)
        x = bench.prox(origin - step * gradients / t, step)
        average = average + (x - average) * 2.0 / (t + 1.0)
        assert_allclose(bench.query.x, x, rtol=1e-9, atol=1e-11)
        assert_allclose(bench.state.mean, average, rtol=1e-9, atol=1e-11)
        bench.query = bench.query._replace(x=x)  # at the hinge's kink, rounding would part them


def test_the_published_variant_is_the_same_when_all_march_in_step() -> None:
    keyed, asip = (Bench(LOGISTIC, DualAveraging(batch=0.25, variant=variant)) for variant in ("keyed", "asip"))
    for _ in range(12):
        keyed.round()
        asip.round()
        assert_allclose(asip.query.x, keyed.query.x, rtol=1e-9, atol=1e-11)


def test_a_shard_that_is_asked_more_often_does_not_count_more() -> None:
    bench, optimum = Bench(LOGISTIC, DualAveraging(batch=1.0)), best(LOGISTIC)
    bench.round()
    for clock in range(1, 3000):
        bench.step(2 if clock % 20 == 0 else clock % 2)
        bench.update()
    x = bench.state.candidate
    rows, y = (np.concatenate(parts) for parts in zip(*(bench.rows(i) for i in range(3)), strict=True))
    z = rows @ np.append(x.coef, x.intercept)
    value = float(np.mean(np.logaddexp(0.0, z) - y * z)) + 0.025 * float(np.sum((x.coef / bench.info.scale) ** 2))
    assert optimum <= value <= 1.005 * optimum


@pytest.mark.parametrize("variant", ["keyed", "asip"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_a_local_state_is_rebuilt_from_the_contribution_to_the_last_bit(problem: Problem, variant: str) -> None:
    kept, lost = (Bench(problem, DualAveraging(variant=variant)) for _ in range(2))
    for _ in range(3):
        kept.round()
        lost.round()
    for _ in range(3):
        for one, other in zip(kept.round(), lost.round(rebuilt=True), strict=True):
            assert_array_equal(other.payload, one.payload)
            assert other.work == one.work


@pytest.mark.parametrize("staleness", [0.0, math.inf])
@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_comes_near_and_says_how_near(problem: Problem, staleness: float) -> None:
    solution = run(problem, DualAveraging(), engine=SLOW, staleness=staleness, tol=1e-6, max_iter=60.0, random_state=0)
    assert solution.status == "max_iter"
    assert 60.0 <= solution.passes < 62.0
    honest(problem, solution)
    assert solution.certificate.primal <= 1.05 * best(problem)


@pytest.mark.parametrize("where", [topology.Broadcast(), topology.Tree(2), topology.Gossip(2)], ids=label)
@pytest.mark.parametrize("variant", ["keyed", "asip"])
def test_among_peers(variant: str, where: topology.Broadcast) -> None:
    solution = run(
        LOGISTIC, DualAveraging(variant=variant), engine=engines.Simulated(4, straggler={0: 2.0}), staleness=math.inf,
        topology=where, tol=1e-6, max_iter=40.0, random_state=0,
    )  # fmt: skip
    assert solution.status == "max_iter"
    honest(LOGISTIC, solution)
    assert solution.certificate.primal <= 1.05 * best(LOGISTIC)


def test_the_warning_says_what_to_do() -> None:
    given = data(LOGISTIC.loss)
    with pytest.warns(ConvergenceWarning, match=r"relative gap of .*\(tol=1e-06\): raise max_iter"):
        solve(LOGISTIC, given.X, given.y, solver=DualAveraging(), max_iter=3.0)


def test_the_seed_decides_which_rows_are_looked_at() -> None:
    one, same, other = (
        run(LOGISTIC, DualAveraging(), engine=engines.Serial(), max_iter=15.0, tol=0.0, random_state=seed)
        for seed in (1, 1, 2)
    )
    assert_array_equal(one.coef, same.coef)
    assert np.all(one.coef != other.coef)


def test_numbers_that_are_not_finite_end_the_fit() -> None:
    bench = Bench(LOGISTIC, DualAveraging())
    bench.round()
    x, bad = bench.query.x, bench.payloads[0].copy()
    bad[0] = math.nan
    bench.board.put(bench.board.slot(0)._replace(clock=9, payload=bad))
    bench.update()
    assert bench.state.status == "diverged"
    assert_array_equal(bench.query.x, x)


def test_refuses_parameters_out_of_range() -> None:
    for batch in (0.0, 1.5, math.nan):
        with pytest.raises(ProblemError, match="batch of dual-averaging"):
            DualAveraging(batch=batch)
    for eta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ProblemError, match="eta of dual-averaging"):
            DualAveraging(eta=eta)
    with pytest.raises(ProblemError, match='give "keyed" or "asip"'):
        DualAveraging(variant="fast")  # type: ignore[arg-type]
