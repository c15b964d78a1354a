"""Model averaging: local epochs row by row, once or again and again, how near it comes and what it says then."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from conformance.oracle import Data
from offbeat import Problem, engines, losses, penalties, topology
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.solve import solve
from offbeat.solvers import ModelAveraging
from offbeat.solvers._common.constants import ROWS_PER_RUN
from support.bench import Bench, best, data, honest, label, run

LOSSES = [losses.Hinge(), losses.Logistic(), losses.Squared()]
PROBLEMS = [Problem(loss, penalty) for loss in LOSSES for penalty in (penalties.L2(0.05), penalties.L1(0.02))]
LOGISTIC = PROBLEMS[2]


def epochs(bench: Bench, shard: int, x: Any, first: int, count: int, eta: float) -> Any:
    """Return the average iterate of the last of some epochs over a shard, from the rows."""
    rows, y = bench.rows(shard)
    n, name = len(y), bench.problem.loss.name
    per_epoch = math.ceil(n / ROWS_PER_RUN)
    points: list[Any] = []
    for epoch in range(first, first + count):
        rng = np.random.default_rng((bench.info.seed, bench.shards[shard].start, epoch))
        points = []
        for i, start in enumerate(ROWS_PER_RUN * rng.permutation(per_epoch)):
            part, targets = rows[start : start + ROWS_PER_RUN], y[start : start + ROWS_PER_RUN]
            z, sign = part @ x, 2.0 * targets - 1.0
            slopes = {
                "squared": z - targets,
                "logistic": 1.0 / (1.0 + np.exp(-z)) - targets,
                "hinge": np.where(sign * z < 1.0, -sign, 0.0),
            }
            step = eta / math.sqrt(1.0 + (epoch * per_epoch + i) / per_epoch)
            x = bench.prox(x - step * part.T @ slopes[name] / len(part), step)
            points.append(x)
    return np.mean(points, axis=0)


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_the_iterate_is_the_mean_of_what_workers_fit_to_their_own_rows(problem: Problem) -> None:
    bench = Bench(problem, ModelAveraging(epochs=2, eta=0.2))
    for number in range(3):
        x = bench.query.x
        models = [epochs(bench, shard, x, 2 * number, 2, 0.2) for shard in range(3)]
        bench.round()
        assert_allclose(bench.query.x, np.mean(models, axis=0), rtol=1e-9, atol=1e-11)
    assert bench.state.passes == pytest.approx(6.0 + 1.0)  # the curvature was looked for first


def test_shards_count_by_their_rows() -> None:
    bench = Bench(LOGISTIC, ModelAveraging(eta=0.2), given=data(LOGISTIC.loss, n=50))
    sizes = [shard.n_rows for shard in bench.shards]
    assert sizes == [16, 17, 17]
    models = [epochs(bench, shard, bench.query.x, 0, 2, 0.2) for shard in range(3)]
    bench.round()
    assert_allclose(bench.query.x, np.average(models, axis=0, weights=sizes), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_a_local_state_is_rebuilt_from_the_contribution_to_the_last_bit(problem: Problem) -> None:
    kept, lost = Bench(problem, ModelAveraging()), Bench(problem, ModelAveraging())
    kept.round()
    lost.round()
    for _ in range(3):
        for one, other in zip(kept.round(), lost.round(rebuilt=True), strict=True):
            assert_array_equal(other.payload, one.payload)
            assert other.work == one.work == 2.0


@pytest.mark.parametrize("staleness", [0.0, math.inf])
@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_comes_near_and_says_how_near(problem: Problem, staleness: float) -> None:
    engine = engines.Simulated(4, straggler={0: 6.0})
    solution = run(
        problem, ModelAveraging(), engine=engine, staleness=staleness, tol=1e-6, max_iter=60.0, random_state=0
    )
    assert solution.status == "max_iter"
    honest(problem, solution)
    assert solution.certificate.primal <= 1.04 * best(problem)


@pytest.mark.parametrize("rounds", [1, 4])
@pytest.mark.parametrize("problem", PROBLEMS[::2], ids=label)
def test_after_its_rounds_it_ends_with_a_certificate(problem: Problem, rounds: int) -> None:
    given = data(problem.loss)
    with pytest.warns(ConvergenceWarning, match="all rounds of averaging are done: raise rounds"):
        solution = solve(
            problem, given.X, given.y, solver=ModelAveraging(rounds=rounds, epochs=3), engine=engines.Simulated(4),
            tol=1e-9, random_state=0,
        )  # fmt: skip
    assert solution.status == "rounds"
    steps = [row for row in solution.trace if row.kind == "step"]
    assert sum(row.note == "epochs" for row in steps) == 4 * rounds
    assert steps[-1].note == "gradient"
    honest(problem, solution)
    assert solution.certificate.primal <= 1.3 * best(problem)


def test_more_rounds_come_nearer() -> None:
    primals = [
        run(
            LOGISTIC, ModelAveraging(rounds=r), engine=engines.Simulated(4), tol=1e-9, random_state=0
        ).certificate.primal
        for r in (1, 3, 12)
    ]
    assert primals[0] > primals[1] > primals[2] >= best(LOGISTIC)


def test_among_peers_too() -> None:
    solution = run(
        LOGISTIC, ModelAveraging(), engine=engines.Simulated(4, straggler={0: 6.0}), staleness=math.inf,
        topology=topology.Gossip(2), tol=0.02, max_iter=300.0, random_state=0,
    )  # fmt: skip
    assert solution.status == "converged"
    honest(LOGISTIC, solution)


@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_dense_is_sparse(problem: Problem) -> None:
    given = data(problem.loss)
    hollow = np.where(np.abs(given.X) < 0.5, 0.0, given.X)
    fits = [Bench(problem, ModelAveraging(eta=0.2), given=Data(X, given.y)) for X in (hollow, sparse.csr_array(hollow))]
    for bench in fits:
        bench.round()
    assert_allclose(fits[1].query.x, fits[0].query.x, rtol=1e-8, atol=1e-10)


def test_rounds_are_counted_in_rounds() -> None:
    assert ModelAveraging().max_staleness == math.inf
    assert ModelAveraging(rounds=1).max_staleness == 0.0
    with pytest.raises(ProblemError, match=r"model-averaging needs rounds \(staleness=0\)"):
        run(LOGISTIC, ModelAveraging(rounds=1), staleness=math.inf)


def test_refuses_what_makes_no_sense() -> None:
    for options, message in (
        ({"rounds": 0}, "rounds of ModelAveraging is 0"),
        ({"epochs": 0}, "epochs of ModelAveraging is 0"),
        ({"eta": 0.0}, "eta of ModelAveraging"),
        ({"eta": math.nan}, "eta of ModelAveraging"),
    ):
        with pytest.raises(ProblemError, match=message):
            ModelAveraging(**options)  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="does not solve the multinomial loss; use LBFGS or ProximalGradient"):
        ModelAveraging().check(Problem(losses.Multinomial(3), penalties.L2(0.1)))
