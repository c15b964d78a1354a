"""Cross-validated least squares with an outlier in one fold, and in units far from one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import KFold, ShuffleSplit

from offbeat.linear_model import ElasticNetCV
from support.extended import Real, excess, optimum

N, ALPHAS = 200, [1e-2, 1e-5]


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A regression with little noise."""
    X = rng.standard_normal((N, 3))
    return X, X @ [1.0, -1.0, 0.5] + 0.3 * rng.standard_normal(N)


def errors(X: np.ndarray, y: np.ndarray, cv: Any) -> np.ndarray:
    """Return mean squared errors, shape (n_alphas, n_folds), in extended precision."""
    out = np.empty((len(ALPHAS), cv.get_n_splits()))
    for f, (train, test) in enumerate(cv.split(X)):
        for a, alpha in enumerate(ALPHAS):
            w, b = optimum(X[train], y[train], 0.5 * alpha, 0.5 * alpha)
            out[a, f] = ((X[test].astype(Real) @ w + b - y[test]) ** 2).mean()
    return out


@pytest.mark.parametrize("outlier", [1e5, 1e9])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("cv", [KFold(4), ShuffleSplit(3, test_size=0.25, random_state=0)], ids=["k", "shuffle"])
def test_errors_of_folds_with_an_outlier(cv: Any, container: Any, outlier: float, data) -> None:
    X, y = data
    X[7, 0] = outlier
    model = ElasticNetCV(alphas=ALPHAS, cv=cv, tol=1e-10).fit(container(X), y)
    np.testing.assert_allclose(model.mse_path_, errors(X, y, cv), rtol=1e-6)
    l1 = l2 = 0.5 * model.alpha_
    assert excess(X, y, model.coef_, model.intercept_, l1, l2) <= max(model.certificate_.relative_gap, 1e-12)


def test_errors_of_a_sparse_column_far_from_zero(data) -> None:
    X, y = data
    X[:, 1] = np.round(X[:, 1] * 1024.0) / 1024.0 + 1e7
    cv = KFold(4)
    model = ElasticNetCV(alphas=ALPHAS, cv=cv, tol=1e-10).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(model.mse_path_, errors(X, y, cv), rtol=1e-6)


def test_small_units_have_small_penalties(data) -> None:
    X, y = data
    plain, small = ElasticNetCV(cv=4).fit(X, y), ElasticNetCV(cv=4).fit(1e-8 * X, 1e-12 * y)
    assert small.alpha_ == pytest.approx(1e-20 * plain.alpha_, rel=0.5)  # the ridge is felt less
    assert np.all(small.coef_ != 0.0)
    assert model_error(1e-8 * X, 1e-12 * y, small) < 1.1 * model_error(X, y, plain)


def model_error(X: np.ndarray, y: np.ndarray, model: ElasticNetCV) -> float:
    """Return the share of the variance that a model leaves."""
    return float(np.mean((model.predict(X) - y) ** 2) / y.var())
