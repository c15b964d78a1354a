"""HOGWILD!: how near it comes, from any container, with any number of threads; what threads do to each other."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from benchmarks import races
from conformance.oracle import objective
from offbeat import Problem, engines, losses, penalties, solve, solvers
from offbeat.data.load import as_dataset
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.inspection import Options, inspect
from offbeat.solvers.saga.messages import SagaContribution
from support.bench import best, data, label, twice

LOSSES = [losses.Logistic(), losses.Squared(), losses.Hinge(), losses.Poisson()]
PROBLEMS = [Problem(loss, penalty) for loss in LOSSES for penalty in (penalties.L2(0.05), penalties.L1(0.02))]
LOGISTIC = PROBLEMS[0]


def run(problem: Problem, X: Any, y: Any, **options: Any) -> Any:
    settings = {"tol": 1e-9, "max_iter": 60.0, "engine": engines.Serial(), "solver": solvers.Hogwild(2)} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(problem, X, y, **settings)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("problem", PROBLEMS, ids=label)
def test_comes_near_and_says_how_near(problem: Problem, threads: int) -> None:
    given = data(problem.loss)
    for X in (given.X, sparse.csr_array(given.X)):
        solution = run(problem, X, given.y, solver=solvers.Hogwild(threads))
        assert solution.status == "max_iter"
        value = objective(problem, given, solution.coef, solution.intercept)
        assert_allclose(solution.certificate.primal, value, rtol=1e-12)
        assert best(problem) - 1e-9 <= value <= 1.02 * best(problem)


def test_all_containers_lead_there(tmp_path: Path) -> None:
    given = data(LOGISTIC.loss)
    np.save(tmp_path / "x.npy", given.X)
    compressed = sparse.csr_array(given.X)
    parts: list[Any] = [[given.X[:50], given.X[50:]], [compressed[:50], compressed[50:]]]
    for X in (*parts, twice(given.X), given.X.astype(np.float32), tmp_path / "x.npy"):
        solution = run(LOGISTIC, X, given.y, memory_budget="1KiB")
        assert best(LOGISTIC) - 1e-6 <= solution.certificate.primal <= 1.01 * best(LOGISTIC)


def test_one_thread_takes_the_same_steps_again() -> None:
    given = data(LOGISTIC.loss)
    one, same, other = (
        run(LOGISTIC, given.X, given.y, solver=solvers.Hogwild(), random_state=seed) for seed in (1, 1, 2)
    )
    assert_array_equal(one.coef, same.coef)
    assert np.all(one.coef != other.coef)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_an_epoch_is_stochastic_gradient_descent(container: Any) -> None:
    """Without a penalty: the point moves by the gradient that is gathered, along the metric."""
    given, problem = data(LOGISTIC.loss), Problem(losses.Logistic(), penalties.Zero())
    dataset = as_dataset(container(given.X), given.y)
    shard, solver = dataset.shards(1)[0], solvers.Hogwild(1)
    info = inspect(problem, dataset, [shard], engines.Serial(), Options())
    state, query = solver.init_global(problem, info)
    first = solver.local_step(problem, shard, solver.init_local(problem, shard), query)

    class One:
        def total(self) -> Any:
            return first.payload

    state, query = solver.global_step(problem, state, One())  # type: ignore[arg-type]
    step = solver.local_step(problem, shard, first.local, query)
    told = SagaContribution.unflat(step.payload, 5, query.copies.size)
    length = told.facts.step / len(given.y)
    assert_allclose(told.position, -length * query.metric * told.gradient, rtol=1e-9, atol=1e-12)
    again = solver.init_local(problem, shard, first.payload)
    assert_array_equal(solver.local_step(problem, shard, again, query).payload, step.payload)


def test_a_first_step_far_too_long_is_survived_or_said() -> None:
    given = data(LOGISTIC.loss)
    solution = run(LOGISTIC, given.X, given.y, solver=solvers.Hogwild(eta=1e6))
    assert np.all(np.isfinite(solution.coef))
    assert not solution.certificate.satisfied


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_what_threads_lose_is_a_small_share_of_the_moves(threads: int) -> None:
    for arrived, made, _ in (races.dense(20_000, 10, threads), races.sparse(20_000, 100, 5, threads)):
        lost = made - arrived
        assert np.all(lost >= 0.0)  # moves are lost; none is made twice
        assert lost.sum() <= (0.5 if threads > 1 else 0.0) * made.sum()


@pytest.mark.parametrize("options", [{"threads": 0}, {"eta": 0.0}, {"eta": math.inf}, {"eta": math.nan}])
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ProblemError, match=f"{next(iter(options))} of Hogwild is"):
        solvers.Hogwild(**options)


def test_several_outputs_are_refused() -> None:
    with pytest.raises(ProblemError, match="use LBFGS"):
        solve(Problem(losses.Multinomial(3), penalties.L2(0.1)), np.eye(3), np.arange(3.0), solver=solvers.Hogwild())
