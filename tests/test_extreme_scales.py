"""Columns in extreme units: the right model where arithmetic allows one, and never a coefficient that is no number."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from offbeat import Problem, losses, penalties, solve, solve_path
from offbeat.errors import ConvergenceWarning, DataError
from offbeat.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge

N = 400
EXTREMES = [
    (np.float32, 1e19),
    (np.float32, 1e37),
    (np.float32, 1e-30),
    (np.float64, 1e160),
    (np.float64, 1e300),
    (np.float64, 1e-170),
    (np.float64, 1e-290),
]


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features of unit scale, and their linear predictor."""
    X = rng.standard_normal((N, 3))
    return X, X @ [1.0, -1.0, 0.5]


def scaled(X: np.ndarray, dtype: type, unit: float) -> np.ndarray:
    """Return the features with the second column in another unit."""
    return (X * np.array([1.0, unit, 1.0])).astype(dtype)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize(("dtype", "unit"), EXTREMES)
@pytest.mark.parametrize("kind", ["squared", "logistic", "poisson"])
def test_the_model_without_penalty_is_that_of_unit_columns(
    kind: str, dtype: type, unit: float, container: Any, data, rng
) -> None:
    X, z = data
    loss, y = {
        "squared": (losses.Squared(), z + rng.standard_normal(N)),
        "logistic": (losses.Logistic(), (z + rng.logistic(size=N) > 0).astype(float)),
        "poisson": (losses.Poisson(), rng.poisson(np.exp(z)).astype(float)),
    }[kind]
    problem, A = Problem(loss, penalties.Zero()), scaled(X, dtype, unit)
    plain = solve(problem, A.astype(np.float64) / [1.0, unit, 1.0], y, tol=1e-9)
    found = solve(problem, container(A), y, tol=1e-9)
    assert found.status == "converged"
    np.testing.assert_allclose(found.coef * [1.0, unit, 1.0], plain.coef, rtol=1e-5)
    np.testing.assert_allclose(found.intercept, plain.intercept, rtol=1e-4)


@pytest.mark.parametrize(("dtype", "unit"), EXTREMES)
def test_a_ridge_is_felt_by_small_units_alone(dtype: type, unit: float, data, rng) -> None:
    X, z = data
    y, A = z + rng.standard_normal(N), scaled(X, dtype, unit)
    B = A.astype(np.float64) / [1.0, unit, 1.0]
    B = B - B.mean(axis=0)
    kept = np.array([True, unit > 1.0, True])  # a ridge leaves nothing of a column in tiny units
    ridge = np.diag(np.array([0.1, 0.0, 0.1])[kept])
    expected = np.linalg.solve(B[:, kept].T @ B[:, kept] / N + ridge, B[:, kept].T @ (y - y.mean()) / N)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a ridge that rounding hides has no certificate
        found = solve(Problem(losses.Squared(), penalties.L2(0.1)), A, y)
    np.testing.assert_allclose((found.coef * [1.0, unit, 1.0])[kept], expected, rtol=1e-5)
    assert np.all(np.isfinite(found.coef))


@pytest.mark.parametrize("unit", [1e-305, 1e-310, 1e-320, 1e305])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize(
    "model", [LinearRegression(), Ridge(), LogisticRegression(), PoissonRegressor(alpha=0.0)], ids=repr
)
def test_what_is_out_of_range_is_an_error_or_finite(model: Any, container: Any, unit: float, data) -> None:
    X, z = data
    y = (z > 0.3).astype(float) if isinstance(model, LogisticRegression | PoissonRegressor) else z
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            fitted = model.fit(container(scaled(X, np.float64, unit)), y)
        except DataError as error:
            assert "scale the column" in str(error)
        else:
            assert np.all(np.isfinite(fitted.coef_))
            assert np.all(np.isfinite(fitted.intercept_))


def test_paths_and_streams_in_extreme_units(data, rng) -> None:
    X, z = data
    y = z + rng.standard_normal(N)
    plain = LinearRegression(tol=1e-9).fit(X, y)
    for unit in (1e-120, 1e120):
        A = scaled(X, np.float64, unit)
        streamed = LinearRegression().partial_fit(A[:50], y[:50]).partial_fit(A[50:], y[50:])
        np.testing.assert_allclose(streamed.coef_ * [1.0, unit, 1.0], plain.coef_, rtol=1e-6)
        with warnings.catch_warnings():  # the dual of a negligible penalty may drown in rounding
            warnings.simplefilter("ignore", ConvergenceWarning)
            path = solve_path(Problem(losses.Squared(), penalties.L1()), A, y, alphas=[1e-12 * min(unit, 1.0)])
        np.testing.assert_allclose(path.coefs[0] * [1.0, unit, 1.0], plain.coef_, rtol=1e-6)
