"""What all estimators share: warm starts, budgets, callbacks, warnings, bad parameters."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from offbeat import Settings, engines, solvers
from offbeat.errors import ConvergenceWarning, DataError, ProblemError, TargetError
from offbeat.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, PoissonRegressor, Ridge

Pair = tuple[NDArray[np.float64], NDArray[np.int64]]


@pytest.fixture
def classes(rng: np.random.Generator) -> Pair:
    X = rng.standard_normal((400, 8))
    return X, (X[:, 0] - X[:, 1] + rng.standard_normal(400) > 0).astype(np.int64)


def test_warm_start_takes_fewer_passes(classes: Pair) -> None:
    X, y = classes
    model = LogisticRegression(C=1.0, warm_start=True, tol=1e-6).fit(X, y)
    cold = int(model.n_iter_[0])
    model.set_params(C=1.05).fit(X, y)
    assert model.n_iter_[0] < cold
    assert model.fit(X, y).n_iter_[0] == 1
    with pytest.raises(ProblemError, match="warm_start"):
        model.fit(X[:, :3], y)


def test_warm_start_of_classes(classes: Pair) -> None:
    X, y = classes
    y = y + (X[:, 2] > 0.5)
    model = LogisticRegression(warm_start=True, tol=1e-3).fit(X, y)
    cold = int(model.n_iter_[0])
    assert model.fit(X, y).n_iter_[0] < cold


def test_without_warm_start_a_fit_forgets(classes: Pair) -> None:
    X, y = classes
    model = LogisticRegression()
    first = model.fit(X, y).coef_.copy()
    model.fit(-X, y)
    np.testing.assert_array_equal(model.fit(X, y).coef_, first)


def test_attributes(classes: Pair) -> None:
    X, y = classes
    model = LogisticRegression().fit(X, y)
    assert model.status_ == "converged"
    assert model.certificate_.satisfied
    assert model.certificate_.tolerance == model.tol
    assert model.n_iter_.dtype == np.int32
    assert model.intercept_.shape == (1,)
    assert not hasattr(model, "feature_names_in_")
    assert len(model.trace_) > 0
    assert isinstance(Ridge().fit(X, y).n_iter_, int)
    assert isinstance(Ridge().fit(X, y).intercept_, float)
    assert Ridge(fit_intercept=False).fit(X, y).intercept_ == 0.0


def test_too_few_passes_warn_and_keep_the_model(classes: Pair) -> None:
    X, y = classes
    model = LogisticRegression(max_iter=1, tol=1e-12)
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        model.fit(X, y)
    assert model.status_ == "max_iter"
    assert not model.certificate_.satisfied
    assert model.predict(X).shape == y.shape


def test_no_time(classes: Pair) -> None:
    X, y = classes
    with pytest.warns(ConvergenceWarning, match="time_limit"):
        assert LogisticRegression(time_limit=0.0).fit(X, y).status_ == "time_limit"


def test_callbacks(classes: Pair) -> None:
    X, y = classes
    seen: list[float] = []

    def note(progress: Any, row: Any) -> None:
        seen.append(progress.certificate.relative_gap)
        assert progress.coef.shape == (8, 1)

    model = LogisticRegression(callbacks=note, tol=1e-8).fit(X, y)
    assert seen[-1] == model.certificate_.relative_gap
    seen.clear()
    with pytest.warns(ConvergenceWarning, match="callback"):
        model = LogisticRegression(callbacks=[lambda p, r: True, note], tol=1e-8).fit(X, y)
    assert model.status_ == "callback"
    assert len(seen) == 1
    with pytest.raises(ProblemError, match="callbacks holds 3"):
        LogisticRegression(callbacks=[3]).fit(X, y)


@pytest.mark.parametrize(
    "solver", [solvers.Newton(), solvers.LBFGS(), solvers.ProximalGradient(), solvers.GradientDescent()]
)
@pytest.mark.parametrize("engine", [engines.Serial(), engines.Threads(2)])
def test_solvers_and_engines(classes: Pair, solver: Any, engine: Any) -> None:
    X, y = classes
    expected = LogisticRegression(tol=1e-12, C=0.1).fit(X, y)
    model = clone(LogisticRegression(tol=1e-12, C=0.1, solver=solver, engine=engine)).fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-5, atol=2e-6)
    assert model.trace_.metadata["solver"] == solver.name


def test_deterministic(classes: Pair) -> None:
    X, y = classes
    one, two = (LogisticRegression(engine=engines.Threads(2)).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.coef_, two.coef_)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LogisticRegression(C=0.0), "C is 0.0; it must be positive"),
        (LogisticRegression(C=-1), "C is -1"),
        (LogisticRegression(C="strong"), "C is 'strong'"),
        (LogisticRegression(C=float("nan")), "C is NaN"),
        (LogisticRegression(l1_ratio=1.5), "l1_ratio is 1.5"),
        (LogisticRegression(tol="tight"), "tol is 'tight'"),
        (LogisticRegression(tol=-1.0), "tol is -1"),
        (LogisticRegression(max_iter=None), "max_iter is None"),
        (LogisticRegression(solver="lbfgs"), "solver is 'lbfgs'"),
        (LogisticRegression(engine="dask"), "engine is 'dask'"),
        (LogisticRegression(settings=Settings(staleness=1.0), solver=solvers.LBFGS()), "needs rounds"),
        (LogisticRegression(class_weight="even"), "class_weight is 'even'"),
        (Ridge(alpha=-1.0), "alpha is -1.0"),
        (Lasso(alpha=float("inf")), "alpha is inf"),
        (ElasticNet(l1_ratio=-0.1), "l1_ratio is -0.1"),
        (PoissonRegressor(alpha=None), "alpha is None"),
    ],
    ids=str,
)
def test_bad_parameters(classes: Pair, model: Any, message: str) -> None:
    X, y = classes
    with pytest.raises(ProblemError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize("model", [LogisticRegression(), Ridge(), PoissonRegressor()], ids=lambda m: type(m).__name__)
def test_bad_data(classes: Pair, model: Any) -> None:
    X, y = classes
    bad = X.copy()
    bad[5, 3] = np.nan
    with pytest.raises(DataError, match=r"NaN: column 3 \(1 NaN\); the first is in row 5"):
        model.fit(bad, y)
    with pytest.raises(TargetError, match="inconsistent numbers of samples"):
        model.fit(X, y[:-1])
    with pytest.raises(DataError, match="negative"):
        model.fit(X, y, sample_weight=np.where(np.arange(len(y)) == 3, -1.0, 1.0))
    with pytest.raises(DataError, match="zero in every row"):
        model.fit(X, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(TargetError, match="requires y to be passed"):
        model.fit(X)


def test_negative_counts() -> None:
    with pytest.raises(TargetError, match="negative"):
        PoissonRegressor().fit([[1.0], [2.0]], [1, -1])


def test_separated_classes_without_penalty(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 2))
    with pytest.warns(ConvergenceWarning, match="separated"):
        model = LogisticRegression(C=np.inf, tol=1e-8).fit(X, X[:, 0] > 0)
    assert model.status_ == "separable"
    assert model.score(X, X[:, 0] > 0) == 1.0


def test_more_columns_than_rows(rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 30))
    y = rng.standard_normal(10)
    np.testing.assert_allclose(LinearRegression().fit(X, y).predict(X), y, atol=1e-6)
    assert Lasso(alpha=0.1).fit(X, y).certificate_.satisfied


def test_sparse_coef(classes: Pair) -> None:
    X, y = classes
    model = Lasso(alpha=0.1).fit(X, y)
    assert 0 < model.sparse_coef_.nnz < 8
    np.testing.assert_array_equal(model.sparse_coef_.toarray()[0], model.coef_)


def test_metadata_routing(classes: Pair) -> None:
    X, y = classes
    with config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        even = cross_val_score(model, X, y, cv=3)
        tilted = cross_val_score(model, X, y, cv=3, params={"sample_weight": 1e-3 + (X[:, 3] > 0)})
    assert not np.array_equal(even, tilted)


def test_quiet(classes: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = classes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression().fit(X, y)
    assert capsys.readouterr().out == ""
