"""Huber regression: scikit-learn's objective, its scale, outliers, fixed scales."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as reference
from numpy.typing import NDArray

from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.linear_model import HuberRegressor
from offbeat.linear_model.huber import noise_scale


def noisy(rng: np.random.Generator, n: int = 300) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    X = rng.standard_normal((n, 4)) * 2 + 1
    return X, X @ np.array([1.0, -2.0, 0.0, 0.5]) + 3 + rng.standard_t(1.5, n)


def objective(
    X: NDArray[np.float64], y: NDArray[np.float64], v: NDArray[np.float64], model: HuberRegressor, alpha: float
) -> float:
    r = np.abs(X @ model.coef_ + model.intercept_ - y) / model.scale_
    h = np.where(r <= model.epsilon, r * r, 2 * model.epsilon * r - model.epsilon**2)
    return float(np.sum(v * (model.scale_ + model.scale_ * h)) + alpha * np.sum(model.coef_**2))


@pytest.mark.parametrize("alpha", [0.0, 1e-4, 20.0])
@pytest.mark.parametrize("epsilon", [1.1, 1.35, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_joint_optimum(rng: np.random.Generator, alpha: float, epsilon: float, weighted: bool) -> None:
    X, y = noisy(rng)
    v = rng.uniform(0.5, 3.0, len(y)) if weighted else np.ones(len(y))
    ours = HuberRegressor(alpha=alpha, epsilon=epsilon, tol=1e-12).fit(X, y, sample_weight=v if weighted else None)
    theirs = reference.HuberRegressor(alpha=alpha, epsilon=epsilon, tol=1e-9, max_iter=10_000).fit(X, y, v)
    assert ours.status_ == "converged"
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.scale_, theirs.scale_, rtol=1e-4)
    np.testing.assert_array_equal(ours.outliers_, theirs.outliers_)
    assert objective(X, y, v, ours, alpha) <= objective(X, y, v, theirs, alpha) * (1 + 1e-12)


def test_outliers_do_not_matter(rng: np.random.Generator) -> None:
    X, y = noisy(rng)
    y[:10] = 1e9
    model = HuberRegressor().fit(X, y)
    np.testing.assert_allclose(model.coef_, [1.0, -2.0, 0.0, 0.5], atol=0.2)
    assert model.outliers_[:10].all()
    assert not model.outliers_.all()


def test_fixed_scale(rng: np.random.Generator) -> None:
    """With a threshold beyond all residuals it is least squares with a ridge of half the strength."""
    X, y = noisy(rng)
    model = HuberRegressor(epsilon=1e6, scale=2.0, alpha=3.0, tol=1e-12).fit(X, y)
    ridge = reference.Ridge(alpha=6.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, ridge.coef_, rtol=1e-7)
    assert model.scale_ == 2.0
    assert not model.outliers_.any()


def test_scale_solves_its_equation(rng: np.random.Generator) -> None:
    r = np.abs(rng.standard_cauchy(500))
    v = rng.uniform(0.0, 2.0, 500)
    for epsilon in (1.0, 1.35, 5.0):
        s = noise_scale(r, v, epsilon)
        np.testing.assert_allclose(np.sum(v * np.minimum((r / s) ** 2, epsilon**2)), v.sum(), rtol=1e-9)
    assert noise_scale(np.zeros(5), np.empty(0), 1.35) == 0.0
    assert noise_scale(np.array([0.0] * 9 + [1.0]), np.empty(0), 1.35) == 0.0


def test_perfect_fit_ends() -> None:
    X = np.arange(20.0)[:, None]
    model = HuberRegressor(alpha=0.0).fit(X, 2 * X[:, 0] + 1)
    np.testing.assert_allclose(model.predict(X), 2 * X[:, 0] + 1, rtol=1e-5)


def test_warm_start(rng: np.random.Generator) -> None:
    X, y = noisy(rng)
    model = HuberRegressor(warm_start=True).fit(X, y)
    cold, scale = model.n_iter_, model.scale_
    model.fit(X, y)
    assert model.n_iter_ < cold
    np.testing.assert_allclose(model.scale_, scale, rtol=1e-2)


@pytest.mark.parametrize("tol", [1e-8, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fits_that_rounding_stalls_do_not_stop_the_scale(rng: np.random.Generator, dtype: Any, tol: float) -> None:
    X, y = noisy(rng)
    X = (100.0 * X).astype(dtype)
    y[:20] += 100.0  # so that the first scale is far off
    model = HuberRegressor(alpha=0.0, tol=tol, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rounding may be said to stop the last fit
        model.fit(X, y)
    theirs = reference.HuberRegressor(alpha=0.0, tol=1e-9, max_iter=10_000).fit(X.astype(float) / 100.0, y)
    np.testing.assert_allclose(model.scale_, theirs.scale_, rtol=1e-4)
    np.testing.assert_allclose(100.0 * model.coef_, theirs.coef_, rtol=1e-3, atol=1e-4)


def test_few_passes_are_shared_by_coefficients_and_scale(rng: np.random.Generator) -> None:
    X, y = noisy(rng)
    y[:20] += 100.0
    best = HuberRegressor(tol=1e-10).fit(X, y).scale_
    with pytest.warns(ConvergenceWarning, match="stopped after 6 passes") as seen:
        model = HuberRegressor(max_iter=6).fit(X, y)
    assert len([w for w in seen if issubclass(w.category, ConvergenceWarning)]) == 1
    assert (model.status_, model.n_iter_) == ("max_iter", 6)
    assert best / 2 < model.scale_ < 2 * best
    at_scale = objective(X, y, np.ones(len(y)), model, model.alpha) * model.scale_ / (2 * len(y))
    np.testing.assert_allclose(model.certificate_.primal, at_scale - model.scale_**2 / 2, rtol=1e-9)


def test_epsilon_below_one() -> None:
    with pytest.raises(ProblemError, match=r"epsilon is 0\.5"):
        HuberRegressor(epsilon=0.5).fit([[1.0], [2.0]], [1.0, 2.0])
    HuberRegressor(epsilon=0.5, scale=1.0).fit([[1.0], [2.0]], [1.0, 2.0])
