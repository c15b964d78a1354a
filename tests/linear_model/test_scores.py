"""Scores: finite wherever the deviance is, also where means underflow or targets do not differ; weights of any kind."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from sklearn.metrics import d2_tweedie_score

from offbeat import losses, penalties
from offbeat.commands.scoring import metrics
from offbeat.data.load import as_dataset
from offbeat.errors import TargetError
from offbeat.linear_model import (
    GammaRegressor,
    LinearSVC,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
)
from offbeat.linear_model._shared.deviance import half_deviances
from offbeat.models.fitted import FittedModel
from offbeat.problem import Certificate

Floats = NDArray[np.float64]


def exactly(power: int, y: float, z: float) -> float:
    """Half a unit deviance, in sixty digits."""
    with localcontext() as context:
        context.prec = 60
        exact, mean = Decimal(y), Decimal(z).exp()
        if power == 1:
            return float((exact * (exact / mean).ln() if y else Decimal(0)) - exact + mean)
        return float((mean / exact).ln() + exact / mean - 1)


@pytest.mark.parametrize("power", [1, 2])
def test_deviances(power: int) -> None:
    rows = [
        (y, z)
        for y in ([0.0] if power == 1 else []) + [1e-300, 1e-8, 1.0, 3.5, 1e9, 1e200]
        for z in (-5000.0, -800.0, -690.0, -1.0, 0.0, 1.0, math.log(3.5), 20.0, 460.0)
        if power == 1 or abs(math.log(y) - z) < 700.0
    ]
    y, z = np.array(rows).T
    right = [exactly(power, *row) for row in rows]
    assert_allclose(half_deviances(power, y, z), right, rtol=1e-11, atol=1e-30)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", [PoissonRegressor(), GammaRegressor()], ids=["poisson", "gamma"])
def test_scores_of_ordinary_rows(model: Any, weighted: bool, rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 2))
    y = rng.poisson(np.exp(X[:, 0])).astype(float) + (model.power == 2)
    weight = rng.uniform(0.0, 2.0, 50) if weighted else None
    model.fit(X, y)
    right = d2_tweedie_score(y, model.predict(X), sample_weight=weight, power=model.power)
    assert model.score(X, y, sample_weight=weight) == pytest.approx(right, rel=1e-12)


def given(z: Floats, model: Any) -> tuple[Any, Floats]:
    """A fitted model, and rows for which its linear predictor is ``z``."""
    model.fit([[0.0], [1.0], [2.0]], [1.0, 2.0, 4.0])
    model.coef_, model.intercept_ = np.array([1.0]), 0.0
    return model, z[:, None]


def test_a_mean_that_underflows() -> None:
    z, y = np.array([0.0, 1.0, 2.0, -4000.0]), np.array([1.0, 3.0, 5.0, 0.0])
    model, X = given(z, PoissonRegressor())
    mine, plain = (sum(exactly(1, *row) for row in zip(y, at, strict=True)) for at in (z, np.full(4, math.log(2.25))))
    assert model.score(X, y) == pytest.approx(1.0 - mine / plain, rel=1e-12)
    assert math.isfinite(model.score(X, [1.0, 3.0, 5.0, 2.0]))  # far from 1, but finite
    assert model.score(-X, y) == -math.inf  # a mean beyond all floats


@pytest.mark.parametrize(
    ("model", "y", "score"),
    [
        (PoissonRegressor(), [0.0, 0.0, 0.0], 0.0),
        (PoissonRegressor(), [1.0, 1.0, 1.0], 0.0),
        (GammaRegressor(), [0.1, 0.1, 0.1], 0.0),
    ],
)
def test_targets_that_do_not_differ(model: Any, y: list[float], score: float) -> None:
    model, X = given(np.array([0.0, 1.0, 2.0]), model)
    assert model.score(X, y) == score
    assert model.score(np.full((3, 1), math.log(max(y[0], 1e-320)) if y[0] else -4000.0), y) == pytest.approx(1.0)


def test_what_cannot_be_a_target() -> None:
    model, X = given(np.array([0.0, 1.0]), PoissonRegressor())
    with pytest.raises(TargetError, match="negative in 1 of 2 rows"):
        model.score(X, [1.0, -1.0])
    with pytest.raises(TargetError, match="X has 2 rows, y has 3"):
        model.score(X, [1.0, 1.0, 1.0])
    with pytest.warns(UserWarning, match="less than two samples"):
        assert math.isnan(model.score(X[:1], [1.0]))


@pytest.mark.parametrize("loss", [losses.Poisson(), losses.Gamma()], ids=lambda loss: loss.name)
def test_the_command_scores_means_that_underflow(loss: Any) -> None:
    power = loss.variance_power
    z = np.array([0.0, 1.0, -4000.0 if power == 1 else -690.0])
    y = np.array([1.0, 3.0, 0.0 if power == 1 else 1e-300])
    proof = Certificate(0.0, 0.0, 0.0, 0.0, "duality gap", 1e-6)
    found = metrics(FittedModel(np.ones(1), 0.0, loss, penalties.L2(1.0), proof), as_dataset(z[:, None], y))
    right = 2.0 * np.mean([exactly(power, *row) for row in zip(y, z, strict=True)])
    null = 2.0 * np.mean([exactly(power, each, math.log(y.mean())) for each in y])
    assert found["mean deviance"] == pytest.approx(right, rel=1e-12)
    assert found["explained deviance"] == pytest.approx(1.0 - right / null, rel=1e-12)


@pytest.mark.parametrize("model", [Ridge(), PoissonRegressor(), LogisticRegression(), LinearSVC()])
@pytest.mark.parametrize("weight", [2.0, 2, np.float32(2.0), np.array(2.0)], ids=repr)
def test_one_number_is_the_weight_of_every_row(model: Any, weight: Any, rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 2))
    y = (X[:, 0] + rng.standard_normal(40) > 0).astype(int)
    each = np.full(40, 2.0)
    right = model.fit(X, y, sample_weight=each).coef_.copy()
    np.testing.assert_array_equal(model.fit(X, y, sample_weight=weight).coef_, right)
    assert model.score(X, y, sample_weight=weight) == model.score(X, y, sample_weight=each)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.Table.from_pandas], ids=["pandas", "polars", "arrow"])
@pytest.mark.parametrize("model", [Ridge(), LogisticRegression()], ids=lambda m: type(m).__name__)
def test_weights_by_name_beside_an_array_of_targets(model: Any, make: Any, rng: np.random.Generator) -> None:
    frame = pd.DataFrame(rng.standard_normal((40, 2)), columns=["a", "b"])
    y = (frame["a"] + rng.standard_normal(40) > 0).to_numpy().astype(int)
    weight = rng.uniform(0.1, 2.0, 40)
    right = model.fit(frame, y, sample_weight=weight).coef_.copy()
    weighted = frame.assign(w=weight)
    given = make(weighted) if make is not pl.DataFrame else pl.from_pandas(weighted)
    np.testing.assert_array_equal(model.fit(given, y, sample_weight="w").coef_, right)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.n_features_in_ == 2
    np.testing.assert_array_equal(model.predict(given), model.predict(frame))
    if isinstance(model, Ridge):
        model.partial_fit(given, y, sample_weight="w").partial_fit(given, y, sample_weight="w")
        np.testing.assert_array_equal(model.predict(given), model.predict(frame))


def test_weights_by_name(rng: np.random.Generator) -> None:
    frame = pd.DataFrame(rng.standard_normal((40, 2)), columns=["a", "b"])
    frame["w"] = rng.uniform(0.0, 2.0, 40)
    frame["y"] = (frame["a"] + rng.standard_normal(40) > 0).astype(int)
    model = LogisticRegression().fit(frame, "y", sample_weight="w")
    right = model.score(frame[["a", "b"]], frame["y"], sample_weight=frame["w"])
    assert model.score(frame, "y", sample_weight="w") == right != model.score(frame, "y")
    chosen = LogisticRegressionCV(Cs=[1.0], cv=2).fit(frame, "y", sample_weight="w")
    assert chosen.score(frame, "y", sample_weight="w") == pytest.approx(right, abs=0.1)
