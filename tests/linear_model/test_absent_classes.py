"""Classes without weight: the model is that of the rows with weight, and its certificate says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from conformance.oracle import Data, optimum
from offbeat import Problem, losses, penalties, solvers
from offbeat.linear_model import LinearSVC, LogisticRegression, LogisticRegressionCV

N, ABSENT = 120, 2
Triple = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


@pytest.fixture
def classes(rng: np.random.Generator) -> Triple:
    """Four classes, one of which has no weight."""
    X = rng.standard_normal((N, 3)) * [1.0, 3.0, 0.2] + 1.0
    y = np.argmax(X @ rng.standard_normal((3, 4)) + rng.standard_normal((N, 4)), axis=1)
    return X, y, np.where(y == ABSENT, 0.0, 1.0)


def check(model: Any, X: Any, y: NDArray[np.int64], strength: float) -> None:
    """Compare with the optimum that SciPy finds for the rows and classes with weight."""
    kept = y != ABSENT
    few = np.unique(y[kept], return_inverse=True)[1].astype(float)
    best = optimum(Problem(losses.Multinomial(3), penalties.L2(strength)), Data(X[kept], few))
    assert model.status_ == "converged"
    assert model.certificate_.primal == pytest.approx(best, rel=2 * model.tol)
    assert model.certificate_.dual <= best + 1e-10
    assert np.all(model.predict_proba(X)[:, ABSENT] < 1e-12)


@pytest.mark.parametrize("solver", ["auto", solvers.NewtonCG()], ids=["auto", "newton-cg"])
def test_rows_of_weight_zero(classes: Triple, solver: Any) -> None:
    X, y, weight = classes
    model = LogisticRegression(solver=solver, tol=1e-8).fit(X, y, sample_weight=weight)
    check(model, X, y, 1.0 / weight.sum())


@pytest.mark.parametrize("rule", [{ABSENT: 0}, {0: 1.0, 1: 1.0, 2: 0.0, 3: 1.0}])
def test_class_weights_of_zero(classes: Triple, rule: dict[int, float]) -> None:
    X, y, weight = classes
    model = LogisticRegression(class_weight=rule, tol=1e-8).fit(sparse.csr_array(X), y)
    check(model, X, y, 1.0 / weight.sum())


def test_balanced_weights_beside_rows_of_weight_zero(classes: Triple) -> None:
    X, y, weight = classes
    kept = y != ABSENT
    for model in (LogisticRegression(class_weight="balanced", tol=1e-7), LinearSVC(class_weight="balanced", tol=1e-7)):
        all_rows = model.fit(X, y, sample_weight=weight)
        coef, status = all_rows.coef_[[0, 1, 3]], all_rows.status_
        np.testing.assert_allclose(coef, model.fit(X[kept], y[kept]).coef_, atol=1e-3)
        assert status == "converged"


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_a_start_that_gives_the_class_probability(classes: Triple, l1_ratio: float) -> None:
    X, y, weight = classes
    model = LogisticRegression(l1_ratio=l1_ratio, warm_start=True, tol=1e-6).fit(X, y).fit(X, y, sample_weight=weight)
    assert model.status_ == "converged"
    cold = LogisticRegression(l1_ratio=l1_ratio, tol=1e-6).fit(X, y, sample_weight=weight)
    assert model.certificate_.primal == pytest.approx(cold.certificate_.primal, rel=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), cold.predict_proba(X), atol=1e-2)


def test_a_class_that_a_fold_lacks(classes: Triple) -> None:
    X, y, _ = classes
    y = np.where(y == ABSENT, 0, y)
    y[:4] = ABSENT
    folds = [(np.arange(10, N), np.arange(10)), (np.arange(N - 10), np.arange(N - 10, N))]
    LogisticRegressionCV(Cs=[1.0], cv=folds, tol=1e-6).fit(X, y)  # or it would warn of models that stopped short
