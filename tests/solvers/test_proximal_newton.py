"""ProximalNewton on many columns: against scikit-learn and brute force, on data that is hard."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import LogisticRegression as SklearnLogistic

from conformance.oracle import Data, objective
from offbeat import Problem, engines, losses, penalties, solve, solve_path, solvers
from offbeat.data.shards import threads
from offbeat.errors import ProblemError
from offbeat.fit import choice
from offbeat.fit.paths import lambda_max
from offbeat.fit.solution import Solution
from offbeat.solvers.lasso import column_models, column_store, row_sample
from offbeat.solvers.lasso.working_set import WorkingSetLocal

LOSSES = [losses.Squared(), losses.Logistic(), losses.Poisson(), losses.SquaredHinge(), losses.Huber()]


def words(n: int = 300, k: int = 400, seed: int = 0, signal: int = 12) -> tuple[Any, Any]:
    """Sparse rows with columns of very different frequency, and a noisy predictor."""
    rng = np.random.default_rng(seed)
    chance = np.minimum(0.5, 3.0 / (1.0 + np.arange(k)))
    X = (rng.random((n, k)) < chance) * rng.uniform(0.5, 2.0, (n, k))
    z = X[:, :signal] @ rng.standard_normal(signal) + 0.5 * rng.standard_normal(n)
    return sparse.csr_array(X), z


def target(loss: Any, z: Any) -> Any:
    if loss.classifier:
        return (z > np.median(z)).astype(float)
    return np.random.default_rng(1).poisson(np.exp(np.clip(z, -2, 2))).astype(float) if loss.name == "poisson" else z


def fit(problem: Problem, X: Any, y: Any, **options: Any) -> Solution:
    settings: dict[str, Any] = {"tol": 1e-10, "max_iter": 5000.0, "engine": engines.Serial(), "progress": False}
    return solve(problem, X, y, solver=solvers.ProximalNewton(), **(settings | options))


@pytest.fixture
def gram(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Have models minimised by the Gram matrix or by residuals, whatever pays."""
    monkeypatch.setattr(column_models, "gram_pays", lambda task: request.param)
    return bool(request.param)


WAYS = pytest.mark.parametrize("gram", [True, False], ids=["gram", "residuals"], indirect=True)


@WAYS
@pytest.mark.parametrize("share", [0.3, 0.03])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_lasso_agrees_with_scikit_learn(gram: bool, share: float, fit_intercept: bool) -> None:
    X, y = words()
    alpha = share * lambda_max(Problem(losses.Squared(), penalties.L1()), X, y, fit_intercept=fit_intercept)
    mine = fit(Problem(losses.Squared(), penalties.L1(alpha)), X, y, fit_intercept=fit_intercept)
    theirs = SklearnElasticNet(alpha, l1_ratio=1.0, fit_intercept=fit_intercept, tol=1e-13, max_iter=1_000_000)
    theirs.fit(X.toarray(), y)
    assert mine.status == "converged"
    assert_allclose(mine.coef, theirs.coef_, atol=2e-5)
    problem = Problem(losses.Squared(), penalties.L1(alpha))
    best = objective(problem, Data(X.toarray(), y), theirs.coef_, theirs.intercept_)
    assert mine.certificate.primal <= best * (1.0 + 1e-9)
    assert mine.certificate.dual <= best


@WAYS
def test_logistic_agrees_with_scikit_learn(gram: bool) -> None:
    X, z = words()
    y = target(losses.Logistic(), z)
    problem = Problem(losses.Logistic(), penalties.L1(0.01))
    mine = fit(problem, X, y, fit_intercept=False)
    theirs = SklearnLogistic(
        l1_ratio=1.0, C=1.0 / (0.01 * len(y)), solver="saga", fit_intercept=False, tol=1e-10, max_iter=100_000
    )
    theirs.fit(X.toarray(), y)
    assert_allclose(mine.coef, theirs.coef_[0], atol=1e-4)
    assert mine.certificate.primal <= objective(problem, Data(X.toarray(), y), theirs.coef_[0], 0.0) * (1.0 + 1e-9)


@WAYS
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("penalty", [penalties.L1(0.02), penalties.ElasticNet(0.03, 0.7)], ids=lambda p: p.name)
def test_dense_is_sparse_and_every_loss_reaches_1e_10(gram: bool, loss: Any, penalty: Any) -> None:
    X, z = words(n=120, k=150)
    rng = np.random.default_rng(5)
    extras = {"sample_weight": rng.integers(0, 3, 120).astype(float), "offset": 0.2 * rng.standard_normal(120)}
    y = target(loss, z)
    of_rows = fit(Problem(loss, penalty), X, y, **extras)
    of_dense = fit(Problem(loss, penalty), X.toarray(), y, **extras)
    assert of_rows.status == of_dense.status == "converged"
    assert of_rows.certificate.relative_gap <= 1e-10
    assert_allclose(of_rows.certificate.primal, of_dense.certificate.primal, rtol=1e-9)
    given = Data(X.toarray(), y, extras["sample_weight"], extras["offset"])
    stated = objective(Problem(loss, penalty), given, of_rows.coef, of_rows.intercept)
    assert_allclose(of_rows.certificate.primal, stated, rtol=1e-12)


@WAYS
def test_all_columns_are_zero_from_lambda_max_on(gram: bool) -> None:
    X, z = words()
    for loss in (losses.Squared(), losses.Logistic()):
        y = target(loss, z)
        largest = lambda_max(Problem(loss, penalties.L1()), X, y)
        above = fit(Problem(loss, penalties.L1(1.001 * largest)), X, y)
        assert not above.coef.any()
        assert above.status == "converged"
        assert fit(Problem(loss, penalties.L1(0.99 * largest)), X, y, tol=1e-8).coef.any()


def test_a_penalty_that_is_next_to_nothing() -> None:
    X, y = words(n=400, k=60)
    alpha = 1e-6 * lambda_max(Problem(losses.Squared(), penalties.L1()), X, y)
    solution = fit(Problem(losses.Squared(), penalties.L1(alpha)), X, y, tol=1e-8)
    design = np.column_stack([X.toarray(), np.ones(400)])
    least = np.linalg.lstsq(design, y, rcond=None)[0]
    assert solution.status == "converged"
    assert_allclose(design @ np.append(solution.coef, solution.intercept), design @ least, atol=1e-3)


@WAYS
def test_columns_on_scales_over_twelve_decades(gram: bool) -> None:
    X, z = words(n=200, k=100)
    scale = np.geomspace(1e-6, 1e6, 100)
    for loss in (losses.Squared(), losses.Logistic()):
        y = target(loss, z)
        weights = scale  # what a column gains in size, its coefficient loses
        problem = Problem(loss, penalties.L1(0.01))
        scaled = Problem(loss, penalties.L1(0.01, weights=weights))
        plain, wide = fit(problem, X, y), fit(scaled, sparse.csr_array(X.multiply(scale)), y)
        assert wide.status == "converged"
        assert_allclose(wide.certificate.primal, plain.certificate.primal, rtol=1e-9)
        assert_allclose(wide.coef * scale, plain.coef, atol=1e-4)


@WAYS
def test_rows_of_zeros_and_columns_that_never_occur(gram: bool) -> None:
    X, y = words(n=150, k=80)
    holes = X.toarray()
    holes[::7] = 0.0
    holes[:, [3, 40, 79]] = 0.0
    problem = Problem(losses.Squared(), penalties.L1(0.02))
    solution = fit(problem, sparse.csr_array(holes), y)
    assert_array_equal(solution.coef[[3, 40, 79]], 0.0)
    assert_allclose(solution.certificate.primal, fit(problem, holes, y).certificate.primal, rtol=1e-9)
    start = (np.full(80, 0.3), 0.0)  # from which useless coefficients must come back to zero
    again = fit(problem, sparse.csr_array(holes), y, start=start)
    assert_array_equal(again.coef[[3, 40, 79]], 0.0)


@WAYS
def test_entries_that_repeat_add_up(gram: bool) -> None:
    X, y = words(n=150, k=80)
    rng = np.random.default_rng(2)
    parts = sparse.coo_array(X)
    share = rng.uniform(0.2, 0.8, parts.nnz)
    rows, columns = (np.concatenate([index, index]) for index in (parts.row, parts.col))
    order = np.argsort(rows, kind="stable")
    values = np.concatenate([share * parts.data, (1.0 - share) * parts.data])
    counts = np.bincount(rows, minlength=150)
    twice = sparse.csr_array(
        (values[order], columns[order], np.concatenate([[0], np.cumsum(counts)])), shape=X.shape
    )  # fmt: skip
    assert not twice.has_canonical_format
    problem = Problem(losses.Squared(), penalties.L1(0.02))
    assert_allclose(fit(problem, twice, y).coef, fit(problem, X, y).coef, atol=1e-5)


def test_identical_columns_are_no_obstacle() -> None:
    X, y = words(n=100, k=60)
    double = sparse.csr_array(sparse.hstack([X, X, X]))
    one = fit(Problem(losses.Squared(), penalties.L1(0.02)), X, y)
    two = fit(Problem(losses.Squared(), penalties.L1(0.02)), double, y)
    assert two.status == "converged"
    assert_allclose(two.certificate.primal, one.certificate.primal, rtol=1e-9)


def test_all_rows_are_one_shard_on_every_engine() -> None:
    X, y = words()
    problem = Problem(losses.Squared(), penalties.L1(0.02))
    assert_array_equal(fit(problem, X, y, engine=engines.Threads(3)).coef, fit(problem, X, y).coef)


@pytest.mark.parametrize("gram", [True, False], indirect=True)
@pytest.mark.parametrize("loss", [losses.Squared(), losses.Logistic()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("convert", [lambda X: X, lambda X: X.toarray()], ids=["sparse", "dense"])
def test_threads_share_the_rows_of_one_shard(
    gram: bool, loss: Any, convert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "MIN_VALUES_PER_THREAD", 100)
    X, z = words(seed=7)
    y, weight = target(loss, z), np.random.default_rng(0).uniform(0.5, 2.0, len(z))
    problem = Problem(loss, penalties.L1(0.05))
    one, three = (
        fit(problem, convert(X), y, sample_weight=weight, engine=engine)
        for engine in (engines.Serial(), engines.Threads(3))
    )
    assert three.status == "converged"
    assert three.passes == pytest.approx(one.passes, rel=0.2)
    assert_allclose(three.coef, one.coef, atol=1e-5)


def test_paths_of_data_that_threads_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several shards, which the path itself cannot have, and it was refused."""
    monkeypatch.setattr(choice, "MIN_STORED_VALUES_FOR_THREADS", 0)
    monkeypatch.setattr(engines.Threads, "n_workers", 3)
    monkeypatch.setattr(threads, "MIN_VALUES_PER_THREAD", 100)
    X, z = words(n=600, k=700)
    path = solve_path(Problem(losses.Squared(), penalties.L1(1.0)), X, z, n_alphas=8, tol=1e-8)
    for alpha, coef in zip(path.alphas, path.coefs, strict=True):
        assert_allclose(coef, fit(Problem(losses.Squared(), penalties.L1(alpha)), X, z).coef, atol=1e-4)


def test_what_a_shard_held_can_be_lost() -> None:
    """A round from an empty local state comes out as the same round from the one that was there."""
    from offbeat.data.load import as_dataset
    from offbeat.fit.inspection import Options, inspect
    from offbeat.sideways.board import Board
    from offbeat.sideways.messages import Message

    X, z = words()
    problem, solver = Problem(losses.Logistic(), penalties.L1(0.01)), solvers.ProximalNewton()
    dataset = as_dataset(X, target(losses.Logistic(), z))
    shards = dataset.shards(1)
    info = inspect(problem, dataset, shards, engines.Serial(), Options())
    state, query = solver.init_global(problem, info)
    local: Any = solver.init_local(problem, shards[0])
    board = Board(1)
    for clock in range(1, 3):
        step = solver.local_step(problem, shards[0], local, query)
        board.put(Message(0, 0, 0, 0, clock, "step", step.payload))
        local, (state, query) = step.local, solver.global_step(problem, state, board)
    held = solver.local_step(problem, shards[0], local, query).payload
    lost = solver.local_step(problem, shards[0], solver.init_local(problem, shards[0], held), query).payload
    assert isinstance(local, WorkingSetLocal)
    assert_allclose(held[0], lost[0], rtol=1e-6)


@pytest.mark.parametrize("container", [sparse.csr_array, lambda X: X.toarray()], ids=["sparse", "dense"])
def test_a_start_from_a_sample_of_the_rows_changes_nothing(monkeypatch: pytest.MonkeyPatch, container: Any) -> None:
    X, z = words(n=600, k=80)
    rng = np.random.default_rng(4)
    extras = {"sample_weight": rng.integers(0, 3, 600).astype(float), "offset": 0.1 * rng.standard_normal(600)}
    for loss in (losses.Squared(), losses.Logistic(), losses.Poisson()):
        problem, y = Problem(loss, penalties.L1(0.01)), target(loss, z)
        monkeypatch.setattr(row_sample, "MIN_SAMPLE_ROWS", 10_000)
        all_rows = fit(problem, container(X), y, **extras)
        monkeypatch.setattr(row_sample, "MIN_SAMPLE_ROWS", 16)
        solution = fit(problem, container(X), y, **extras)
        assert solution.status == "converged"
        assert_allclose(solution.certificate.primal, all_rows.certificate.primal, rtol=1e-9)


def test_rows_of_a_sample_are_rows_of_the_shard() -> None:
    from offbeat.data.load import as_dataset

    X, y = words(n=20_000, k=30)
    shard = as_dataset(X, y, offset=2.0 * y).shards(2)[1]
    few = row_sample.sample_rows(shard)
    assert few is not None
    assert 4096 <= few.n_rows < shard.n_rows
    at = {value: i for i, value in enumerate(shard.y)}
    rows = np.array([at[value] for value in few.y])
    assert_array_equal(few.rows().toarray(), shard.rows().toarray()[rows])
    assert_array_equal(few.offset, 2.0 * few.y)
    assert row_sample.sample_rows(as_dataset(X[:100], y[:100]).shards(1)[0]) is None


def test_only_wanted_columns_are_fetched() -> None:
    from offbeat.data.load import as_dataset
    from offbeat.data.shards import Workspace

    X, y = words()
    shard = as_dataset(X, y).shards(1)[0]
    about = column_store.column_statistics(shard, Workspace(), np.zeros(400))
    wanted = np.array([5, 17, 399])
    store = column_store.fetch(shard, Workspace(), about, wanted, np.array([2, 17]), np.zeros(400))
    starts, ends, rows, data = store.columns
    for column in wanted:
        at = store.place[column]
        mine = np.zeros(300)
        mine[rows[starts[at] : ends[at]]] = data[starts[at] : ends[at]]
        assert_array_equal(mine, X[:, [column]].toarray().ravel())
    assert np.count_nonzero(store.place >= 0) <= 4
    assert math.isclose(float(about.counts.sum()), X.nnz, rel_tol=0.01)


def test_several_outputs_are_turned_away() -> None:
    with pytest.raises(ProblemError, match="use LBFGS or ProximalGradient"):
        solvers.ProximalNewton().check(Problem(losses.Multinomial(3), penalties.L1(1.0)))


def test_lambda_max_needs_an_l1_part() -> None:
    X, y = words(n=20, k=15)
    with pytest.raises(ProblemError, match="lambda_max needs"):
        lambda_max(Problem(losses.Squared(), penalties.L2()), X, y)
