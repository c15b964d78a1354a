"""`offbeat.Settings`: one object for how a fit is run, the same from `solve`, from paths and from estimators."""

from __future__ import annotations

import dataclasses
import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import offbeat
from offbeat import Problem, Settings, engines, losses, penalties, solvers, topology
from offbeat.compat import dask_ml
from offbeat.datasets import make_regression
from offbeat.errors import ProblemError
from offbeat.linear_model import PoissonRegressor, Ridge

X, Y = make_regression(200, 3, seed=0)
RIDGE = Problem(losses.Squared(), penalties.L2(1.0 / 200))
ASYNCHRONOUS = Settings(staleness=math.inf, topology=topology.Hub(batch=1), stealing=None, concurrency=2.0)


def cluster() -> engines.Simulated:
    return engines.Simulated(3, straggler={0: 4.0}, seed=1)


def times(trace: Any) -> list[float]:
    """Virtual times of the updates: those of rounds are other ones than those of an asynchronous fit."""
    return [row.time for row in trace]


def test_the_object_does_what_its_single_values_do() -> None:
    values = {field.name: getattr(ASYNCHRONOUS, field.name) for field in dataclasses.fields(Settings)}
    common = {"solver": solvers.ADMM(), "tol": 1e-6}
    one = offbeat.solve(RIDGE, X, Y, engine=cluster(), settings=ASYNCHRONOUS, **common)  # type: ignore[arg-type]
    other = offbeat.solve(RIDGE, X, Y, engine=cluster(), **values, **common)  # type: ignore[arg-type]
    assert np.array_equal(one.coef, other.coef) and one.passes == other.passes
    assert times(one.trace) == times(other.trace)


@pytest.mark.parametrize("estimator", [Ridge, dask_ml.LinearRegression])
def test_estimators_run_fits_so(estimator: Any) -> None:
    model = estimator(solver=solvers.ADMM(), engine=cluster())
    rounds, default = (times(model.set_params(settings=given).fit(X, Y).trace_) for given in (Settings(), None))
    model.set_params(settings=ASYNCHRONOUS).fit(X, Y)
    assert times(model.trace_) != rounds == default and model.certificate_.satisfied
    assert clone(model).settings == ASYNCHRONOUS == pickle.loads(pickle.dumps(model)).settings


def test_estimators_have_no_parameter_that_is_a_setting() -> None:
    names = {field.name for field in dataclasses.fields(Settings)}
    for name in offbeat.linear_model.__all__:
        assert names.isdisjoint(inspect.signature(getattr(offbeat.linear_model, name)).parameters), name


def test_a_path_is_made_of_such_fits() -> None:
    problem = Problem(losses.Poisson(), penalties.L2())
    counts = np.random.default_rng(0).poisson(1.0, 200).astype(float)
    assert offbeat.solve_path(problem, X, counts, alphas=[0.1], settings=Settings()).certificates[0].satisfied
    with pytest.raises(ProblemError, match="concurrency is 0"):
        offbeat.solve_path(problem, X, counts, alphas=[0.1], settings=Settings(concurrency=0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settings": Settings(), "staleness": 1.0}, "give settings only"),
        ({"settings": Settings(), "topology": topology.Tree()}, "give settings only"),
        ({"settings": {"staleness": 1.0}}, "give an object of offbeat.Settings"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        offbeat.solve(RIDGE, X, Y, **options)


def test_estimators_refuse_what_is_no_settings() -> None:
    with pytest.raises(ProblemError, match="settings is 0"):
        PoissonRegressor(settings=0).fit(X, np.ones(200))
