"""No certificate of least squares claims more than extended precision finds, wherever the columns lie."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from offbeat import Problem, losses, penalties, solve, solve_path, solvers
from offbeat.errors import ConvergenceWarning
from offbeat.linear_model import ElasticNet, Lasso, LinearRegression, Ridge
from support.extended import excess

ROUNDING = 1e-12  # of the null objective, in coefficients that are rounded to float64
N = 600
MODELS: list[tuple[Any, float, float]] = [
    (LinearRegression(), 0.0, 0.0),
    (Ridge(alpha=6.0), 0.0, 0.01),
    (Lasso(alpha=0.01), 0.01, 0.0),
    (ElasticNet(alpha=0.02, l1_ratio=0.5), 0.01, 0.01),
]


def seconds(rng: np.random.Generator, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Return data with a column of this mean over deviation, stored in every row, and one that few rows store."""
    X = rng.standard_normal((N, 4)) * [1.0, 17.0, 1.0, 1.0]
    y = X @ [1.0, 0.05, -1.0, 2.0] + 0.3 * rng.standard_normal(N)
    X[:, 1] = np.round(X[:, 1] * 1024.0) / 1024.0 + np.round(17.0 * ratio)
    X[:, 3] *= rng.random(N) < 0.1
    return X, y


@pytest.mark.parametrize("ratio", [1e3, 1e7, 1e10])
@pytest.mark.parametrize(("model", "l1", "l2"), MODELS, ids=[repr(model) for model, _, _ in MODELS])
def test_sparse_columns_far_from_zero(model: Any, l1: float, l2: float, ratio: float, rng) -> None:
    X, y = seconds(rng, ratio)
    for fit in (model.fit, model.partial_fit):
        fitted = fit(sp.csr_array(X), y)
        assert fitted.certificate_.satisfied
        found = excess(X, y, fitted.coef_, fitted.intercept_, l1, l2)
        assert found <= max(fitted.certificate_.relative_gap, ROUNDING * ratio / 1e7)


def test_a_column_far_from_zero_may_miss_a_row_and_repeat_entries(rng) -> None:
    X, y = seconds(rng, 1e7)
    X[5, 1] = 0.0
    twice = sp.coo_array(X)
    rows, columns = (np.concatenate([each, each]) for each in twice.coords)
    order = np.argsort(rows, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(rows, minlength=N)))
    matrix = sp.csr_array((np.tile(0.5 * twice.data, 2)[order], columns[order], starts), shape=X.shape)
    fitted = Ridge(alpha=6.0).fit(matrix, y)
    assert fitted.certificate_.satisfied
    assert excess(X, y, fitted.coef_, fitted.intercept_, l2=0.01) <= max(fitted.certificate_.relative_gap, ROUNDING)


def test_paths_of_sparse_columns_far_from_zero(rng) -> None:
    X, y = seconds(rng, 1e7)
    path = solve_path(Problem(losses.Squared(), penalties.L1()), sp.csr_array(X), y, n_alphas=4)
    for alpha, coef, intercept, certificate in zip(
        path.alphas, path.coefs, path.intercepts, path.certificates, strict=True
    ):
        assert certificate.satisfied
        assert excess(X, y, coef, intercept, l1=alpha) <= max(certificate.relative_gap, ROUNDING)


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("alpha", [1e-8, 1e-3])
@pytest.mark.parametrize("solver", ["auto", solvers.LBFGS()], ids=["auto", "lbfgs"])
def test_single_precision(mean: float, alpha: float, solver: Any, rng) -> None:
    X = (rng.standard_normal((3000, 5)) + mean).astype(np.float32)
    y = X.astype(np.float64) @ rng.standard_normal(5) + rng.standard_normal(3000)
    found = solve(Problem(losses.Squared(), penalties.L2(alpha)), X, y, solver=solver, tol=1e-9)
    assert found.status == "converged"
    assert excess(X, y, found.coef, found.intercept, l2=alpha) <= max(found.certificate.relative_gap, 1e-15)


def test_paths_in_single_precision(rng) -> None:
    X = (rng.standard_normal((N, 5)) + 1e3).astype(np.float32)
    y = X.astype(np.float64) @ rng.standard_normal(5) + rng.standard_normal(N)
    path = solve_path(Problem(losses.Squared(), penalties.L1()), X, y, n_alphas=3, tol=1e-9)
    for alpha, coef, intercept, certificate in zip(
        path.alphas, path.coefs, path.intercepts, path.certificates, strict=True
    ):
        assert certificate.satisfied
        assert excess(X, y, coef, intercept, l1=alpha) <= max(certificate.relative_gap, ROUNDING)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nearly_collinear_columns_are_verified_on_the_rows(dtype: type, rng) -> None:
    X = rng.standard_normal((N, 3))
    X = np.column_stack([X, X[:, 0] + 1e-5 * rng.standard_normal(N)]).astype(dtype)
    y = 1e5 * (X[:, 3] - X[:, 0].astype(np.float64)) + rng.standard_normal(N)
    A, alpha = X.astype(np.longdouble), 1e-13
    A = A - A.mean(axis=0)
    found = solve(Problem(losses.Squared(), penalties.L2(alpha)), X, y, tol=1e-9)
    gradient = A.T @ (A @ found.coef.astype(np.longdouble) - (y - y.mean())) / N + alpha * found.coef
    null = y.var() / 2
    hessian = (A.T @ A / N + alpha * np.eye(4)).astype(np.float64)
    excess_found = 0.5 * float(gradient @ np.linalg.solve(hessian, gradient.astype(np.float64)))
    assert excess_found / null <= max(found.certificate.relative_gap, ROUNDING)


def test_a_constant_column_that_stays_where_it_is_leaves_no_gap_that_is_not_a_number(rng) -> None:
    X = np.column_stack([rng.standard_normal(N), np.full(N, 0.1)]) * [1.0, 1e-9]
    y = X[:, 0] + rng.standard_normal(N)
    found = solve(Problem(losses.Squared(), penalties.Box(-1.0, 1.0, alpha=1e-17)), sp.csr_array(X), y)
    assert found.status == "converged"
    assert np.isfinite(found.certificate.gap)


@pytest.mark.parametrize("tol", [1e-5, 1e-9])
def test_classes_in_single_precision(tol: float, rng, monkeypatch) -> None:
    monkeypatch.setattr("offbeat.sideways.protocol.MANY", 1000)
    X = (rng.standard_normal((N * 5, 4)) + 1e3).astype(np.float32)
    z = (X - 1e3) @ rng.standard_normal((4, 3)) + rng.gumbel(size=(N * 5, 3))
    y = np.argmax(z, axis=1).astype(float)
    problem = Problem(losses.Multinomial(3), penalties.L2(1e-4))
    found = solve(problem, X, y, tol=tol)
    A = X.astype(np.longdouble)
    best = solve(problem, (A - A.mean(axis=0)).astype(np.float64), y, tol=1e-13)
    shift = A.mean(axis=0)
    w, b = found.coef.astype(np.longdouble), found.intercept.astype(np.longdouble)
    reached = classes_objective(A - shift, y, w, b + shift @ w)
    least = classes_objective(A - shift, y, best.coef, best.intercept)
    null = found.certificate.gap / found.certificate.relative_gap
    assert found.status == "converged"
    assert float(reached - least) / null <= max(found.certificate.relative_gap, 1e-11)


def classes_objective(A: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    """Return the multinomial ridge objective in extended precision."""
    z = A @ w + b
    top = z.max(axis=1)
    own = z[np.arange(len(y)), y.astype(int)]
    return (np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - own).mean() + 1e-4 / 2 * (w**2).sum()


@pytest.mark.parametrize("seed", range(24))
def test_random_problems(seed: int) -> None:
    """Columns in any units, anywhere, in any container: a certificate is never below what extended precision finds."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(2, 200)), int(rng.integers(1, 5))
    Z = rng.standard_normal((n, k)) * (rng.random((n, k)) < rng.choice([0.1, 1.0], k))
    unit = np.where(rng.random(k) < 0.5, 10.0 ** rng.uniform(-9, 9, k), 1.0)
    mean = np.where(rng.random(k) < 0.4, 10.0 ** rng.uniform(0, 8, k), 0.0)
    X = ((Z + mean) * unit).astype(rng.choice([np.float32, np.float64]))
    y = Z @ rng.standard_normal(k) + 10.0 ** rng.uniform(-4, 2) * rng.standard_normal(n)
    l1, l2 = (10.0 ** rng.uniform(-8, 0, 2)) * (rng.random(2) < 0.6) * y.std()
    penalty = penalties.ElasticNet(l1 + l2, l1 / (l1 + l2)) if l1 + l2 > 0.0 else penalties.Zero()
    container = [np.asarray, sp.csr_array][int(rng.integers(2))]
    solver = ["auto", solvers.ProximalGradient()][int(rng.integers(2))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = solve(Problem(losses.Squared(), penalty), container(X), y, solver=solver, tol=1e-8, max_iter=50)
    assert np.all(np.isfinite(found.coef))
    assert not math.isnan(found.certificate.relative_gap)
    if solver == "auto":
        assert found.certificate.relative_gap < 1e-4
    if found.certificate.kind == "duality gap":
        rounding = 1e-12 + (1e-15 * np.abs(X.mean(axis=0) * found.coef).sum() / y.std()) ** 2
        assert excess(X, y, found.coef, found.intercept, l1, l2) <= found.certificate.relative_gap + rounding
