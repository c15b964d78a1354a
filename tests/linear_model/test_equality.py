"""Coefficients equal scikit-learn's, for every meaning of C, alpha, l1_ratio and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as reference
from numpy.typing import NDArray

from offbeat import linear_model

N, K = 120, 6
Data = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture
def data(rng: np.random.Generator) -> Data:
    """Columns of different scales with means, a noisy linear target, weights whose mean is not one."""
    X = rng.standard_normal((N, K)) * np.array([1.0, 3.0, 0.3, 1.0, 2.0, 1.0]) + np.arange(K) / 3
    X[:, 1] += 0.7 * X[:, 0]
    y = X @ rng.standard_normal(K) + 2.0 + rng.standard_normal(N)
    return X, y, rng.uniform(0.2, 4.0, N)


def compare(ours: Any, theirs: Any, X: Any, y: Any, weight: Any = None, tolerance: float = 1e-6) -> None:
    ours.set_params(tol=1e-13).fit(X, y, sample_weight=weight)
    theirs.fit(X, y, sample_weight=weight)
    assert ours.status_ == "converged"
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=tolerance, atol=tolerance)
    if np.asarray(y).dtype.kind == "f":
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(
        ours.score(X, y, sample_weight=weight), theirs.score(X, y, sample_weight=weight), rtol=1e-6
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    ("name", "parameters", "strict"),
    [
        ("LinearRegression", {}, {}),
        ("LinearRegression", {"positive": True}, {}),
        ("Ridge", {"alpha": 7.0}, {"tol": 1e-12}),
        ("Ridge", {"alpha": 7.0, "positive": True}, {"tol": 1e-14, "max_iter": 100_000}),
        ("Lasso", {"alpha": 0.2}, {"tol": 1e-14, "max_iter": 100_000}),
        ("Lasso", {"alpha": 0.2, "positive": True}, {"tol": 1e-14, "max_iter": 100_000}),
        ("ElasticNet", {"alpha": 0.2, "l1_ratio": 0.3}, {"tol": 1e-14, "max_iter": 100_000}),
        ("ElasticNet", {"alpha": 0.2, "l1_ratio": 0.3, "positive": True}, {"tol": 1e-14, "max_iter": 100_000}),
    ],
)
def test_least_squares(
    data: Data, name: str, parameters: dict[str, Any], strict: dict[str, Any], intercept: bool, weighted: bool
) -> None:
    X, y, weight = data
    ours = getattr(linear_model, name)(fit_intercept=intercept, **parameters)
    theirs = getattr(reference, name)(fit_intercept=intercept, **parameters, **strict)
    compare(ours, theirs, X, y, weight if weighted else None)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("name", ["PoissonRegressor", "GammaRegressor"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_log_link(
    data: Data, rng: np.random.Generator, name: str, alpha: float, intercept: bool, weighted: bool
) -> None:
    X, y, weight = data
    X = X / 3
    mean = np.exp((y - y.mean()) / 6)
    target = rng.poisson(mean).astype(float) if name == "PoissonRegressor" else rng.gamma(2.0, mean / 2)
    ours = getattr(linear_model, name)(alpha=alpha, fit_intercept=intercept)
    theirs = getattr(reference, name)(
        alpha=alpha, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    compare(ours, theirs, X, target, weight if weighted else None)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [0.03, 2.0, np.inf])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.filterwarnings("ignore:Setting penalty=None will ignore the C:UserWarning")  # scikit-learn 1.8, of C=inf
def test_logistic_ridge(data: Data, C: float, intercept: bool, weighted: bool, n_classes: int) -> None:
    X, y, weight = data
    labels = np.digitize(y + np.sin(40 * y) * 4, np.quantile(y, np.arange(1, n_classes) / n_classes))
    ours = linear_model.LogisticRegression(C=C, fit_intercept=intercept)
    theirs = reference.LogisticRegression(C=C, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12)
    if n_classes == 3 and np.isinf(C):  # not unique without a penalty: only differences of classes are
        v = weight if weighted else None
        ours.set_params(tol=1e-9).fit(X, labels, sample_weight=v)
        theirs.fit(X, labels, sample_weight=v)
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
        return
    compare(ours, theirs, X, labels, weight if weighted else None)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_with_kinks(data: Data, l1_ratio: float, n_classes: int) -> None:
    X, y, weight = data
    labels = np.digitize(y + np.sin(40 * y) * 4, np.quantile(y, np.arange(1, n_classes) / n_classes))
    X = (X - X.mean(0)) / X.std(0)  # saga needs it
    ours = linear_model.LogisticRegression(C=0.05, l1_ratio=l1_ratio)
    theirs = reference.LogisticRegression(
        C=0.05, l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=20_000, random_state=0
    )
    compare(ours, theirs, X, labels, weight)
    assert np.any(ours.coef_ == 0.0)


@pytest.mark.parametrize("class_weight", ["balanced", {"no": 3.0}, {"no": 0.5, "yes": 2.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weight(data: Data, class_weight: Any, weighted: bool) -> None:
    X, y, weight = data
    labels = np.where(y + np.sin(40 * y) * 4 > np.quantile(y, 0.8), "yes", "no")
    ours = linear_model.LogisticRegression(class_weight=class_weight)
    theirs = reference.LogisticRegression(class_weight=class_weight, solver="newton-cholesky", tol=1e-12)
    compare(ours, theirs, X, labels, weight if weighted else None)


@pytest.mark.parametrize("name", ["LogisticRegression", "Ridge", "Lasso", "PoissonRegressor", "HuberRegressor"])
def test_weights_are_repetitions(data: Data, rng: np.random.Generator, name: str) -> None:
    X, y, _ = data
    y = np.floor(np.abs(y)) % 2 if name in ("LogisticRegression", "PoissonRegressor") else y
    weight = rng.integers(0, 4, N)
    weighted = getattr(linear_model, name)(tol=1e-12).fit(X, y, sample_weight=weight)
    repeated = getattr(linear_model, name)(tol=1e-12).fit(X.repeat(weight, 0), y.repeat(weight))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, rtol=1e-7)
    np.testing.assert_allclose(weighted.certificate_.primal, repeated.certificate_.primal, rtol=1e-9)


@pytest.mark.parametrize("name", ["Ridge", "LogisticRegression", "GammaRegressor"])
def test_scale_of_weights(data: Data, name: str) -> None:
    """Only penalties that are measured against the sum of the weights notice a common factor."""
    X, y, weight = data
    y = y > y.mean() if name == "LogisticRegression" else np.abs(y) + 0.1
    make = getattr(linear_model, name)
    one = make(tol=1e-12).fit(X, y, sample_weight=weight).coef_
    many = make(tol=1e-12).fit(X, y, sample_weight=1e6 * weight).coef_
    assert np.allclose(one, many, rtol=1e-6) == (name == "GammaRegressor")
