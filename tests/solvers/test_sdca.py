"""Dual coordinate ascent: the right optimum, honest certificates, shards with and without rounds, bad input."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from conformance.oracle import objective, optimum
from offbeat import Problem, engines, losses, penalties, solve, solvers
from offbeat.data.load import as_dataset
from offbeat.datasets import make_sparse_classification
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.inspection import Options, inspect
from offbeat.kernels.shuffle import shuffle
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Message
from offbeat.solvers.dual import shard as dual_rows
from offbeat.solvers.dual.shard import SdcaContribution
from support.bench import gappy, twice

LOSSES = [losses.Logistic(), losses.SquaredHinge(), losses.Hinge(), losses.Squared(), losses.Huber()]
RIDGE = penalties.L2(1e-2)
NET = penalties.ElasticNet(2e-2, 0.3)


def fit(problem: Problem, X: Any, y: Any, **options: Any) -> Any:
    settings = {
        "tol": 1e-5 if problem.loss.name == "hinge" else 1e-8,
        "max_iter": 3000.0,
        "engine": engines.Serial(),
        "solver": solvers.SDCA(),
    } | options
    return solve(problem, X, y, **settings)


class Shards(engines.Serial):
    """One thread, four shards."""

    @property
    def n_workers(self) -> int:
        return 4


@pytest.mark.parametrize("penalty", [RIDGE, NET], ids=lambda p: p.name)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
def test_sparse_dense_and_duplicates_reach_the_optimum(loss: Any, penalty: Any, intercept: bool) -> None:
    given, problem = gappy(), Problem(loss, penalty)
    values = []
    for X in (given.X, sparse.csr_array(given.X), twice(given.X)):
        solution = fit(problem, X, given.y, fit_intercept=intercept)
        assert solution.status == "converged"
        assert_allclose(solution.coef[4], 0.0, atol=1e-12)
        values.append(objective(problem, given, solution.coef, solution.intercept))
        assert_allclose(solution.certificate.primal, values[-1], rtol=1e-12)
        assert solution.certificate.dual <= min(values) + 1e-12
    assert_allclose(values, values[0], rtol=1e-7 if loss.name != "hinge" else 1e-4)
    if loss.name != "hinge":  # SciPy's L-BFGS does not solve kinks
        assert_allclose(values[0], optimum(problem, given, fit_intercept=intercept), rtol=1e-7)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_bounds_are_true_from_the_first_round(loss: Any) -> None:
    given, problem = gappy(), Problem(loss, RIDGE)
    best = fit(problem, given.X, given.y).certificate.primal
    for passes in (1, 3, 10, 20):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            c = fit(problem, given.X, given.y, max_iter=float(passes), tol=0.0).certificate
        assert c.dual <= best + 1e-12
        assert c.primal >= best - 1e-4


@pytest.mark.parametrize("loss", [losses.Logistic(), losses.SquaredHinge()], ids=lambda loss: loss.name)
def test_shards_agree_on_the_optimum(loss: Any) -> None:
    given, problem = gappy(200), Problem(loss, RIDGE)
    one = fit(problem, given.X, given.y)
    options = {"tol": 1e-5}
    several = fit(problem, sparse.csr_array(given.X), given.y, engine=Shards(), **options)
    assert several.status == "converged"
    assert_allclose(several.certificate.primal, one.certificate.primal, atol=1e-5)


def query(k: int, n: int, *, signs: bool = False, warm: bool = False, sigma: float = 1.0, epochs: int = 1) -> Any:
    """Return a query at zero, with a ridge of 1e-2 and a pull on the intercept."""
    shrink = np.append(np.full(k, 1.0 / (n * 1e-2)), 0.1)
    at = np.zeros(k + 1)
    return dual_rows.SdcaQuery(at, shrink, np.empty(0), sigma, warm, signs, 0, epochs, n + 2, np.empty(0), at)


def test_a_contribution_holds_all_that_a_shard_knows() -> None:
    given, problem = gappy(), Problem(losses.Logistic(), RIDGE)
    shard, solver = as_dataset(given.X, given.y).shards(1)[0], solvers.SDCA()
    asked = query(12, 120)
    first = solver.local_step(problem, shard, solver.init_local(problem, shard), asked)
    second = solver.local_step(problem, shard, first.local, asked)
    lost = solver.init_local(problem, shard, first.payload)
    assert_array_equal(solver.local_step(problem, shard, lost, asked).payload, second.payload)


def test_ranks_that_disagree_about_the_anchor_agree_after_a_round() -> None:
    """One that lost its state among peers has moved it another time: both ranks go on from what they are told."""
    given, problem, solver = gappy(), Problem(losses.Huber(), RIDGE), solvers.SDCA()
    dataset = as_dataset(given.X, given.y)
    shards = dataset.shards(2)
    info = inspect(problem, dataset, shards, engines.Serial(), Options())
    state, query = solver.init_global(problem, info)
    local = [solver.init_local(problem, shard) for shard in shards]
    ranks, queries = [state, state], [query, query]
    for clock in range(1, 6):
        if clock == 4:
            ranks[1] = replace(ranks[1], anchor=ranks[1].anchor + 0.5, x=ranks[1].x - 0.2)
            queries[1] = queries[1]._replace(anchor=ranks[1].anchor)
        board = Board(2)
        for i, shard in enumerate(shards):
            step = solver.local_step(problem, shard, local[i], queries[i])
            local[i] = step.local
            board.put(Message(0, i, 0, i, clock, step.kind, step.payload))
        (ranks[0], queries[0]), (ranks[1], queries[1]) = (solver.global_step(problem, rank, board) for rank in ranks)
    assert_array_equal(ranks[0].anchor, ranks[1].anchor)
    assert_array_equal(queries[0].point, queries[1].point)


@pytest.mark.parametrize("warm", [False, True])
def test_contributions_are_the_sums_they_claim_to_be(warm: bool) -> None:
    given, problem = gappy(), Problem(losses.Hinge(), RIDGE)
    shard, solver = as_dataset(given.X, given.y).shards(1)[0], solvers.SDCA()
    asked = query(12, 120, signs=True, warm=warm, sigma=3.0, epochs=4)
    step = solver.local_step(problem, shard, solver.init_local(problem, shard), asked)
    for _ in range(2):
        c = SdcaContribution.unflat(step.payload, 13)
        theta = c.theta[:120]
        assert np.any(theta) == (warm or c.facts.first == 0.0)
        assert_allclose(c.gradient, np.append(given.X.T @ theta, theta.sum()), atol=1e-10)
        above = theta > 0.0
        assert_allclose(c.above, np.append(given.X[above].T @ theta[above], theta[above].sum()), atol=1e-10)
        conjugates = [problem.loss.conjugate(t, y) for t, y in zip(theta, given.y, strict=True)]
        assert_allclose(c.facts.conjugate, sum(conjugates))
        step = solver.local_step(problem, shard, step.local, asked)


@pytest.mark.parametrize("alpha", [1e6, 1e2])
def test_an_extreme_penalty_leaves_the_null_model(alpha: float) -> None:
    given = gappy()
    solution = fit(Problem(losses.Logistic(), penalties.L2(alpha)), given.X, given.y, tol=1e-6)
    assert solution.status == "converged"
    assert_allclose(solution.coef, 0.0, atol=1e-2)


def test_a_weak_penalty_is_eased() -> None:
    given, problem = gappy(), Problem(losses.SquaredHinge(), penalties.L2(1e-6))
    solution = fit(problem, given.X, given.y, tol=1e-4, max_iter=20_000.0)
    assert solution.status == "converged"
    assert solution.certificate.primal <= optimum(problem, given) + 1e-3


def test_two_runs_are_the_same_and_seeds_differ() -> None:
    X, y = make_sparse_classification(300, 100, seed=0)
    problem = Problem(losses.Logistic(), RIDGE)
    one, two = (fit(problem, X, y, random_state=3) for _ in range(2))
    assert_array_equal(one.coef, two.coef)
    other = fit(problem, X, y, random_state=4)
    assert not np.array_equal(one.coef, other.coef)
    assert_allclose(one.coef, other.coef, atol=1e-3)


@pytest.mark.parametrize(
    "problem",
    [
        Problem(losses.Logistic(), penalties.L1(0.1)),
        Problem(losses.Logistic(), penalties.Zero()),
        Problem(losses.Logistic(), penalties.L2(0.1, weights=[0.0] + 11 * [1.0])),
        Problem(losses.Poisson(), RIDGE),
    ],
)
def test_what_has_no_such_dual_is_refused(problem: Problem) -> None:
    given = gappy()
    with pytest.raises(ProblemError, match="SDCA"):
        fit(problem, given.X, given.y)


def test_epochs_and_threads_must_be_positive() -> None:
    with pytest.raises(ProblemError, match="epochs"):
        solvers.SDCA(0)
    with pytest.raises(ProblemError, match="threads"):
        solvers.SDCA(threads=0)


@pytest.mark.parametrize("loss", [losses.Hinge(), losses.Logistic(), losses.SquaredHinge()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
def test_lost_updates_leave_no_floor(loss: Any, intercept: bool) -> None:
    """Two threads write to the same few columns all the time; the gap falls to 1e-10 nevertheless."""
    X, y = make_sparse_classification(2000, 60, seed=0)
    problem = Problem(loss, penalties.L2(1e-1 if loss.name == "hinge" else 1e-2))
    one, two = (
        fit(problem, X, y, solver=solvers.SDCA(threads=threads), tol=1e-10, fit_intercept=intercept)
        for threads in (1, 2)
    )
    assert one.status == two.status == "converged"
    assert_allclose(two.certificate.primal, one.certificate.primal, rtol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_the_point_is_made_anew_from_the_dual_variables(container: Any) -> None:
    """Whatever becomes of the shared point on the way."""
    given, problem = gappy(400), Problem(losses.Logistic(), RIDGE)
    shard, solver = as_dataset(container(given.X), given.y).shards(1)[0], solvers.SDCA(threads=3)
    asked = query(12, 400)._replace(threads=3)
    step = solver.local_step(problem, shard, solver.init_local(problem, shard), asked)
    for _ in range(3):
        step = solver.local_step(problem, shard, step.local, asked)
        c = SdcaContribution.unflat(step.payload, 13)
        theta = c.theta[:400]
        assert_allclose(c.gradient, np.append(given.X.T @ theta, theta.sum()), atol=1e-10)


def test_threads_share_one_shard_whatever_the_engine() -> None:
    given, problem = gappy(), Problem(losses.Hinge(), RIDGE)
    whole = fit(problem, given.X, given.y, solver=solvers.SDCA(threads=1), engine=Shards())
    assert_array_equal(whole.coef, fit(problem, given.X, given.y, solver=solvers.SDCA(threads=1)).coef)


@pytest.mark.parametrize("epsilon", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_kinks_are_solved_for_exactly(epsilon: float, weighted: bool) -> None:
    """Absolute errors with a ridge so weak that ascent would take for ever."""
    given = gappy(90, 6)
    rng = np.random.default_rng(1)
    y = given.X @ rng.standard_normal(6) + rng.standard_t(2.0, 90) + 3.0
    v = rng.integers(0, 4, 90).astype(float) if weighted else None
    problem = Problem(losses.EpsilonInsensitive(epsilon), penalties.L2(1e-5))
    for X in (given.X, sparse.csr_array(given.X)):
        solution = fit(problem, X, y, sample_weight=v, tol=1e-11, max_iter=3000.0)
        assert solution.status == "converged"
        r = np.abs(X @ solution.coef + solution.intercept - y) - epsilon
        on = np.abs(r) < 1e-8  # as many rows on kinks as there are unknowns
        assert np.count_nonzero(on) >= 6


@pytest.mark.parametrize("rows_", [0, 1, 31, 32, 33, 1000])
def test_shuffling_loses_no_row(rows_: int) -> None:
    given = np.arange(rows_) * 3
    out = np.full(rows_, -1)
    shuffle(given, 32, 12345, out)
    assert_array_equal(np.sort(out), given)
    if rows_ == 1000:
        again = out.copy()
        shuffle(given, 32, 12345, again)
        assert_array_equal(again, out)
        assert np.count_nonzero(out == given) < 500
