"""Columns that are the same in every row of a sample: their few other rows tell how large they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat.data.load import as_dataset
from offbeat.fit import choice
from offbeat.fit.inspection import Options, inspect
from offbeat.linear_model import LinearRegression, PoissonRegressor

N, SAMPLE = 5000, 64
UNIT = np.array([1.0, 1.0, 3e6])


@pytest.fixture
def rows(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A plain column, a flag in two rows, and an amount in five, none of which is in the sample."""
    monkeypatch.setattr("offbeat.fit.inspection.SAMPLE_ROWS", SAMPLE)
    X = np.zeros((N, 3))
    X[:, 0] = rng.standard_normal(N).astype(np.float32)  # the same in single precision
    X[[700, 4100], 1] = 1.0
    X[[1000, 2000, 3000, 3700, 4500], 2] = UNIT[2]
    return X


containers = pytest.mark.parametrize(
    "container", [np.asarray, sp.csr_array, lambda X: X.astype(np.float32)], ids=["dense", "csr", "float32"]
)


@containers
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_least_squares(container: Any, fit_intercept: bool, rows, rng) -> None:
    X = rows
    y = X @ [1.0, 8.0, 1e-6] + rng.standard_normal(N)
    A = np.column_stack([X / UNIT, np.ones(N)])[:, : 3 + fit_intercept]
    model = LinearRegression(fit_intercept=fit_intercept, tol=1e-9).fit(container(X), y)
    np.testing.assert_allclose(model.coef_ * UNIT, np.linalg.lstsq(A, y, rcond=None)[0][:3], rtol=1e-6)


@containers
@pytest.mark.parametrize("solver", ["auto", solvers.LBFGS()], ids=["auto", "lbfgs"])
def test_counts_without_penalty(container: Any, solver: Any, rows, rng) -> None:
    X, A = rows, np.column_stack([rows / UNIT, np.ones(N)])
    y = rng.poisson(np.exp(A @ [0.3, 1.6, 0.6, 0.0])).astype(float)
    w = np.zeros(4)
    for _ in range(50):
        mean = np.exp(A @ w)
        w += np.linalg.solve(A.T @ (A * mean[:, None]), A.T @ (y - mean))
    found = solve(Problem(losses.Poisson(), penalties.Zero()), container(X), y, solver=solver)
    assert found.status == "converged"
    np.testing.assert_allclose(found.coef * UNIT, w[:3], rtol=1e-3)
    if solver == "auto":
        model = PoissonRegressor(alpha=0.0).fit(container(X), y)
        np.testing.assert_allclose(model.coef_ * UNIT, w[:3], rtol=1e-2)


@containers
def test_scales_are_as_if_the_sample_had_one_of_the_rows(container: Any, rows) -> None:
    X = np.column_stack([rows, np.full(N, 5.0), np.zeros(N)])
    dataset = as_dataset(container(X), X[:, 0])
    engine = choice.engine(dataset, "auto")
    info = inspect(Problem(losses.Squared(), penalties.Zero()), dataset, dataset.shards(2), engine, Options())
    largest = np.abs(X - X.mean(axis=0)).max(axis=0)
    expected = np.maximum(X.std(axis=0), largest / np.sqrt(SAMPLE))
    np.testing.assert_allclose(info.scale[1:3], expected[1:3], rtol=1e-2)  # the largest is a bound
    np.testing.assert_allclose(info.center[1:3], X.mean(axis=0)[1:3], rtol=1e-9)
    np.testing.assert_array_equal(info.scale[3:], [5.0, 1.0])
    assert np.all(info.rarity <= SAMPLE)
