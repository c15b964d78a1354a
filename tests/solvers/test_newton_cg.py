"""Truncated Newton: the right optimum, its parts against dense algebra, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from conformance.oracle import Data, objective, optimum
from offbeat import Problem, engines, losses, penalties, solve, solvers
from offbeat.data.load import as_dataset
from offbeat.data.shards import Point
from offbeat.datasets import make_sparse_classification
from offbeat.errors import ProblemError
from offbeat.fit import choice
from offbeat.solvers._common import continuation, hessian_products
from offbeat.solvers._common.hessian_products import BLOCK, DIAGONAL, EVALUATE, PRODUCT, HessianQuery
from offbeat.solvers.newton_cg import conjugate_gradients, preconditioner
from support.bench import gappy, twice

LOSSES = [losses.Logistic(), losses.SquaredHinge(), losses.Squared(), losses.Huber(), losses.Poisson()]


def fit(problem: Problem, X: Any, y: Any, **options: Any) -> Any:
    settings = {"tol": 1e-8, "engine": engines.Serial(), "solver": solvers.NewtonCG()} | options
    return solve(problem, X, y, **settings)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
def test_sparse_dense_and_duplicates_reach_the_optimum(loss: Any, intercept: bool) -> None:
    given, problem = gappy(), Problem(loss, penalties.L2(1e-3))
    reference = optimum(problem, given, fit_intercept=intercept)
    for X in (given.X, sparse.csr_array(given.X), twice(given.X)):
        solution = fit(problem, X, given.y, fit_intercept=intercept)
        assert solution.status == "converged"
        c = solution.certificate
        assert_allclose(c.primal, objective(problem, given, solution.coef, solution.intercept), rtol=1e-12)
        assert c.dual - 1e-12 <= reference <= c.primal + 1e-9
        assert_allclose(solution.coef[4], 0.0, atol=1e-12)


@pytest.mark.parametrize("C", [1e-6, 1.0, 1e6])
def test_extreme_penalties_agree_with_scikit_learn(C: float) -> None:
    given = gappy(400, 10)
    solution = fit(Problem(losses.Logistic(), penalties.L2(1.0 / (C * len(given.y)))), given.X, given.y, tol=1e-9)
    assert solution.status == "converged"
    other = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(given.X, given.y)
    assert_allclose(solution.coef.ravel(), other.coef_.ravel(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_columns_in_units_that_span_twelve_orders(convert: Any) -> None:
    given = gappy()
    units = np.geomspace(1e-6, 1e6, 12)
    problem = Problem(losses.Logistic(), penalties.L2(1e-3))
    solution = fit(problem, convert(given.X * units), given.y, standardize=True)
    plain = fit(problem, convert(given.X), given.y, standardize=True)
    assert solution.status == plain.status == "converged"
    assert_allclose(solution.coef.ravel() * units, plain.coef.ravel(), atol=1e-4)
    assert fit(problem, convert(given.X * units), given.y, tol=1e-3).status == "converged"


def test_threads_and_shards_do_not_matter() -> None:
    X, y = make_sparse_classification(2000, 800, seed=0)
    problem = Problem(losses.Logistic(), penalties.L2(1e-4))
    one, two = fit(problem, X, y), fit(problem, X, y, engine=engines.Threads(2))
    assert one.status == two.status == "converged"
    assert_allclose(one.certificate.primal, two.certificate.primal, rtol=1e-8)


def asked(what: str, X: Any, given: Data, columns: Any = (), loss: Any = None) -> tuple[Any, Any, Any]:
    """Return what a shard answers, its centred rows with a column of ones, and the curvature of each row."""
    loss = loss or losses.Logistic()
    rng = np.random.default_rng(1)
    k = given.X.shape[1]
    w, b, center = rng.standard_normal(k), 0.2, rng.standard_normal(k)
    point = Point(w, np.array([b]), center, 1.0, False, True)
    shard = as_dataset(X, given.y).shards(1)[0]
    solver, problem = solvers.NewtonCG(), Problem(loss, penalties.L2(1.0))
    query = HessianQuery(what, point, 7, np.arange(k + 1.0), np.asarray(columns, np.int64))
    step = solver.local_step(problem, shard, solver.init_local(problem, shard), query)
    full = np.column_stack([given.X - center, np.ones(len(given.y))])
    bend = np.array([loss.second_derivative(z, t) for z, t in zip(full[:, :-1] @ w + b, given.y, strict=True)])
    return step.payload, full, bend


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_answers_are_those_of_the_hessian(convert: Any) -> None:
    given = gappy()
    X = convert(given.X)
    payload, full, bend = asked(PRODUCT, X, given)
    assert_allclose(payload, full.T @ (bend * (full @ np.arange(13.0))), atol=1e-9)
    payload, full, bend = asked(DIAGONAL, X, given)
    assert_allclose(payload[:-1], (bend[:, None] * full**2).sum(axis=0), atol=1e-9)
    columns = [1, 3, 7, 12]
    payload, full, bend = asked(BLOCK, X, given, columns)
    part = full[:, columns]
    assert_allclose(np.tril(payload.reshape(4, 4)), np.tril(part.T @ (bend[:, None] * part)), atol=1e-9)
    payload, full, _ = asked(EVALUATE, X, given)
    assert payload[3] == len(given.y)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
def test_answers_are_those_of_the_hessian_of_several_classes(convert: Any, weighted: bool) -> None:
    given, classes = gappy(), 3
    rng = np.random.default_rng(2)
    n, k = given.X.shape
    y, v = rng.integers(0, classes, n).astype(float), rng.uniform(0.5, 2.0, n) if weighted else np.ones(n)
    point = Point(rng.standard_normal((k, classes)), rng.standard_normal(classes), rng.standard_normal(k))
    solver, problem = solvers.NewtonCG(), Problem(losses.Multinomial(classes), penalties.L2(1.0))
    shard = as_dataset(convert(given.X), y, sample_weight=v if weighted else None).shards(1)[0]
    local = solver.init_local(problem, shard)

    def ask(what: str, direction: Any = ()) -> Any:
        query = HessianQuery(what, point, 1, np.asarray(direction, float), hessian_products.NO_COLUMNS)
        return solver.local_step(problem, shard, local, query).payload

    full = np.column_stack([given.X - point.center, np.ones(n)])
    z = full @ np.vstack([point.coef, point.intercept])
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    theta = v[:, None] * (p - np.eye(classes)[y.astype(int)])
    assert_allclose(ask(EVALUATE)[classes + 3 :].reshape(k, classes), full[:, :-1].T @ theta, rtol=1e-9, atol=1e-9)
    direction = rng.standard_normal((k + 1, classes))
    t = full @ direction
    moved = full.T @ (v[:, None] * p * (t - (p * t).sum(axis=1, keepdims=True)))
    assert_allclose(ask(PRODUCT, direction.ravel()).reshape(k + 1, classes), moved, rtol=1e-5, atol=1e-4)
    diagonal = (full**2).T @ (v[:, None] * p * (1.0 - p))
    assert_allclose(ask(DIAGONAL)[:-1].reshape(k + 1, classes), diagonal, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_several_classes_reach_the_optimum(convert: Any, intercept: bool) -> None:
    given, rng = gappy(300), np.random.default_rng(3)
    y = np.argmax(given.X @ rng.standard_normal((12, 4)) + rng.gumbel(size=(300, 4)), axis=1)
    weight = rng.uniform(0.5, 2.0, 300)
    weight /= weight.mean()
    problem = Problem(losses.Multinomial(4), penalties.L2(1e-2))
    solution = fit(problem, convert(given.X), y, sample_weight=weight, fit_intercept=intercept, tol=1e-11)
    assert solution.status == "converged"
    peer = LogisticRegression(C=1.0 / (1e-2 * len(y)), tol=1e-12, max_iter=10_000, fit_intercept=intercept)
    assert_allclose(solution.coef.T, peer.fit(given.X, y, sample_weight=weight).coef_, atol=1e-4)


def test_sparse_data_of_several_classes_is_its_business() -> None:
    problem, y = Problem(losses.Multinomial(3), penalties.L2(1e-2)), np.arange(60) % 3
    assert choice.solver(problem, as_dataset(sparse.eye_array(60, 7, format="csr"), y), "auto")[0] == solvers.NewtonCG()
    assert choice.solver(problem, as_dataset(np.eye(60, 7), y), "auto")[0] == solvers.LBFGS()


def test_a_step_holds_what_it_needs_and_finds_it_again() -> None:
    given = gappy()
    problem, solver = Problem(losses.Logistic(), penalties.L2(1.0)), solvers.NewtonCG()
    shard = as_dataset(given.X, given.y).shards(1)[0]
    point = Point(np.ones(12), np.zeros(1), np.zeros(12), 1.0, False, True)
    evaluate = HessianQuery(EVALUATE, point, 3, np.empty(0), hessian_products.NO_COLUMNS)
    held = solver.local_step(problem, shard, solver.init_local(problem, shard), evaluate).local
    product = evaluate._replace(what=PRODUCT, direction=np.ones(13))
    with_it = solver.local_step(problem, shard, held, product)
    without = solver.local_step(problem, shard, solver.init_local(problem, shard, with_it.payload), product)
    assert (with_it.work, without.work) == (1.0, 2.0)
    assert_array_equal(with_it.payload, without.payload)


def test_conjugate_gradients_solve() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((9, 6))
    H, slope = root.T @ root, rng.standard_normal(6)
    state = conjugate_gradients.first_state(preconditioner.only_diagonal(np.diag(H).copy()), slope, 1e-10)
    while not state.done:
        state = conjugate_gradients.advance(state, H @ state.direction, 50)
    assert_allclose(state.step, -np.linalg.solve(H, slope), atol=1e-8)
    assert_allclose(state.change, slope @ state.step + 0.5 * state.step @ H @ state.step)


def test_conjugate_gradients_stop_where_there_is_no_curvature() -> None:
    solver = preconditioner.only_diagonal(np.ones(2))
    flat = conjugate_gradients.advance(
        conjugate_gradients.first_state(solver, np.array([3.0, 4.0]), 0.1), np.zeros(2), 50
    )
    assert flat.done
    assert_array_equal(flat.step, [-3.0, -4.0])


@pytest.mark.parametrize(("shift", "kind"), [(0.0, np.float32), (1e4, np.float64)])
def test_products_are_in_single_precision_unless_columns_lie_far_from_zero(
    shift: float, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conjugate_gradients, "MIN_SIZE_FOR_FLOAT32", 1)
    rng = np.random.default_rng(0)
    X, y = sparse.csr_matrix(rng.standard_normal((300, 40)) + shift), rng.integers(0, 3, 300)
    seen: set[Any] = set()

    class Watched(solvers.NewtonCG):
        def local_step(self, problem: Problem, shard: Any, local: Any, query: Any) -> Any:
            seen.add(query.direction.dtype.type if query.what == PRODUCT else None)
            return super().local_step(problem, shard, local, query)

    given = solve(Problem(losses.Multinomial(3), penalties.L2(1e-2)), X, y, solver=Watched(), tol=1e-10)
    assert given.status == "converged"
    assert kind in seen


def pairs(n: int, users: int, items: int) -> tuple[Any, Any]:
    """Return two indicators a row, of which many are rare, and targets that a sum over both explains in part."""
    rng = np.random.default_rng(0)
    user, item = (users * rng.random(n) ** 2).astype(int), (items * rng.random(n) ** 3).astype(int)
    z = rng.normal(size=users)[user] + rng.normal(size=items)[item]
    X = sparse.csr_matrix((np.ones(2 * n), np.column_stack([user, users + item]).ravel(), 2 * np.arange(n + 1)))
    return X, (z + rng.logistic(size=n) > 0.0).astype(float)


def test_weak_ridges_are_come_at_from_stronger_ones() -> None:
    """Steps of a cold start would end where rows know no curvature, and creep from there: more than 3,000 passes."""
    X, y = pairs(20_000, 400, 3_000)
    problem = Problem(losses.SquaredHinge(), penalties.L2(1e-3 / X.shape[0]))
    given = fit(problem, X, y, tol=1e-6, fit_intercept=False)
    assert given.status == "converged"
    assert given.passes <= 300


def test_easier_problems_are_for_weak_ridges() -> None:
    many = np.full((10_000, 1), 0.25)
    assert continuation.first_factor(many, np.full((10_000, 1), 1e-9), 1e7) == 1.0
    assert continuation.first_factor(many, np.zeros((10_000, 1)), 1e4) == 1.0
    assert continuation.first_factor(many, np.full((10_000, 1), 1e-9), 1e3) == 1.0
    ease = continuation.first_factor(many, np.full((10_000, 1), 1e-3), 1e4)
    assert 10_000 * 0.25 / (0.25 + 1e-3 * ease) <= 1e4 / continuation.ROWS_PER_FREE_COEFFICIENT
    steps = 0
    while ease > 1.0:
        ease, steps = continuation.next_factor(ease, 10), steps + 1
    assert ease == 1.0
    assert steps > 2


def test_easier_problems_are_told_by_all_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "MAX_SAMPLED_COEFFICIENTS", 500)
    bend, penalty = np.zeros((1_000, 10)), np.full((1_000, 10), 1e-6)
    bend[:, 1:] = 0.25  # a sample of every twentieth number would see the first output only
    assert continuation.first_factor(bend, penalty, 2e4) > 1.0


def test_single_precision_survives_very_weak_ridges(monkeypatch: pytest.MonkeyPatch) -> None:
    """The penalty of the first, easiest problem would swallow the diagonal if one were taken from the other."""
    monkeypatch.setattr(conjugate_gradients, "MIN_SIZE_FOR_FLOAT32", 1)
    monkeypatch.setattr(continuation, "MIN_ROWS_FOR_CONTINUATION", 0.0)
    monkeypatch.setattr(continuation, "ROWS_PER_FREE_COEFFICIENT", 1e6)
    seen: list[Any] = []
    monkeypatch.setattr(
        preconditioner.Preconditioner, "solve", lambda self, r: (seen.append(self.diagonal.min()), r / self.diagonal)[1]
    )
    X, y = make_sparse_classification(400, 60, seed=0)
    y = np.arange(400) % 3
    given = fit(Problem(losses.Multinomial(3), penalties.L2(1e-7)), X, y, tol=1e-4)
    assert min(seen) > 0.0
    assert given.status == "converged"


def test_a_block_of_all_columns_is_the_inverse() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((9, 5))
    H = root.T @ root
    solver = preconditioner.with_block(np.diag(H).copy(), np.arange(5), np.tril(H).copy())
    r = rng.standard_normal(5)
    assert_allclose(solver.solve(r), np.linalg.solve(H, r), rtol=1e-6)
    indefinite = preconditioner.with_block(np.ones(2), np.arange(2), np.array([[1.0, 0.0], [2.0, 1.0]]))
    assert_array_equal(indefinite.solve(np.ones(2)), np.ones(2))


@pytest.mark.parametrize(
    "problem",
    [Problem(losses.Logistic(), penalties.L1(0.1)), Problem(losses.Hinge(), penalties.L2(0.1))],
)
def test_kinks_are_refused(problem: Problem) -> None:
    given = gappy()
    with pytest.raises(ProblemError, match="smooth"):
        fit(problem, given.X, given.y)


@pytest.mark.parametrize("options", [{"accuracy": 0.0}, {"accuracy": 1.0}, {"most": 0}])
def test_parameters_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(ProblemError, match="NewtonCG"):
        solvers.NewtonCG(**options)


def test_rows_in_order_of_a_column_make_no_worse_a_preconditioner() -> None:
    """Two indicators a row, sorted by the first: with too few rows, columns would be missing from the block."""
    n = 30_000
    X, y = pairs(n, 300, 600)
    order = np.argsort(X.indices[::2], kind="stable")
    problem = Problem(losses.Logistic(), penalties.L2(1.0 / n))
    passes = [fit(problem, X[r], y[r], tol=1e-6, fit_intercept=False).passes for r in (order, np.arange(n))]
    assert passes[0] <= 1.25 * passes[1]
