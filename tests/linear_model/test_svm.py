"""Support vector machines: scikit-learn's objectives, several classes, kinks, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.svm as reference
from numpy.typing import NDArray
from scipy import sparse

from offbeat import Problem, losses, penalties, solve
from offbeat.errors import DataError, ProblemError, TargetError
from offbeat.linear_model import LinearSVC, LinearSVR

Floats = NDArray[np.float64]
SHARP: dict[str, Any] = {"tol": 1e-8, "max_iter": 500_000, "random_state": 0}


def points(rng: np.random.Generator, n_classes: int = 2, n: int = 150) -> tuple[Floats, Floats, Floats]:
    X = rng.standard_normal((n, 5)) * np.array([1.0, 2.0, 0.5, 1.0, 1.0]) + 0.3
    z = X @ rng.standard_normal(5) + rng.standard_normal(n)
    y = np.digitize(z, np.quantile(z, np.arange(1, n_classes) / n_classes)).astype(float)
    return X, y, rng.uniform(0.3, 3.0, n)


def agree(ours: Any, theirs: Any, X: Any, y: Any, v: Any, tolerance: float) -> None:
    ours.fit(X, y, sample_weight=v)
    theirs.fit(X, y, sample_weight=v)
    assert ours.status_ == "converged" and ours.certificate_.satisfied
    assert ours.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=tolerance)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced", {1: 3.0}])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("C", [0.05, 2.0])
def test_squared_hinge_like_scikit_learn(
    rng: np.random.Generator, C: float, n_classes: int, class_weight: Any, weighted: bool
) -> None:
    X, y, v = points(rng, n_classes)
    options: dict[str, Any] = {"C": C, "class_weight": class_weight, "fit_intercept": False}
    theirs = reference.LinearSVC(dual=False, **options, **SHARP)
    agree(LinearSVC(tol=1e-13, **options), theirs, X, y, v if weighted else None, 1e-5)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("C", [0.05, 2.0])
def test_hinge_like_scikit_learn(rng: np.random.Generator, C: float, container: Any) -> None:
    X, y, v = points(rng)
    theirs = reference.LinearSVC(loss="hinge", C=C, fit_intercept=False, **SHARP)
    agree(LinearSVC(loss="hinge", C=C, fit_intercept=False, tol=1e-8), theirs, container(X), y, v, 1e-3)


def test_lasso_like_scikit_learn(rng: np.random.Generator) -> None:
    X, y, v = points(rng)
    options: dict[str, Any] = {"C": 0.05, "penalty": "l1", "fit_intercept": False}
    agree(LinearSVC(tol=1e-10, **options), reference.LinearSVC(dual=False, **options, **SHARP), X, y, v, 1e-3)


def test_the_intercept_is_not_penalised(rng: np.random.Generator) -> None:
    """With a large enough ``intercept_scaling``, it hardly is in scikit-learn either."""
    X, y, _ = points(rng)
    theirs = reference.LinearSVC(C=0.1, dual=False, intercept_scaling=1e4, tol=1e-12, max_iter=100_000).fit(X - 5, y)
    ours = LinearSVC(C=0.1, tol=1e-12).fit(X - 5, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-2)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
@pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_regression_like_scikit_learn(rng: np.random.Generator, container: Any, loss: str, epsilon: float) -> None:
    X, _, v = points(rng)
    y = X @ np.array([1.0, -2.0, 0.0, 0.5, 3.0]) + rng.standard_t(2.0, len(X))
    options: dict[str, Any] = {"C": 0.1, "epsilon": epsilon, "loss": loss, "fit_intercept": False}
    theirs = reference.LinearSVR(dual=True, **options, **SHARP)
    agree(LinearSVR(tol=1e-9, **options), theirs, container(X), y, v, 1e-3)


def test_half_of_the_residuals_are_on_each_side(rng: np.random.Generator) -> None:
    """Without a tube and with a weak ridge it is the median; the intercept sees to it that signs balance."""
    X, _, _ = points(rng, n=201)
    y = X @ np.array([1.0, -2.0, 0.0, 0.5, 3.0]) + 40.0 + rng.standard_cauchy(len(X))
    model = LinearSVR(C=1e3, tol=1e-4, max_iter=20_000).fit(X, y)
    above = np.count_nonzero(y > model.predict(X))
    assert abs(above - 100) <= 6
    np.testing.assert_allclose(model.coef_, [1.0, -2.0, 0.0, 0.5, 3.0], atol=0.5)


def test_certificates_of_all_classes(rng: np.random.Generator) -> None:
    X, y, _ = points(rng, 4)
    model = LinearSVC(loss="hinge", tol=1e-3).fit(X, y)
    assert len(model.certificates_) == 4 and all(c.satisfied for c in model.certificates_)
    assert model.certificate_.relative_gap == max(c.relative_gap for c in model.certificates_)
    assert model.decision_function(X).shape == (150, 4)
    assert model.score(X, y) > 0.4


@pytest.mark.parametrize("n_classes", [2, 3])
def test_warm_start(rng: np.random.Generator, n_classes: int) -> None:
    X, y, _ = points(rng, n_classes)
    model = LinearSVC(warm_start=True).fit(X, y)
    cold = model.n_iter_
    assert model.fit(X, y).n_iter_ < cold


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "squared"}, r"loss is 'squared'; give 'hinge' or 'squared_hinge'"),
        ({"penalty": "l3"}, r"penalty is 'l3'; give 'l1' or 'l2'"),
        ({"penalty": "l1", "loss": "hinge"}, r"does not go with loss=\"hinge\"; use loss=\"squared_hinge\""),
        ({"C": 0.0}, r"C is 0\.0; it must be positive"),
        ({"C": float("inf")}, r"C is inf; it must be positive and finite"),
    ],
)
def test_bad_parameters_of_classifiers(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        LinearSVC(**parameters).fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"loss": "hinge"}, "loss is 'hinge'"), ({"epsilon": -1.0}, "epsilon is -1"), ({"C": "one"}, "C is 'one'")],
)
def test_bad_parameters_of_regressors(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        LinearSVR(**parameters).fit([[0.0], [1.0]], [0.0, 1.0])


@pytest.mark.parametrize("C", [1e-6, 1e6])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_extreme_strengths(rng: np.random.Generator, loss: str, C: float) -> None:
    X, y, _ = points(rng)
    model = LinearSVC(loss=loss, C=C, tol=1e-2, max_iter=20_000).fit(X, y)
    assert model.status_ == "converged"


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_rows_of_zeros_and_a_column_that_never_occurs(rng: np.random.Generator, container: Any, loss: str) -> None:
    X, y, _ = points(rng)
    X[10:40] = 0.0
    X[:, 2] = 0.0
    model = LinearSVC(loss=loss, tol=1e-4).fit(container(X), y)
    assert model.status_ == "converged"
    assert abs(model.coef_[0, 2]) <= 1e-12
    np.testing.assert_allclose(model.decision_function(container(X))[10:40], model.intercept_[0])


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_a_row_that_is_repeated_counts_as_its_weight(rng: np.random.Generator, loss: str) -> None:
    X, y, _ = points(rng, n=40)
    times = np.append(20_000, np.ones(39, dtype=int))
    repeated = LinearSVC(loss=loss, tol=1e-7).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    weighted = LinearSVC(loss=loss, tol=1e-7).fit(X, y, sample_weight=times.astype(float))
    assert repeated.status_ == weighted.status_ == "converged"
    one, other = repeated.certificate_, weighted.certificate_
    assert max(one.dual, other.dual) <= min(one.primal, other.primal) * (1.0 + 1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(value: float) -> None:
    X = np.ones((6, 2))
    X[4, 1] = value
    for model, y in ((LinearSVC(), [0, 1, 0, 1, 0, 1]), (LinearSVR(), [0.0, 1.0, 2.0, 1.0, 0.0, 1.0])):
        with pytest.raises(DataError, match=r"(?s)NaN|infinit"):
            model.fit(X, y)
    with pytest.raises(TargetError, match=r"Input y contains .* the first is row 1"):
        LinearSVR().fit(np.ones((2, 1)), [1.0, value])


def test_one_class_is_refused_and_three_are_fitted_one_by_one() -> None:
    X = np.arange(6.0)[:, None]
    with pytest.raises(TargetError, match="only one class, 'a'"):
        LinearSVC().fit(X, ["a"] * 6)
    assert LinearSVC().fit(X, ["a", "a", "b", "b", "c", "c"]).coef_.shape == (3, 1)
    with pytest.raises(TargetError, match="takes two classes"):
        solve(Problem(losses.Hinge(), penalties.L2(0.1)), X, np.arange(6.0) % 3)


@pytest.mark.parametrize("C", [1e-6, 1e6])
@pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared_epsilon_insensitive"])
def test_extreme_strengths_of_regressors(rng: np.random.Generator, loss: str, C: float) -> None:
    X, _, _ = points(rng)
    y = X @ np.array([1.0, -2.0, 0.0, 0.5, 3.0]) + rng.standard_normal(len(X))
    assert LinearSVR(loss=loss, C=C, epsilon=0.1, tol=1e-2, max_iter=20_000).fit(X, y).status_ == "converged"
