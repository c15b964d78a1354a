"""Accelerated proximal gradient: bounds, sparsity, speed, and a step that adapts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.solve import solve


class Spy:
    """Keeps the points that a solver asks about."""

    max_staleness = 0.0

    def __init__(self, inner: Any) -> None:
        self.inner, self.name = inner, inner.name
        self.points: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def local_step(self, problem: Any, shard: Any, local: Any, query: Any) -> Any:
        self.points.append(query)
        return self.inner.local_step(problem, shard, local, query)


def fit(problem: Problem, X: Any, y: Any, solver: Any, **options: Any) -> Any:
    return solve(problem, X, y, solver=solver, engine=engines.Serial(), **options)


def sparse_truth(rng: np.random.Generator, n: int = 1000, k: int = 30) -> Any:
    X = rng.standard_normal((n, k)) + 0.5 * rng.standard_normal((n, 1))
    z = X[:, ::5] @ rng.standard_normal(len(range(0, k, 5)))
    return X, (z + rng.standard_normal(n) > 0.0).astype(float)


@pytest.mark.parametrize("box", [penalties.Box(-0.05, 0.1), penalties.Box(0.2, 0.4), penalties.NonNegative(1e-3)])
def test_no_point_lies_outside_the_bounds(box: Any, rng: np.random.Generator) -> None:
    X, y = sparse_truth(rng)
    spy = Spy(solvers.ProximalGradient())
    solution = fit(Problem(losses.Logistic(), box), X, y, spy, tol=1e-6)
    assert solution.status == "converged"
    coef = np.array([point.coef for point in spy.points])
    assert np.all(coef >= box.lower - 1e-14)
    assert np.all(coef <= box.upper + 1e-14)


def test_zeros_are_exact_and_those_of_newton(rng: np.random.Generator) -> None:
    X, y = sparse_truth(rng)
    problem = Problem(losses.Logistic(), penalties.L1(0.01))
    first, second = (fit(problem, X, y, s, tol=1e-9) for s in (solvers.ProximalGradient(), solvers.Newton()))
    assert_array_equal(first.coef == 0.0, second.coef == 0.0)
    assert 0 < np.count_nonzero(first.coef) < X.shape[1]
    assert_allclose(first.coef, second.coef, atol=1e-5)


def test_momentum_and_restarts_pay(rng: np.random.Generator) -> None:
    """Plain steps would need of the order of the condition number, some 10,000."""
    X = np.cumsum(rng.standard_normal((500, 15)), axis=1)
    y = X[:, -1] + rng.standard_normal(500)
    problem = Problem(losses.Squared(), penalties.L1(1e-3))
    assert fit(problem, X, y, solvers.ProximalGradient(), tol=1e-6).passes <= 600
    X, labels = sparse_truth(rng)
    logistic = Problem(losses.Logistic(), penalties.L1(1e-3))
    assert fit(logistic, X, labels, solvers.ProximalGradient(), tol=1e-6).passes <= 120


def test_the_step_shrinks_where_the_loss_is_steep(rng: np.random.Generator) -> None:
    X = 2.0 * rng.standard_normal((300, 4))
    y = rng.poisson(np.exp(np.clip(X @ np.array([1.0, -0.5, 0.3, 0.2]), None, 6.0))).astype(float)
    problem = Problem(losses.Poisson(), penalties.L1(1e-3))
    solution = fit(problem, X, y, solvers.ProximalGradient(), tol=1e-6)
    assert any("shortened" in row.note for row in solution.trace)
    assert solution.status == "converged"


def test_float32_reaches_what_float32_can(rng: np.random.Generator) -> None:
    X, y = sparse_truth(rng)
    for loss in (losses.Logistic(), losses.Multinomial(2)):
        problem = Problem(loss, penalties.L1(1e-2))
        solution = fit(problem, X.astype(np.float32), y, solvers.ProximalGradient(), tol=2e-5)
        assert solution.status == "converged"


def test_a_tolerance_of_zero_ends_near_rounding(rng: np.random.Generator) -> None:
    X, y = sparse_truth(rng, 200, 5)
    problem = Problem(losses.Logistic(), penalties.Zero())
    with pytest.warns(ConvergenceWarning):
        solution = fit(problem, X, y, solvers.ProximalGradient(), tol=0.0)
    assert solution.status == "stalled"
    assert solution.certificate.relative_gap < 1e-13


def test_separated_classes_are_noticed() -> None:
    X = np.linspace(-1.0, 1.0, 40)[:, None]
    problem = Problem(losses.Logistic(), penalties.NonNegative())
    with pytest.warns(ConvergenceWarning, match="add a penalty"):
        solution = fit(problem, X, (X[:, 0] > 0.0).astype(float), solvers.ProximalGradient(), max_iter=20_000)
    assert solution.status == "separable"


def test_growth_is_checked() -> None:
    with pytest.raises(ProblemError, match="growth"):
        solvers.ProximalGradient(growth=0.9)
