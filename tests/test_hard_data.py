"""Data that is wrong gets a clear error; data that is merely awkward gets the right model."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat.errors import ConvergenceWarning, DataError, ProblemError, TargetError

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-2))
LINEAR = Problem(losses.Squared(), penalties.L2(1e-2))


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A small classification problem."""
    X = rng.standard_normal((200, 4))
    return X, (X[:, 0] + rng.standard_normal(200) > 0).astype(float)


def objective(X: Any, y: np.ndarray, coef: np.ndarray, b: float, alpha: float) -> float:
    """Return the ridge logistic objective by NumPy."""
    z = X @ coef + b
    return float(np.mean(np.logaddexp(0, z) - y * z) + 0.5 * alpha * coef @ coef)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("problem", [RIDGE, LINEAR, Problem(losses.Poisson(), penalties.L1(0.1))])
def test_bad_features_are_named(value: float, rows: int, problem: Problem, data) -> None:
    X, y = data
    X[7 : 7 + rows, 2] = value
    word = "NaN" if np.isnan(value) else "inf"
    with pytest.raises(DataError, match=rf"(?s){word}.*column.*2.*{rows}"):
        solve(problem, X, y)


def test_a_bad_value_far_from_every_sample_is_found(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60_000, 60))
    X[31_415, 59] = np.nan
    with pytest.raises(DataError, match="column 59"):
        solve(RIDGE, X, (X[:, 0] > 0).astype(float))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(200, np.nan), "NaN"),
        (np.full(200, 2.0), "2"),
        (np.arange(199.0), "199"),
        (np.array(["a"] * 200, dtype=object), "number"),
    ],
)
def test_bad_targets_are_named(y: np.ndarray, message: str, data) -> None:
    with pytest.raises((TargetError, DataError), match=message):
        solve(RIDGE, data[0], y)


def test_negative_counts_are_refused(data) -> None:
    with pytest.raises(TargetError, match="negative"):
        solve(Problem(losses.Poisson(), penalties.L2(1.0)), data[0], np.full(200, -1.0))


@pytest.mark.parametrize(
    ("weight", "message"),
    [(np.full(200, -1.0), "negative"), (np.zeros(200), "zero"), (np.full(200, np.nan), "NaN"), (np.ones(3), "3")],
)
def test_bad_weights_are_named(weight: np.ndarray, message: str, data) -> None:
    with pytest.raises(DataError, match=message):
        solve(RIDGE, *data, sample_weight=weight)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_data_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError):
        solve(LINEAR, np.empty(shape), np.zeros(shape[0]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"tol": -1.0},
        {"tol": np.nan},
        {"solver": "newton"},
        {"engine": "threads"},
        {"staleness": -1},
        {"time_limit": -1},
    ],
)
def test_bad_options_are_refused(arguments: dict[str, Any], data) -> None:
    with pytest.raises(ProblemError):
        solve(RIDGE, *data, **arguments)


def test_the_error_for_staleness_says_which_solver_needs_rounds(data) -> None:
    with pytest.raises(ProblemError, match="lbfgs needs rounds"):
        solve(RIDGE, *data, staleness=np.inf, solver=solvers.LBFGS())


def test_a_class_in_place_of_an_object_is_explained() -> None:
    with pytest.raises(ProblemError, match=r"L2\(\)"):
        Problem(losses.Logistic(), penalties.L2)


def test_one_class_gives_that_class(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solution = solve(RIDGE, X, np.ones(50))
    assert np.all(np.isfinite(solution.coef))
    assert np.all(X @ solution.coef + solution.intercept > 5)


def test_constant_duplicate_and_collinear_columns(data) -> None:
    X, y = data
    A = np.column_stack([X, np.full(200, 7.0), X[:, 0], X[:, 1] + X[:, 2], np.zeros(200)])
    solution = solve(RIDGE, A, y, tol=1e-10)
    assert solution.status == "converged"
    assert abs(solution.coef[4]) < 1e-6
    assert solution.coef[7] == 0.0
    np.testing.assert_allclose(solution.coef[0], solution.coef[5], rtol=1e-4)


def test_collinear_columns_without_penalty(data) -> None:
    X, y = data
    A = np.column_stack([X, X[:, 0]])
    plain = solve(Problem(losses.Logistic(), penalties.Zero()), X, y, tol=1e-8)
    double = solve(Problem(losses.Logistic(), penalties.Zero()), A, y, tol=1e-8)
    np.testing.assert_allclose(A @ double.coef, X @ plain.coef, atol=1e-4)


@pytest.mark.parametrize("penalty", [penalties.Zero(), penalties.L2(1e-3), penalties.L1(1e-3)])
def test_columns_on_very_different_scales(penalty: Any, data) -> None:
    X, y = data
    scales = np.array([1e-8, 1.0, 1e4, 1e8])
    factors = penalty if penalty.name == "none" else penalty._replace(weights=scales ** (2 if penalty.smooth else 1))
    even = solve(Problem(losses.Logistic(), penalty), X, y, tol=1e-9)
    uneven = solve(Problem(losses.Logistic(), factors), X * scales, y, tol=1e-9)
    np.testing.assert_allclose(uneven.coef * scales, even.coef, rtol=1e-4, atol=1e-7)


def test_columns_far_from_zero_lose_no_digits(data) -> None:
    X, y = data
    near = solve(LINEAR, X, y, tol=1e-12)
    far = solve(LINEAR, X + 1e7, y, tol=1e-12)
    np.testing.assert_allclose(far.coef, near.coef, rtol=1e-6)


@pytest.mark.parametrize("penalty", [penalties.Zero(), penalties.Box(0.0, np.inf)])
def test_separable_classes_without_penalty_are_said_to_be(penalty: Any, rng: np.random.Generator) -> None:
    X = rng.standard_normal((300, 3))
    with pytest.warns(ConvergenceWarning, match="separated.*add a penalty"):
        solution = solve(Problem(losses.Logistic(), penalty), X, (X[:, 0] > 0).astype(float), max_iter=200)
    assert solution.status == "separable"
    assert np.all((X @ solution.coef + solution.intercept > 0) == (X[:, 0] > 0))


def test_more_columns_than_rows(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 60))
    y = (rng.random(20) < 0.5).astype(float)
    for penalty in (penalties.L2(1e-2), penalties.L1(2e-2), penalties.ElasticNet(2e-2)):
        assert solve(Problem(losses.Logistic(), penalty), X, y, tol=1e-8).status == "converged"
    least_squares = solve(Problem(losses.Squared(), penalties.Zero()), X, X[:, 0], tol=1e-6)
    np.testing.assert_allclose(X @ least_squares.coef + least_squares.intercept, X[:, 0], atol=1e-4)


def test_one_row_and_one_column() -> None:
    one_row = solve(LINEAR, np.array([[1.0, 2.0]]), np.array([3.0]))
    assert np.isclose(one_row.intercept, 3.0)
    one_column = solve(LINEAR, np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0]), tol=1e-10)
    assert one_column.coef[0] == pytest.approx(1.0 / (1.0 + 1e-2 / (2 / 3)), rel=1e-6)


def test_rows_of_zeros_are_rows(data) -> None:
    X, y = data
    X[::3] = 0.0
    dense = solve(RIDGE, X, y, tol=1e-10)
    sparse = solve(RIDGE, sp.csr_array(X), y, tol=1e-10)
    np.testing.assert_allclose(dense.coef, sparse.coef, atol=1e-6)
    assert np.any(dense.coef)


def test_sparse_matrices_that_are_not_tidy(data) -> None:
    X, y = data
    X[X < 0.3] = 0.0
    expected = solve(RIDGE, X, y, tol=1e-10).coef
    tidy = sp.csr_array(X)
    shuffled = tidy.copy()
    for i in range(shuffled.shape[0]):
        a, b = shuffled.indptr[i : i + 2]
        shuffled.indices[a:b] = shuffled.indices[a:b][::-1].copy()
        shuffled.data[a:b] = shuffled.data[a:b][::-1].copy()
    doubled = sp.csr_array(
        (np.repeat(tidy.data / 2, 2), np.repeat(tidy.indices, 2), 2 * tidy.indptr.astype(np.int64)), shape=tidy.shape
    )
    wide = sp.csr_array((tidy.data, tidy.indices.astype(np.int64), tidy.indptr.astype(np.int64)), shape=tidy.shape)
    for matrix in (tidy, shuffled, doubled, wide, tidy.tocsc(), tidy.tocoo(), sp.csr_matrix(tidy)):
        np.testing.assert_allclose(solve(RIDGE, matrix, y, tol=1e-10).coef, expected, atol=1e-6)


def test_containers_give_the_same_coefficients(data) -> None:
    X, y = data
    frozen = X.copy()
    frozen.flags.writeable = False
    expected = solve(RIDGE, X, y, tol=1e-10).coef
    strided = np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2]
    for same in (frozen, np.asfortranarray(X), strided, X.astype(">f8"), X[:, ::-1][:, ::-1]):
        np.testing.assert_allclose(solve(RIDGE, same, y, tol=1e-10).coef, expected, atol=1e-9)


def test_the_data_are_left_alone(data) -> None:
    X, y = data
    before = X.copy(), y.copy()
    solve(RIDGE, X, y, sample_weight=np.ones(200), standardize=True)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_single_precision_stays_single_and_comes_close(data) -> None:
    X, y = data
    single = solve(RIDGE, X.astype(np.float32), y, tol=1e-5)
    assert single.status == "converged"
    np.testing.assert_allclose(single.coef, solve(RIDGE, X, y, tol=1e-10).coef, atol=1e-2)


def test_weights_of_zero_are_rows_left_out(data) -> None:
    X, y = data
    keep = np.arange(200) % 4 != 0
    weighted = solve(Problem(losses.Squared(), penalties.Zero()), X, y, sample_weight=keep.astype(float), tol=1e-9)
    subset = solve(Problem(losses.Squared(), penalties.Zero()), X[keep], y[keep], tol=1e-9)
    np.testing.assert_allclose(weighted.coef, subset.coef, atol=1e-7)


def test_the_certificate_bounds_the_true_suboptimality(data) -> None:
    X, y = data
    best = solve(RIDGE, X, y, tol=1e-13)
    optimum = objective(X, y, best.coef, best.intercept, 1e-2)
    gaps = []

    def look(progress: Any, row: Any) -> None:
        value = objective(X, y, progress.coef.ravel(), float(progress.intercept[0]), 1e-2)
        assert value == pytest.approx(progress.certificate.primal, rel=1e-10)
        assert value - optimum <= progress.certificate.gap + 1e-12
        gaps.append(progress.certificate.gap)

    solve(RIDGE, X, y, tol=1e-13, callback=look)
    assert len(gaps) > 3


def test_a_kinked_loss_without_a_penalty_says_that_nothing_can_be_proved(data) -> None:
    for loss in (losses.Hinge(), losses.EpsilonInsensitive()):
        with pytest.warns(ConvergenceWarning, match="every column has a penalty"):
            solve(Problem(loss, penalties.Zero()), *data, max_iter=50)


@pytest.mark.parametrize("penalty", [penalties.L2(1e-8), penalties.L1(1e-2), penalties.Zero()])
def test_a_huber_loss_whose_targets_are_far_apart_has_next_to_no_curvature(penalty: Any, rng) -> None:
    X = rng.standard_normal((27, 2))
    y = 1e3 * (X @ [1.0, -2.0]) + rng.standard_normal(27)
    found = solve(Problem(losses.Huber(), penalty), X, y)
    assert found.status == "converged"
    np.testing.assert_allclose(found.coef, [1e3, -2e3], rtol=1e-2)
