"""Columns without penalty: the largest strength of a path is judged where they are fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from conformance.oracle import losses_and_slopes
from offbeat import Problem, losses, penalties, solve_path
from offbeat.errors import ProblemError
from offbeat.fit.paths import lambda_max

Floats = NDArray[np.float64]
N, K = 300, 6
WEIGHTS = np.array([0.0, 1.0, 1.0, 2.0, 1.0, 0.0])
LOSSES = [losses.Squared(), losses.Logistic(), losses.Poisson(), losses.Huber(), losses.SquaredHinge()]


def data(loss: Any, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A target that column 0 drives, which column 1 follows."""
    X = rng.standard_normal((N, K)) + 0.5
    X[:, 1] += X[:, 0]
    y = 2.0 * X[:, 0] + 0.5 * X[:, 2] + rng.standard_normal(N)
    if loss.classifier:
        return X, (y + 4.0 * rng.standard_normal(N) > 1.0).astype(float)
    return X, rng.poisson(np.exp(0.2 * y)).astype(float) if loss.name == "poisson" else y


def slopes(loss: Any, X: Floats, y: Floats, *, intercept: bool, v: Floats, offset: Floats) -> Floats:
    """Slopes along all columns where those without penalty are fitted: gradient descent with a secant Hessian."""
    A = np.column_stack([X[:, WEIGHTS == 0.0], np.ones(N)])[:, : None if intercept else -1]
    beta = np.zeros(A.shape[1])
    for _ in range(200):
        z = A @ beta + offset
        theta = losses_and_slopes(loss, z[:, None], y)[1][:, 0]
        near = losses_and_slopes(loss, z[:, None] + 1e-6, y)[1][:, 0]
        bend = np.maximum((near - theta) / 1e-6, 1e-3)
        step = np.linalg.solve(A.T @ (A * (v * bend)[:, None]), A.T @ (v * theta))
        beta -= step / max(1.0, float(np.abs(step).max()))
    return X.T @ (v * losses_and_slopes(loss, (A @ beta + offset)[:, None], y)[1][:, 0]) / N


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_the_slope_is_that_where_they_are_fitted(loss: Any, intercept: bool, rng: np.random.Generator) -> None:
    X, y = data(loss, rng)
    v = rng.uniform(0.5, 1.5, N)
    offset = 0.3 * rng.standard_normal(N)
    right = slopes(loss, X, y, intercept=intercept, v=v, offset=offset)
    held = WEIGHTS > 0.0
    strongest = np.max(np.abs(right[held]) / WEIGHTS[held])
    given = {"sample_weight": v, "offset": offset, "fit_intercept": intercept}
    for penalty, share in ((penalties.L1(3.0, weights=WEIGHTS), 1.0), (penalties.ElasticNet(3.0, 0.4, WEIGHTS), 0.4)):
        assert lambda_max(Problem(loss, penalty), X, y, **given) == pytest.approx(strongest / share, rel=1e-5)
    assert lambda_max(Problem(loss, penalties.L1(weights=WEIGHTS)), sparse.csr_array(X), y, **given) == pytest.approx(
        strongest, rel=1e-5
    )


@pytest.mark.parametrize("loss", [losses.Squared(), losses.Logistic()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_path_begins_where_only_they_have_coefficients(loss: Any, dtype: Any, rng: np.random.Generator) -> None:
    X, y = data(loss, rng)
    problem = Problem(loss, penalties.L1(weights=WEIGHTS))
    path = solve_path(problem, X.astype(dtype), y, n_alphas=20, eps=0.5, tol=1e-5)
    right = slopes(loss, X, y, intercept=True, v=np.ones(N), offset=np.zeros(N))
    held = WEIGHTS > 0.0
    assert path.alphas[0] == pytest.approx(np.max(np.abs(right[held]) / WEIGHTS[held]), rel=1e-4)
    np.testing.assert_allclose(path.coefs[0, held], 0.0, atol=1e-6)
    assert np.all(path.coefs[0, ~held] != 0.0)
    assert np.any(np.abs(path.coefs[2, held]) > 1e-3)


def test_standardised_columns(rng: np.random.Generator) -> None:
    X, y = data(losses.Squared(), rng)
    scale = X.std(axis=0)
    problem = Problem(losses.Squared(), penalties.L1(weights=WEIGHTS))
    right = slopes(losses.Squared(), X, y, intercept=True, v=np.ones(N), offset=np.zeros(N)) / scale
    held = WEIGHTS > 0.0
    found = lambda_max(problem, X * 10.0, y, standardize=True)
    assert found == pytest.approx(np.max(np.abs(right[held]) / WEIGHTS[held]), rel=1e-6)


def test_many_columns(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 300))
    y = 5.0 * X[:, 0] + X[:, 1] + rng.standard_normal(50)
    weights = np.r_[0.0, np.ones(299)]
    path = solve_path(Problem(losses.Squared(), penalties.L1(weights=weights)), X, y, n_alphas=5, eps=0.5)
    A = np.column_stack([X[:, 0], np.ones(50)])
    residual = y - A @ np.linalg.lstsq(A, y)[0]
    assert path.alphas[0] == pytest.approx(np.abs(X[:, 1:].T @ residual).max() / 50, rel=1e-6)
    assert not path.coefs[0, 1:].any()
    assert path.coefs[1, 1:].any()
    assert all(certificate.satisfied for certificate in path.certificates)


def test_losses_with_kinks_have_no_such_slope(rng: np.random.Generator) -> None:
    X, y = data(losses.Logistic(), rng)
    problem = Problem(losses.Hinge(), penalties.L1())
    with pytest.raises(ProblemError, match="lambda_max cannot be told from the slopes of the hinge loss"):
        lambda_max(problem, X, y)
    with pytest.raises(ProblemError, match="give alphas"):
        solve_path(problem, X, y)
    assert solve_path(problem, X, y, alphas=[0.1], tol=1e-3).coefs.shape == (1, K)
