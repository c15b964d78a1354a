"""Cross-validation: the choices and scores of scikit-learn, in few passes over the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model as reference
from numpy.typing import NDArray
from scipy import sparse
from sklearn import config_context
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold, ShuffleSplit, StratifiedKFold

from offbeat import engines
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from offbeat.linear_model import ElasticNetCV, LogisticRegressionCV, elastic_net_cv

N, K = 160, 6
Data = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture
def data(rng: np.random.Generator) -> Data:
    X = rng.standard_normal((N, K)) * np.array([1.0, 3.0, 0.3, 1.0, 2.0, 1.0]) + 1
    return X, X @ np.array([1.0, 0.0, 2.0, -0.7, 0.0, 0.3]) + 2 * rng.standard_normal(N), rng.uniform(0.2, 3.0, N)


def logistic_pair(**parameters: Any) -> tuple[LogisticRegressionCV, reference.LogisticRegressionCV]:
    ours = LogisticRegressionCV(tol=1e-10, Cs=5, **parameters)
    theirs = reference.LogisticRegressionCV(
        tol=1e-10, Cs=5, solver="newton-cholesky", use_legacy_attributes=False, **{"l1_ratios": (0.0,), **parameters}
    )
    return ours, theirs


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "parameters",
    [
        {"scoring": None},
        {"scoring": "neg_log_loss"},
        {"scoring": None, "cv": 3, "class_weight": "balanced"},
        {"scoring": "neg_log_loss", "cv": StratifiedKFold(4, shuffle=True, random_state=0), "fit_intercept": False},
        {"scoring": None, "refit": False, "cv": 3},
    ],
    ids=str,
)
def test_logistic_like_reference(data: Data, n_classes: int, weighted: bool, parameters: dict[str, Any]) -> None:
    X, z, weight = data
    y = np.digitize(z, np.quantile(z, np.arange(1, n_classes) / n_classes))
    names = np.array(["low", "mid", "top"])[y]
    ours, theirs = logistic_pair(**parameters)
    v = weight if weighted else None
    ours.fit(X, names, sample_weight=v)
    theirs.fit(X, names, sample_weight=v)
    assert ours.C_ == pytest.approx(theirs.C_)
    assert ours.l1_ratio_ == 0.0
    np.testing.assert_allclose(ours.scores_, theirs.scores_, rtol=1e-5)
    np.testing.assert_allclose(ours.coefs_paths_, theirs.coefs_paths_, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-4, atol=1e-4)
    assert ours.score(X, names) == pytest.approx(theirs.score(X, names), rel=1e-6)
    assert ours.n_iter_.shape == ours.scores_.shape
    assert ours.certificate_.satisfied


def test_logistic_ratios(data: Data) -> None:
    X, z, _ = data
    X = (X - X.mean(0)) / X.std(0)
    y = z > np.median(z)
    options: dict[str, Any] = {
        "l1_ratios": [0.0, 0.6, 1.0],
        "Cs": [10.0, 0.02, 0.3],
        "scoring": "neg_log_loss",
        "cv": 3,
    }
    ours = LogisticRegressionCV(tol=1e-10, **options).fit(X, y)
    theirs = reference.LogisticRegressionCV(
        tol=1e-8, max_iter=20_000, solver="saga", use_legacy_attributes=False, random_state=0, **options
    ).fit(X, y)
    assert (ours.C_, ours.l1_ratio_) == (theirs.C_, theirs.l1_ratio_)
    np.testing.assert_array_equal(ours.Cs_, [10.0, 0.02, 0.3])
    # saga leaves intercepts less exact than the rest
    np.testing.assert_allclose(ours.scores_, theirs.scores_, rtol=2e-3)
    np.testing.assert_allclose(ours.coefs_paths_[..., :-1], theirs.coefs_paths_[..., :-1], rtol=1e-2, atol=2e-3)


def test_passes_are_shared(data: Data) -> None:
    """Fifty models: far fewer passes than models, and fewer yet when each starts for itself."""
    X, z, _ = data
    model = LogisticRegressionCV(tol=1e-6).fit(X, z > 1)
    assert model.scores_.size == 50
    assert model.passes_ < 40
    assert model.n_iter_.sum() > 2 * model.passes_
    streamed = LogisticRegressionCV(tol=1e-6).fit(np.asfortranarray(X), z > 1)
    assert streamed.passes_ < 15
    assert streamed.C_ == model.C_
    np.testing.assert_allclose(streamed.coefs_paths_, model.coefs_paths_, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("container", [sparse.csr_array, np.asfortranarray, pd.DataFrame])
@pytest.mark.parametrize("model", [LogisticRegressionCV(tol=1e-10, Cs=3, cv=3), ElasticNetCV(tol=1e-10, cv=3)], ids=str)
def test_containers(data: Data, container: Any, model: Any) -> None:
    X, z, _ = data
    y = z > 1 if isinstance(model, LogisticRegressionCV) else z
    plain = model.fit(X, y).coef_.copy()
    np.testing.assert_allclose(model.fit(container(X), y).coef_, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", [LogisticRegressionCV(Cs=3, cv=3), ElasticNetCV(cv=3)], ids=str)
def test_deterministic(data: Data, model: Any) -> None:
    X, z, _ = data
    model.set_params(engine=engines.Threads(2))
    y = z > 1 if isinstance(model, LogisticRegressionCV) else z
    once = model.fit(X, y).coef_.copy()
    np.testing.assert_array_equal(model.fit(X, y).coef_, once)


def test_table_and_file(data: Data, tmp_path: Path) -> None:
    X, z, weight = data
    table = pd.DataFrame(X, columns=list("abcdef")).assign(late=np.where(z > 1, "yes", "no"), w=weight)
    table["city"] = np.where(X[:, 0] > 1, "SFO", "LAX")
    table.to_parquet(tmp_path / "t.parquet")
    for model in (LogisticRegressionCV(Cs=3, cv=3), ElasticNetCV(cv=3)):
        target = "late" if isinstance(model, LogisticRegressionCV) else "a"
        one = model.fit(table, target, sample_weight="w").coef_.copy()
        np.testing.assert_allclose(model.fit(tmp_path / "t.parquet", target, sample_weight="w").coef_, one, rtol=1e-9)
        assert "city=SFO" in model.encoder_.feature_names


def test_scorers(data: Data) -> None:
    X, z, _ = data
    y = z > 1
    ours, theirs = logistic_pair(scoring=make_scorer(fbeta_score, beta=0.5), cv=3)
    np.testing.assert_allclose(ours.fit(X, y).scores_, theirs.fit(X, y).scores_, rtol=1e-6)
    for scoring in ("roc_auc", "neg_brier_score", "f1"):
        ours, theirs = logistic_pair(scoring=scoring, cv=3)
        np.testing.assert_allclose(ours.fit(X, y).scores_, theirs.fit(X, y).scores_, rtol=1e-5)
    with pytest.raises(ProblemError, match="make_scorer"):
        LogisticRegressionCV(scoring=lambda model, X, y: 0.0).fit(X, y)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"l1_ratio": [0.2, 0.9, 1.0], "cv": 3},
        {"positive": True, "l1_ratio": 1.0, "cv": 4},
        {"fit_intercept": False, "cv": KFold(3, shuffle=True, random_state=0)},
        {"cv": ShuffleSplit(3, train_size=0.4, test_size=0.3, random_state=0)},
        {"cv": RepeatedKFold(n_splits=2, n_repeats=2, random_state=0)},
        {"alphas": [0.01, 1.0, 0.1], "l1_ratio": 0.0},
    ],
    ids=str,
)
def test_elastic_net_like_reference(
    data: Data, parameters: dict[str, Any], wide: bool, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, weight = data
    if wide:
        monkeypatch.setattr(elastic_net_cv, "MAX_GRAM_BYTES", 0)
    v = weight if weighted else None
    options = {"alphas": 12, **parameters}
    ours = ElasticNetCV(tol=1e-10, **options).fit(X, y, sample_weight=v)
    theirs = reference.ElasticNetCV(tol=1e-12, max_iter=100_000, **options).fit(X, y, sample_weight=v)
    assert ours.alpha_ == pytest.approx(theirs.alpha_)
    assert ours.l1_ratio_ == theirs.l1_ratio_
    np.testing.assert_allclose(ours.alphas_, theirs.alphas_, rtol=1e-10)
    np.testing.assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=2e-6)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-5, atol=1e-5)
    assert ours.certificate_.satisfied


def test_elastic_net_takes_one_pass(data: Data) -> None:
    X, y, _ = data
    model = ElasticNetCV(l1_ratio=[0.5, 1.0]).fit(X, y)
    assert model.n_iter_ == 1
    assert model.mse_path_.shape == (2, 100, 5)
    assert model.trace_.to_frame().passes.iloc[-1] == 1.0


def test_routing(data: Data) -> None:
    X, z, weight = data
    groups = np.arange(N) // 20
    with pytest.raises(ValueError, match="groups"):
        ElasticNetCV(cv=GroupKFold(4)).fit(X, z, groups=groups)
    with config_context(enable_metadata_routing=True):
        splitter = GroupKFold(4).set_split_request(groups=True)
        linear = ElasticNetCV(cv=splitter).fit(X, z, groups=groups)
        assert linear.mse_path_.shape == (100, 4)
        scorer = make_scorer(fbeta_score, beta=1.0).set_score_request(sample_weight=False)
        plain = LogisticRegressionCV(Cs=3, cv=splitter, scoring=scorer).fit(X, z > 1, groups=groups)
        asked = LogisticRegressionCV(
            Cs=3, cv=splitter, scoring=make_scorer(fbeta_score, beta=1.0).set_score_request(sample_weight=True)
        ).set_fit_request(sample_weight=True)
        asked.fit(X, z > 1, sample_weight=weight, groups=groups)
        assert plain.scores_.shape == asked.scores_.shape == (4, 1, 3)


@pytest.mark.filterwarnings("ignore:stopped after")
def test_few_passes_warn(data: Data) -> None:
    X, z, _ = data
    with pytest.warns(ConvergenceWarning, match="models stopped short"):
        model = LogisticRegressionCV(max_iter=3, tol=1e-10, Cs=3, cv=3).fit(X, z > 1)
    assert np.isfinite(model.scores_).all()
    assert model.predict(X).shape == (N,)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (LogisticRegressionCV(Cs=0), ProblemError, "Cs is 0"),
        (LogisticRegressionCV(Cs=[1.0, -1.0]), ProblemError, "positive"),
        (LogisticRegressionCV(l1_ratios=[]), ProblemError, "l1_ratios is empty"),
        (LogisticRegressionCV(l1_ratios=[2.0]), ProblemError, r"l1_ratio is 2\.0"),
        (LogisticRegressionCV(cv=[([], [1, 2])]), DataError, "without rows"),
        (LogisticRegressionCV(cv=[([0, 1], [N])]), DataError, "do not exist"),
        (LogisticRegressionCV(cv=1), ValueError, "n_splits=1"),
        (ElasticNetCV(l1_ratio=0.0), ProblemError, "l1_ratio=0 has no largest alpha"),
        (ElasticNetCV(l1_ratio=[]), ProblemError, "l1_ratio is empty"),
        (ElasticNetCV(alphas=0), ProblemError, "alphas is 0"),
        (ElasticNetCV(alphas=[]), ProblemError, "alphas is empty"),
        (ElasticNetCV(alphas=[-1.0]), ProblemError, r"alphas is -1\.0"),
        (ElasticNetCV(eps=2.0), ProblemError, "eps is 2"),
    ],
    ids=str,
)
def test_bad_parameters(data: Data, model: Any, error: type[Exception], message: str) -> None:
    X, z, _ = data
    with pytest.raises(error, match=message):
        model.fit(X, z > 1)


@pytest.mark.parametrize("model", [LogisticRegressionCV(), ElasticNetCV()], ids=str)
@pytest.mark.parametrize("wide", [False, True])
def test_not_finite(data: Data, model: Any, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if wide:
        monkeypatch.setattr(elastic_net_cv, "MAX_GRAM_BYTES", 0)
    X, z, _ = data
    X[7, 2] = np.nan
    with pytest.raises(DataError, match=r"NaN: column 2 \(1 NaN\); the first is in row 7"):
        model.fit(X, z > 1)


@pytest.mark.parametrize("gram", [True, False], ids=["gram", "batch"])
def test_folds_without_weight_to_judge_by_do_not_choose(gram: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 3))
    y = 3.0 * X[:, 0] + rng.standard_normal(60)
    weight = np.where(np.arange(60) < 20, 0.0, 1.0)
    folds = [(np.setdiff1d(np.arange(60), test), test) for test in np.arange(60).reshape(3, 20)]
    if not gram:
        monkeypatch.setattr("offbeat.linear_model.elastic_net_cv.MAX_GRAM_BYTES", 1)
    all_folds = ElasticNetCV(cv=folds, alphas=5).fit(X, y, sample_weight=weight)
    some = ElasticNetCV(cv=folds[1:], alphas=5).fit(X, y, sample_weight=weight)
    assert all_folds.alpha_ == pytest.approx(some.alpha_)
    assert some.alpha_ < 0.5 * all_folds.alphas_[0]
    assert np.isnan(all_folds.mse_path_[:, 0]).all()
    np.testing.assert_allclose(all_folds.mse_path_[:, 1:], some.mse_path_, rtol=1e-6)
    labels = (y > 0).astype(int)
    for refit in (True, False):
        ours = LogisticRegressionCV(cv=folds, Cs=5, refit=refit).fit(X, labels, sample_weight=weight)
        theirs = LogisticRegressionCV(cv=folds[1:], Cs=5, refit=refit).fit(X, labels, sample_weight=weight)
        assert theirs.C_ == ours.C_ > ours.Cs_[0]
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-2)
    for model in (ElasticNetCV(cv=folds[:1]), LogisticRegressionCV(cv=folds[:1])):
        with pytest.raises(DataError, match="no fold with rows left out that have weight"):
            model.fit(X, labels, sample_weight=weight)


@pytest.mark.filterwarnings("ignore:Only one class is present")
def test_folds_in_which_a_score_is_not_defined_do_not_choose() -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 2))
    y = (X[:, 0] + 2.0 * rng.standard_normal(60) > 0).astype(int)
    one = np.flatnonzero(y == 1)[:8]
    folds = [(np.setdiff1d(np.arange(60), test), test) for test in (one, np.arange(30), np.arange(30, 60))]
    ours = LogisticRegressionCV(cv=folds, Cs=[1e-4, 1.0], l1_ratios=[1.0], scoring="roc_auc").fit(X, y)
    assert np.isnan(ours.scores_[0]).all()
    assert ours.C_ == 1.0  # the other has no coefficients
    with pytest.raises(DataError, match="gives no number in any fold"):
        LogisticRegressionCV(cv=folds[:1], Cs=[1.0], scoring="roc_auc").fit(X, y)
