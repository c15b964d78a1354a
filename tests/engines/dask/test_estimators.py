"""Estimators on Dask collections."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from offbeat.compat import dask_ml
from offbeat.errors import DataError, ProblemError, TargetError
from offbeat.linear_model import (
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LinearSVC,
    LinearSVR,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
)

N, K = 900, 4


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, K))
    return X, X @ np.array([0.5, -0.4, 0.3, 0.0]) + 0.3 * rng.normal(size=N)


@pytest.fixture(scope="module")
def lazy(client, rows):
    return da.from_array(rows[0], chunks=(250, K)).persist()


def lazily(y):
    return da.from_array(y, chunks=250)


REGRESSORS = [
    (LinearRegression(), lambda z: z),
    (Ridge(tol=1e-8), lambda z: z),
    (Lasso(alpha=0.01, tol=1e-8), lambda z: z),
    (ElasticNet(alpha=0.01, tol=1e-8), lambda z: z),
    (LinearSVR(epsilon=0.1, loss="squared_epsilon_insensitive", tol=1e-8), lambda z: z),
    (PoissonRegressor(alpha=0.01, tol=1e-8), lambda z: np.floor(np.exp(z + 1.0))),
    (GammaRegressor(alpha=0.01, tol=1e-8), np.exp),
]


@pytest.mark.parametrize(("model", "link"), REGRESSORS, ids=lambda each: type(each).__name__)
def test_regressors_agree_with_those_of_this_process(lazy, rows, model, link):
    X, z = rows
    y, weight = link(z), np.linspace(0.5, 1.5, N)
    here = clone(model).fit(X, y, sample_weight=weight)
    there = clone(model).fit(lazy, lazily(y), sample_weight=lazily(weight))
    assert there.certificate_.satisfied and there.trace_.metadata["engine"] == "dask"
    np.testing.assert_allclose(there.coef_, here.coef_, atol=2e-3)
    predicted = there.predict(lazy)
    assert isinstance(predicted, da.Array) and predicted.shape == (N,)
    np.testing.assert_allclose(predicted.compute(), there.predict(X))
    assert there.score(lazy, lazily(y)) == pytest.approx(there.score(X, y))


@pytest.mark.parametrize("labels", [["no", "yes"], [3, 7], ["a", "b", "c"]], ids=str)
@pytest.mark.parametrize("model", [LogisticRegression(tol=1e-7), LinearSVC(tol=1e-5)], ids=lambda m: type(m).__name__)
def test_classifiers_agree_with_those_of_this_process(lazy, rows, model, labels):
    X, z = rows
    y = np.array(labels)[np.digitize(z, [-0.3, 0.4][: len(labels) - 1])]
    here, there = clone(model).fit(X, y), clone(model).fit(lazy, lazily(y))
    assert there.classes_.tolist() == labels
    np.testing.assert_allclose(there.coef_, here.coef_, atol=5e-3)
    predicted = there.predict(lazy)
    assert predicted.dtype == there.classes_.dtype
    np.testing.assert_array_equal(predicted.compute(), there.predict(X))
    np.testing.assert_allclose(there.decision_function(lazy).compute(), there.decision_function(X))
    if hasattr(there, "predict_proba"):
        assert there.predict_proba(lazy).shape == (N, len(labels))
        np.testing.assert_allclose(there.predict_proba(lazy).compute(), there.predict_proba(X))
    assert there.score(lazy, lazily(y)) == pytest.approx(there.score(X, y))


def test_class_weights(lazy, rows):
    y = (rows[1] > 0.5).astype(int)
    weight = np.linspace(0.5, 1.5, N)
    for rule in ("balanced", {0: 2.0, 1: 0.5}):
        model = LogisticRegression(class_weight=rule, tol=1e-8)
        here = clone(model).fit(rows[0], y, sample_weight=weight)
        there = clone(model).fit(lazy, lazily(y), sample_weight=lazily(weight))
        np.testing.assert_allclose(there.coef_, here.coef_, atol=2e-3)


def test_chunks_of_one_class(client, rows):
    order = np.argsort(rows[1])
    X, y = rows[0][order], np.sort(rows[1]) > 0.1
    there = LogisticRegression(tol=1e-8).fit(da.from_array(X, chunks=(150, K)), da.from_array(y, chunks=150))
    np.testing.assert_allclose(there.coef_, LogisticRegression(tol=1e-8).fit(X, y).coef_, atol=2e-3)
    with pytest.raises(TargetError, match="only one class, True"):
        LogisticRegression().fit(da.from_array(X, chunks=(150, K)), da.ones(N, chunks=150, dtype=bool))


def test_data_frames(client, rows):
    table = pd.DataFrame(rows[0], columns=list("abcd"))
    table["place"] = np.where(rows[0][:, 0] > 0, "here", "there")
    table["late"] = np.where(rows[1] > 0, "yes", "no")
    frames = dd.from_pandas(table, npartitions=3)
    model = LogisticRegression(tol=1e-8).fit(frames, "late")
    assert model.feature_names_in_.tolist() == [*"abcd", "place"]
    np.testing.assert_allclose(model.coef_, LogisticRegression(tol=1e-8).fit(table, "late").coef_, atol=2e-3)
    features = frames.drop(columns="late")
    np.testing.assert_array_equal(model.predict(features).compute(), model.predict(table))
    assert model.score(frames, "late") == pytest.approx(model.score(table, "late"))


def test_scores_are_finite_where_means_underflow_or_targets_are_equal(lazy, rows):
    model = PoissonRegressor().fit(rows[0], np.floor(np.exp(rows[1])))
    model.coef_ = np.array([-4000.0, 0.0, 0.0, 0.0])
    far = np.abs(rows[0]) + 1.0
    y = np.zeros(N)
    assert model.score(da.from_array(far, chunks=(250, K)), lazily(y)) == model.score(far, y) == 1.0  # means of 0
    y[0] = 2.0
    found = model.score(da.from_array(far, chunks=(250, K)), lazily(y))
    assert np.isfinite(found)
    assert found == pytest.approx(model.score(far, y))


@pytest.mark.parametrize(
    "labels", [np.array([0, 1], dtype=object), np.array([b"no", b"yes"])], ids=["objects", "bytes"]
)
def test_labels_that_a_fit_takes_can_be_scored(lazy, rows, labels):
    y = labels[(rows[1] > 0).astype(int)]
    there = LogisticRegression().fit(lazy, lazily(y))
    assert there.score(lazy, lazily(y)) == pytest.approx(
        np.mean((there.decision_function(rows[0]) > 0) == (rows[1] > 0))
    )


def test_classes_with_the_parameters_of_dask_ml(lazy, rows):
    y = (rows[1] > 0).astype(int)
    for settings in ({"C": 0.1}, {"C": 0.1, "solver": "admm", "penalty": "l1"}):
        here, there = (dask_ml.LogisticRegression(tol=1e-8, **settings) for _ in range(2))
        np.testing.assert_allclose(there.fit(lazy, lazily(y)).coef_, here.fit(rows[0], y).coef_, atol=2e-3)
        assert isinstance(there.predict_proba(lazy), da.Array)
        assert there.score(lazy, lazily(y)) == pytest.approx(there.score(rows[0], y))
    counts = np.floor(np.exp(rows[1] + 1.0))
    model = dask_ml.PoissonRegression().fit(lazy, lazily(counts))
    deviance = model.get_deviance(lazy, lazily(counts))
    assert deviance.compute() == pytest.approx(model.get_deviance(rows[0], counts))


def test_a_second_fit_from_the_first(lazy, rows):
    model = LogisticRegression(tol=1e-6, warm_start=True).fit(lazy, lazily(rows[1] > 0))
    assert model.fit(lazy, lazily(rows[1] > 0)).n_iter_[0] <= 2


def test_what_does_not_go_on_a_cluster(lazy, rows):
    for model in (ElasticNetCV(), HuberRegressor()):
        with pytest.raises(ProblemError, match="takes data of this process only"):
            model.fit(lazy, lazily(rows[1]))
    with pytest.raises(ProblemError, match="takes data of this process only"):
        LogisticRegressionCV().fit(lazy, lazily(rows[1] > 0))
    with pytest.raises(DataError, match="has 3 features, but Ridge is expecting 4"):
        Ridge().fit(*rows).predict(da.ones((10, 3), chunks=(5, 3))).compute()
