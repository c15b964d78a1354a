"""partial_fit: exact for least squares, exact until rows are let go for the rest; what a stream refuses."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import dump_svmlight_file

from offbeat import engines
from offbeat.errors import DataError, ProblemError, TargetError
from offbeat.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from offbeat.linear_model._streams import glm

Floats = NDArray[np.float64]
SQUARED = [
    LinearRegression(),
    LinearRegression(positive=True),
    Ridge(3.0),
    Ridge(3.0, fit_intercept=False),
    Lasso(0.1),
    Lasso(0.1, positive=True),
    ElasticNet(0.1, fit_intercept=False),
]
SMOOTH = [
    LogisticRegression(),
    LogisticRegression(C=0.05, l1_ratio=0.5, fit_intercept=False),
    LogisticRegression(class_weight={0: 2.0}),
    PoissonRegressor(alpha=0.01),
    GammaRegressor(alpha=0.01),
]
CONTAINERS = [np.asarray, sparse.csr_array, sparse.csc_array, np.asfortranarray]


def rows(model: Any, n: int = 300, k: int = 5, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Columns on different scales and away from zero; weights, some of which are 0."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, k))
    z = Z @ rng.standard_normal(k) / np.sqrt(k) + 0.3
    v = rng.integers(0, 3, n) * 0.5
    if isinstance(model, LogisticRegression):
        y = (z + rng.standard_normal(n) > 0.0).astype(float)
    elif isinstance(model, PoissonRegressor):
        y = rng.poisson(np.exp(z)).astype(float)
    elif isinstance(model, GammaRegressor):
        y = np.exp(z) * rng.gamma(2.0, size=n)
    else:
        y = z + rng.standard_normal(n)
    return Z * np.geomspace(0.1, 10.0, k) + np.arange(k), y, v


def classes(model: Any) -> dict[str, Any]:
    return {"classes": [0.0, 1.0]} if isinstance(model, LogisticRegression) else {}


def stream(model: Any, X: Any, y: Floats, v: Floats | None, size: int) -> Any:
    model = clone(model)
    for first in range(0, len(y), size):
        part = slice(first, first + size)
        model.partial_fit(X[part], y[part], sample_weight=None if v is None else v[part], **classes(model))
    return model


def assert_same(model: Any, full: Any) -> None:
    scale = np.abs(full.coef_).max()
    assert_allclose(model.coef_, full.coef_, atol=1e-5 * scale)
    assert_allclose(model.intercept_, full.intercept_, atol=1e-4 * max(scale, 1.0))
    assert_allclose(model.certificate_.primal, full.certificate_.primal, rtol=1e-7)
    if full.certificate_.kind == "duality gap":
        assert_allclose(model.certificate_.dual, full.certificate_.dual, rtol=1e-7)
    assert model.status_ == "converged"
    assert model.n_samples_seen_ == 300


@pytest.mark.parametrize("size", [1, 7, 300])
@pytest.mark.parametrize("model", SQUARED, ids=repr)
def test_least_squares_are_those_of_all_rows(model: Any, size: int) -> None:
    model = clone(model).set_params(tol=1e-12)
    X, y, v = rows(model)
    for weights in (None, v) if size > 1 else (None,):
        assert_same(stream(model, X, y, weights, size), clone(model).fit(X, y, weights))


@pytest.mark.parametrize("size", [30, 300])
@pytest.mark.parametrize("model", SMOOTH, ids=repr)
def test_rows_that_are_held_count_as_they_are(model: Any, size: int) -> None:
    model = clone(model).set_params(tol=1e-10)
    X, y, v = rows(model)
    for weights in (None, v):
        assert_same(stream(model, X, y, weights, size), clone(model).fit(X, y, weights))


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("model", [SQUARED[2], SQUARED[4], SMOOTH[0], SMOOTH[3]], ids=repr)
def test_the_container_does_not_matter(model: Any, container: Any) -> None:
    model = clone(model).set_params(tol=1e-10)
    X, y, _ = rows(model)
    X = np.where(np.abs(X) < 0.5, 0.0, X)
    given = clone(model)
    for first in (0, 100, 200):  # mixed with an array
        part = X[first : first + 100]
        given.partial_fit(container(part) if first else part, y[first : first + 100], **classes(model))
    assert_same(given, clone(model).fit(X, y))


@pytest.mark.parametrize("model", [SMOOTH[0], SMOOTH[3], SMOOTH[4]], ids=repr)
def test_rows_that_are_let_go_leave_a_model_within_a_fraction_of_its_standard_errors(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glm, "MAX_HELD_ROWS", 500)
    X, y, _ = rows(model, 12_000)
    model = clone(model).set_params(tol=1e-9)
    full, half = clone(model).fit(X, y), clone(model).fit(X[::2], y[::2])
    known = stream(model, X, y, None, 100)
    away = np.linalg.norm((known.coef_ - full.coef_) * X.std(axis=0))
    assert away < 0.3 * np.linalg.norm((half.coef_ - full.coef_) * X.std(axis=0))
    assert known.certificate_.satisfied
    assert sum(part.n_rows for part in known.stream_.held) < 500


def test_a_quadratic_stands_for_rows_exactly_where_the_loss_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    past = glm.PastRows(np.array([1.0, 2.0]), 3.0, np.array([4.0, 5.0]), np.array([[2.0, 1.0], [1.0, 3.0]]))
    there = past.moved(np.array([0.5, -1.0]))
    assert_allclose(there.moved(past.anchor).value, past.value)
    assert_allclose(there.moved(past.anchor).slope, past.slope)


@pytest.mark.parametrize("model", [Ridge(3.0), LogisticRegression(), PoissonRegressor(alpha=0.1)], ids=repr)
def test_a_stream_goes_on_after_pickling_and_a_clone_begins_anew(model: Any) -> None:
    X, y, _ = rows(model)
    one = stream(model, X[:200], y[:200], None, 50)
    two = pickle.loads(pickle.dumps(one))
    for each in (one, two):
        each.partial_fit(X[200:], y[200:])
    assert_array_equal(one.coef_, two.coef_)
    assert one.n_samples_seen_ == two.n_samples_seen_ == 300
    fresh = clone(one).partial_fit(X[:50], y[:50], **classes(model))
    assert fresh.n_samples_seen_ == 50


@pytest.mark.parametrize("model", [Ridge(3.0), LogisticRegression()], ids=repr)
def test_a_fit_ends_a_stream(model: Any) -> None:
    X, y, _ = rows(model)
    model = clone(model).partial_fit(X, y, **classes(model)).fit(X[:100], y[:100])
    assert not hasattr(model, "n_samples_seen_")
    assert model.partial_fit(X[100:], y[100:], **classes(model)).n_samples_seen_ == 200


def test_a_stream_may_drift_far_from_where_it_began() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 3)) + 1e6 * np.linspace(0.0, 1.0, 1000)[:, None]
    X[:, 1:] += 100.0 * rng.standard_normal((1000, 2))
    y = (X - X.mean(axis=0)) @ np.array([1.0, -2.0, 3.0]) + rng.standard_normal(1000)
    model = stream(LinearRegression(), X, y, None, 20)
    centred = X - X.mean(axis=0)
    assert_allclose(model.coef_, np.linalg.lstsq(centred, y - y.mean(), rcond=None)[0], rtol=1e-6, atol=1e-6)


def test_parameters_may_change_between_calls() -> None:
    X, y, _ = rows(Ridge())
    model = Ridge(100.0, tol=1e-10).partial_fit(X[:200], y[:200])
    model.set_params(alpha=0.1, fit_intercept=False).partial_fit(X[200:], y[200:])
    assert_same(model, Ridge(0.1, fit_intercept=False, tol=1e-10).fit(X, y))
    stiff = LogisticRegression()
    X, y, _ = rows(stiff)
    stiff.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ProblemError, match="fit_intercept has changed"):
        stiff.set_params(fit_intercept=False).partial_fit(X, y)


def test_tables_and_files(tmp_path: Path) -> None:
    X, y, _ = rows(Ridge())
    table = pd.DataFrame(X, columns=list("abcde")).assign(place=np.where(X[:, 0] > 0, "here", "there"), y=y)
    table.loc[0, "place"], table.loc[1, "place"] = "here", "there"
    full = Ridge(tol=1e-9).fit(table, "y")
    model = Ridge(tol=1e-9).partial_fit(table[:100], "y").partial_fit(table[100:], "y")
    assert_same(model, full)
    assert_array_equal(model.feature_names_in_, full.feature_names_in_)
    with pytest.raises((DataError, ValueError), match=r"feature names|no column|columns"):
        model.partial_fit(table.rename(columns={"a": "z"}), "y")
    dump_svmlight_file(X[:100], y[:100], str(tmp_path / "rows.svm"), zero_based=False)
    plain = Ridge(tol=1e-9).partial_fit(tmp_path / "rows.svm").partial_fit(X[100:], y[100:])
    assert_same(plain, Ridge(tol=1e-9).fit(X, y))
    labels = np.where(y > 0.0, "yes", "no")
    table = table.assign(y=labels)
    known = LogisticRegression(tol=1e-9).partial_fit(table[:150], "y", classes=["no", "yes"])
    known.partial_fit(table[150:], "y")
    assert_same(known, LogisticRegression(tol=1e-9).fit(table, "y"))


def test_what_a_stream_of_classes_refuses() -> None:
    X, y, _ = rows(LogisticRegression())
    model = LogisticRegression()
    with pytest.raises(ProblemError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    with pytest.raises(TargetError, match=r"no row \(with weight\) of class 0"):
        model.partial_fit(X[y > 0], y[y > 0], classes=[0, 1])
    with pytest.raises(TargetError, match="of class 2"):
        model.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ProblemError, match="a classifier needs two"):
        model.partial_fit(X, y, classes=[0])
    with pytest.raises(ProblemError, match="700 columns for each of 3 classes"):
        LogisticRegression().partial_fit(np.zeros((3, 700)), [0, 1, 2], classes=[0, 1, 2])
    model.partial_fit(X, y, classes=[0, 1])
    before = model.coef_
    with pytest.raises(TargetError, match=r"labels \[7.0\], which are not among the classes"):
        model.partial_fit(X[:2], [1.0, 7.0])
    with pytest.raises(ProblemError, match="was"):
        model.partial_fit(X, y, classes=[1, 2])
    with pytest.raises(ProblemError, match="needs all rows"):
        model.set_params(class_weight="balanced").partial_fit(X, y)
    assert_array_equal(model.coef_, before)
    model.set_params(class_weight=None).partial_fit(X[y > 0][:3], y[y > 0][:3])  # later, one is enough
    assert model.n_samples_seen_ == 303


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("model", SMOOTH[:2], ids=repr)
def test_several_classes(model: Any, container: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, v = rows(LogisticRegression())
    model = clone(model).set_params(engine=engines.Threads(2))
    labels = y + (X[:, -1] > X[:, -1].mean())
    model = clone(model).set_params(tol=1e-9)
    known, full = clone(model), clone(model).fit(X, labels, v)
    for first in (0, 100, 200):
        part = slice(first, first + 100)
        known.partial_fit(container(X[part]), labels[part], [0.0, 1.0, 2.0], v[part])
    assert_allclose(known.coef_, full.coef_, atol=2e-4 * np.abs(full.coef_).max())
    assert_allclose(known.intercept_, full.intercept_, atol=1e-3)
    assert_allclose(known.certificate_.primal, full.certificate_.primal, rtol=1e-8)
    monkeypatch.setattr(glm, "MAX_HELD_ROWS", 100)
    for first in range(0, 300, 50):
        known.partial_fit(container(X[first : first + 50]), labels[first : first + 50])
    assert sum(part.n_rows for part in known.stream_.held) < 100
    assert known.score(X, labels) == pytest.approx(full.score(X, labels), abs=0.05)


@pytest.mark.parametrize("model", [Ridge(3.0), PoissonRegressor()], ids=repr)
def test_what_any_stream_refuses(model: Any) -> None:
    X, y, _ = rows(PoissonRegressor())
    model = clone(model)
    with pytest.raises(DataError, match="zero in every row"):
        model.partial_fit(X, y, np.zeros(300))
    with pytest.raises(ProblemError, match=r"2,001 columns: partial_fit keeps a matrix.*takes up to 2,000"):
        model.partial_fit(sparse.csr_array((300, 2001)), y)
    model.partial_fit(X, y)
    before = model.coef_
    with pytest.raises(DataError, match=r"4 features, but .* is expecting 5"):
        model.partial_fit(X[:, :4], y)
    bad = X.copy()
    bad[5, 3] = np.nan
    with pytest.raises(DataError, match=r"NaN: column 3 \(1 NaN\); the first is in row 5"):
        model.partial_fit(bad, y)
    with pytest.raises(TargetError, match="inconsistent numbers of samples"):
        model.partial_fit(X, y[:-1])
    assert_array_equal(model.coef_, before)
    assert model.n_samples_seen_ == 300


def test_a_buffer_may_be_used_again() -> None:
    X, y, _ = rows(LogisticRegression())
    buffer, labels = np.empty((100, 5)), np.empty(100)
    model = LogisticRegression(tol=1e-10)
    for first in (0, 100, 200):
        buffer[:], labels[:] = X[first : first + 100], y[first : first + 100]
        model.partial_fit(buffer, labels, classes=[0, 1])
    assert_same(model, LogisticRegression(tol=1e-10).fit(X, y))


@pytest.mark.parametrize("fitted", [False, True], ids=["new", "fitted"])
@pytest.mark.parametrize("model", [Ridge(3.0), PoissonRegressor(), LogisticRegression()], ids=repr)
def test_a_failed_first_call_leaves_nothing(model: Any, fitted: bool) -> None:
    X, y, _ = rows(PoissonRegressor())
    y, classes = np.minimum(y, 1.0), {"classes": [0, 1]} if isinstance(model, LogisticRegression) else {}
    bad = X.copy()
    bad[5, 3] = np.nan
    model = clone(model)
    if fitted:
        model.fit(X[:, :2], y)
    before = dict(vars(model))
    for wrong in (
        lambda: model.partial_fit(bad, y, **classes),
        lambda: model.partial_fit(pd.DataFrame(bad), y, **classes),
        lambda: model.partial_fit(X, y, sample_weight=np.zeros(300), **classes),
        lambda: model.set_params(tol="none").partial_fit(X, y, **classes),
    ):
        with pytest.raises(ValueError):
            wrong()
        model.set_params(tol=1e-4)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is before[name] for name in before if name != "tol")
    if classes and not fitted:
        with pytest.raises(ProblemError, match="classes must be passed"):
            model.partial_fit(X, y)
    model.partial_fit(X, y, **classes)
    assert model.n_features_in_ == 5


@pytest.mark.parametrize("model", [Ridge(3.0), PoissonRegressor(), LogisticRegression()], ids=repr)
def test_collections_of_a_cluster_are_refused(model: Any) -> None:
    da = pytest.importorskip("dask.array")
    X, y, _ = rows(PoissonRegressor())
    y, classes = np.minimum(y, 1.0), {"classes": [0, 1]} if isinstance(model, LogisticRegression) else {}

    def computed(block: Any) -> Any:
        raise AssertionError("a batch was computed")

    lazy = da.from_array(X, chunks=(100, 5)).map_blocks(computed, dtype=float, meta=np.empty((0, 5)))
    column = da.from_array(y, chunks=100).map_blocks(computed, dtype=float, meta=np.empty(0))
    for given, name in (
        ({"X": lazy, "y": y}, "X"),
        ({"X": X, "y": column}, "y"),
        ({"X": X, "y": y, "sample_weight": column}, "sample_weight"),
    ):
        with pytest.raises(ProblemError, match=f"partial_fit takes data of this process, and {name} is a collection"):
            model.partial_fit(**given, **classes)


@pytest.mark.parametrize("model", [Ridge(3.0), Lasso(0.1)], ids=repr)
def test_the_intercept_may_be_dropped_between_batches(model: Any) -> None:
    X, y, _ = rows(model)
    model = clone(model).set_params(tol=1e-10).partial_fit(X[:150] + 2.0, y[:150] + 5.0)
    model.set_params(fit_intercept=False).partial_fit(X[150:] + 2.0, y[150:] + 5.0)
    whole = clone(model).fit(X + 2.0, y + 5.0)
    assert model.intercept_ == 0.0
    assert_allclose(model.coef_, whole.coef_, atol=1e-4)
    assert_allclose(model.certificate_.primal, whole.certificate_.primal, rtol=1e-8)
