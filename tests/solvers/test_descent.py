"""Gradient descent and L-BFGS: the line search, the model of the curvature, and how fits end."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from offbeat.fit.solve import solve
from offbeat.solvers._common import descent
from offbeat.solvers._common.descent import BracketEnd, DescentState, LineSearch
from offbeat.solvers.gradient import lbfgs

BOTH = [solvers.LBFGS(), solvers.GradientDescent()]
each = pytest.mark.parametrize("solver", BOTH, ids=lambda s: s.name)


def fit(problem: Problem, X: Any, y: Any, solver: Any, **options: Any) -> Any:
    return solve(problem, X, y, solver=solver, engine=engines.Serial(), **options)


def correlated(rng: np.random.Generator, n: int = 500, k: int = 8) -> Any:
    X = rng.standard_normal((n, k)) + rng.standard_normal((n, 1))
    return X, (X @ rng.standard_normal(k) + rng.standard_normal(n) > 0.0).astype(float)


def test_a_step_that_was_too_long_is_cut_where_a_parabola_would_end() -> None:
    slope = lambda t: 4.0 * (t - 0.3)  # noqa: E731
    search = LineSearch(np.ones(1), slope(0.0), BracketEnd(0.0, slope(0.0))).narrowed(slope(1.0), "long")
    assert_allclose(search.length, 0.3)


def test_a_step_that_was_too_short_grows_where_a_parabola_would_end() -> None:
    slope = lambda t: 0.5 * (t - 4.0)  # noqa: E731
    search = LineSearch(np.ones(1), slope(0.0), BracketEnd(0.0, slope(0.0))).narrowed(slope(1.0), "short")
    assert_allclose(search.length, 4.0)
    assert_allclose(search.narrowed(slope(4.0), "long").length, 3.7)  # a tenth short of an end that was no good


@pytest.mark.parametrize("slope", [math.nan, math.inf, 1e300, -1.0])
def test_the_next_length_lies_strictly_inside_whatever_the_slope(slope: float) -> None:
    search = LineSearch(np.ones(1), -1.0, BracketEnd(0.0, -1.0))
    for _ in range(descent.MAX_LINE_SEARCH_STEPS):
        before = search.length
        search = search.narrowed(slope, "long")
        assert 0.0 < search.length < before


def test_two_loops_are_the_inverse_bfgs_matrix(rng: np.random.Generator) -> None:
    k = 5
    root = rng.standard_normal((k, k))
    hessian = root @ root.T + np.eye(k)
    pairs = tuple((s, hessian @ s) for s in rng.standard_normal((3, k)))
    bend = np.linspace(0.0, 1.0, k)
    inverse = np.diag(1.0 / (2.0 + bend))
    for s, y in pairs:  # Nocedal & Wright 2006, eq. 7.16
        rho = 1.0 / (s @ y)
        left = np.eye(k) - rho * np.outer(s, y)
        inverse = left @ inverse @ left.T + rho * np.outer(s, s)
    state = DescentState(None, None, None, bend, level=2.0, pairs=pairs)  # type: ignore[arg-type]
    gradient = rng.standard_normal(k)
    assert_allclose(lbfgs._direction(state, gradient), -inverse @ gradient, rtol=1e-12)


def test_pairs_without_curvature_are_not_remembered() -> None:
    state = DescentState(None, None, None, np.zeros(2), level=1.0)  # type: ignore[arg-type]
    s = np.array([1.0, 0.0])
    method = solvers.LBFGS(memory=2)
    assert method._add_pair(state, s, np.array([0.0, 1.0])).pairs == ()
    assert method._add_pair(state, s, -s).pairs == ()
    for _ in range(3):
        state = method._add_pair(state, s, 3.0 * s)
    assert len(state.pairs) == 2
    assert_allclose(state.level, 3.0)


@each
def test_columns_on_any_scale_and_tight_tolerances(solver: Any, rng: np.random.Generator) -> None:
    X, y = correlated(rng)
    scales = np.geomspace(1e-8, 1e8, X.shape[1])
    problem = Problem(losses.Logistic(), penalties.L2(1e-2))
    for tol, passes in ((1e-6, 40), (1e-9, 60), (1e-13, 90)):
        assert fit(problem, X, y, solver, tol=tol).passes <= passes
        assert fit(problem, X * scales, y, solver, tol=tol).passes <= passes


def test_lbfgs_needs_fewer_passes_than_gradient_descent(rng: np.random.Generator) -> None:
    X = np.cumsum(rng.standard_normal((400, 20)), axis=1)
    y = X[:, -1] + rng.standard_normal(400)
    problem = Problem(losses.Squared(), penalties.L2(1e-4))
    few, many = (fit(problem, X, y, solver, tol=1e-6, max_iter=5000).passes for solver in BOTH)
    assert few < 0.5 * many


@each
def test_float32_reaches_what_float32_can(solver: Any, rng: np.random.Generator) -> None:
    X, y = correlated(rng)
    for loss in (losses.Logistic(), losses.Squared(), losses.Multinomial(2)):
        solution = fit(Problem(loss, penalties.L2(1e-2)), X.astype(np.float32), y, solver, tol=2e-5)
        assert solution.status == "converged"
        assert solution.passes <= 60


@each
def test_poisson_overshoots_and_comes_back(solver: Any, rng: np.random.Generator) -> None:
    X = 3.0 * rng.standard_normal((300, 4))
    y = rng.poisson(np.exp(np.clip(X @ np.array([1.0, -0.5, 0.3, 0.2]), None, 6.0))).astype(float)
    solution = fit(Problem(losses.Poisson(), penalties.L2(1e-3)), X, y, solver, start=(np.full(4, 2.0), 5.0))
    assert any("too long" in row.note for row in solution.trace)
    assert solution.status == "converged"


def test_descent_that_remembers_one_objective_never_rises(rng: np.random.Generator) -> None:
    X, y = correlated(rng)
    solution = fit(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solvers.GradientDescent(recent=1))
    primal = np.array([row.primal for row in solution.trace if row.kind == "update" and math.isfinite(row.primal)])
    assert np.all(np.diff(primal) <= descent.RELATIVE_ROUNDING)


@each
def test_a_tolerance_of_zero_ends_when_rounding_does(solver: Any, rng: np.random.Generator) -> None:
    X, y = correlated(rng)
    with pytest.warns(ConvergenceWarning):
        solution = fit(Problem(losses.Logistic(), penalties.Zero()), X, y, solver, tol=0.0)
    assert solution.status == "stalled"
    assert solution.certificate.relative_gap < 1e-13


@each
def test_separated_classes_are_noticed(solver: Any) -> None:
    X = np.linspace(-1.0, 1.0, 40)[:, None]
    with pytest.warns(ConvergenceWarning, match="add a penalty"):
        solution = fit(Problem(losses.Logistic(), penalties.Zero()), X, (X[:, 0] > 0.0).astype(float), solver)
    assert solution.status == "separable"


@each
def test_nan_in_the_data_names_the_column(solver: Any, rng: np.random.Generator) -> None:
    X, y = correlated(rng)
    X[7, 3] = np.nan
    with pytest.raises(DataError, match="3"):
        fit(Problem(losses.Logistic(), penalties.L2(1e-2)), X, y, solver)


@each
def test_constant_columns_and_targets(solver: Any) -> None:
    X = np.column_stack([np.ones(30), np.arange(30.0)])
    solution = fit(Problem(losses.Squared(), penalties.L2(1e-2)), X, np.full(30, 2.0), solver)
    assert solution.status == "converged"
    assert_allclose(solution.coef, 0.0, atol=1e-12)
    assert_allclose(solution.intercept, 2.0)


def test_hyper_parameters_are_checked() -> None:
    with pytest.raises(ProblemError, match="memory"):
        solvers.LBFGS(memory=0)
    with pytest.raises(ProblemError, match="recent"):
        solvers.GradientDescent(recent=0)
    for solver in BOTH:
        with pytest.raises(ProblemError, match="ProximalGradient"):
            solver.check(Problem(losses.Squared(), penalties.L1(1.0)))
        assert len(pickle.dumps(solver)) < 120
