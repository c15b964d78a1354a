"""Newton's linear systems: what is singular, and what is only in small units."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat.linear_model import (
    GammaRegressor,
    HuberRegressor,
    LinearSVC,
    LinearSVR,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from offbeat.problem import Separable
from offbeat.solvers.newton.subproblem import newton_step
from offbeat.solvers.newton_cg import preconditioner


def ridge(alpha: float, *factor: float) -> Separable:
    """Return a ridge whose columns have these reciprocal scales."""
    return Separable(penalties.L2(alpha), np.array(factor), np.ones(len(factor)))


@pytest.mark.parametrize("factor", [1e7, 1e9, 1e60, 1e170])
def test_a_stiff_ridge_on_one_column_leaves_the_others_alone(factor: float) -> None:
    hessian = np.array([[2.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 1.5]])
    gradient = np.array([1.0, -2.0, 0.7])
    d, slope = newton_step(ridge(0.1, 1.0, factor, 1.0), hessian, gradient, np.zeros(3), 1e-12)
    kept = [0, 2]  # what is left when the stiff coefficient is 0
    wanted = np.linalg.solve(hessian[np.ix_(kept, kept)] + 0.1 * np.eye(2), -gradient[kept])
    np.testing.assert_allclose(d[kept], wanted, rtol=1e-12)
    assert abs(d[1]) <= 30.0 / min(factor, 1e150) ** 2
    assert slope == pytest.approx(float(gradient[kept] @ wanted + 0.05 * wanted @ wanted), rel=1e-11)


def test_equal_columns_share_what_they_explain_beside_a_stiff_one() -> None:
    columns = np.array([[1.0, 1.0, 0.2], [-1.0, -1.0, 0.1], [0.5, 0.5, -0.7]])
    weak = Separable(penalties.L2(1.0), np.array([1.0, 1.0, 1e9]), np.array([0.0, 0.0, 1.0]))
    d, _ = newton_step(weak, columns.T @ columns, -columns.T @ np.ones(3), np.zeros(3), 1e-12)
    assert d[0] == pytest.approx(d[1], rel=1e-12)
    assert d[0] == pytest.approx(0.5 * 0.5 / 2.25, rel=1e-12)  # least squares by the one column they are


def test_a_column_that_is_rounding_gets_nothing() -> None:
    hessian = np.diag([1.0, 1e-17])
    none = Separable(penalties.Zero(), np.ones(2), np.ones(2))
    d, _ = newton_step(none, hessian, np.array([-1.0, 1e-16]), np.zeros(2), 1e-12)
    np.testing.assert_allclose(d, [1.0, 0.0], atol=1e-15)


def test_a_stiff_ridge_does_not_flatten_the_preconditioner() -> None:
    np.testing.assert_allclose(
        preconditioner.hessian_diagonal(np.array([1.0, 0.5]), np.array([0.1, 1e18])), [1.1, 1e18]
    )


@pytest.fixture
def rows(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features of which the last is in tiny units, and a predictor that the target follows."""
    X = rng.standard_normal((400, 3)) * [1.0, 1.0, 1e-9]
    return X, X @ [1.2, -0.4, 0.0] + 0.3 * rng.standard_normal(400)


def targets(name: str, z: np.ndarray) -> np.ndarray:
    """Return targets that suit the loss."""
    classes = {"logistic": (z > 0) * 1.0, "squared-hinge": (z > 0) * 1.0, "poisson": np.round(np.exp(0.7 * z))}
    return classes.get(name, np.exp(z) if name == "gamma" else z)


@pytest.mark.parametrize("how", ["dense", "float32", "csr", "stale", "newton-cg"])
@pytest.mark.parametrize("loss", [losses.Squared(), losses.Logistic(), losses.Poisson(), losses.Gamma()])
def test_a_column_in_tiny_units_does_not_zero_the_others(loss: Any, how: str, rows) -> None:
    X, z = rows
    y, alpha = targets(loss.name, z), 0.01
    data: Any = {"float32": X.astype(np.float32), "csr": sp.csr_array(X)}.get(how, X)
    extra: dict[str, Any] = {"stale": {"solver": solvers.Newton(), "staleness": math.inf}}.get(how, {})
    extra = {"solver": solvers.NewtonCG()} if how == "newton-cg" else extra
    found = solve(Problem(loss, penalties.L2(alpha)), data, y, tol=1e-8, **extra)
    predictor = X @ found.coef + found.intercept
    theta = np.array([loss.derivative(float(a), float(b)) for a, b in zip(predictor, y, strict=True)])
    wanted = -X.T @ theta / (len(y) * alpha)  # where the gradient of the whole objective is zero
    np.testing.assert_allclose(found.coef[:2], wanted[:2], rtol=3e-3)
    assert abs(found.coef[0]) > 0.1
    assert abs(found.coef[2]) < 1e-6


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LogisticRegression(), "logistic"),
        (Ridge(), "squared"),
        (LinearSVC(loss="squared_hinge"), "squared-hinge"),
        (LinearSVR(loss="squared_epsilon_insensitive"), "squared"),
        (HuberRegressor(alpha=1), "squared"),
        (PoissonRegressor(), "poisson"),
        (GammaRegressor(), "gamma"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_estimators_fit_as_without_the_column_in_tiny_units(model: Any, name: str, rows) -> None:
    X, z = rows
    y = targets(name, z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coef = np.ravel(model.fit(X, y).coef_).copy()
        without = np.ravel(model.fit(X[:, :2], y).coef_)
    assert abs(without[0]) > 0.1
    np.testing.assert_allclose(coef[:2], without, rtol=1e-4)


def test_streams_fit_as_without_the_column_in_tiny_units(rows) -> None:
    X, z = rows
    y = targets("logistic", z)
    coef = LogisticRegression().partial_fit(X, y, classes=[0.0, 1.0]).coef_.copy()
    without = LogisticRegression().partial_fit(X[:, :2], y, classes=[0.0, 1.0]).coef_
    np.testing.assert_allclose(coef[0, :2], without[0], rtol=1e-4)
