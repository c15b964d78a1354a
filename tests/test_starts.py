"""Starts: where a fit begins must not change what it minimises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from conformance.oracle import Data, objective, optimum
from offbeat import Problem, losses, penalties, solve
from offbeat.errors import ProblemError
from offbeat.linear_model import Lasso, LinearSVC, LogisticRegression, PoissonRegressor

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
LOSSES = [losses.Squared(), losses.Logistic(), losses.Poisson()]


@pytest.fixture
def counts(rng: np.random.Generator) -> Pair:
    """Columns far from zero, so that an intercept would matter; targets that suit every loss once cut to {0, 1}."""
    X = rng.standard_normal((60, 3)) + 2.0
    return X, rng.poisson(1.0, 60).astype(float)


@pytest.mark.parametrize("penalty", [penalties.L2(0.1), penalties.L1(0.05)], ids=["l2", "l1"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_without_an_intercept_that_of_a_start_does_not_count(loss: Any, penalty: Any, counts: Pair) -> None:
    X, y = counts[0], np.minimum(counts[1], 1.0)
    problem, data = Problem(loss, penalty), Data(counts[0], np.minimum(counts[1], 1.0))
    best = optimum(problem, data, fit_intercept=False)
    for given in (X, sparse.csr_array(X)):
        solution = solve(problem, given, y, fit_intercept=False, start=(np.zeros(3), 5.0), tol=1e-8)
        assert solution.intercept == 0.0
        assert solution.status == "converged"
        reached = objective(problem, data, solution.coef, 0.0)
        assert reached - best <= solution.certificate.gap + 1e-9
        assert solution.certificate.primal == pytest.approx(reached, rel=1e-12)


def test_without_intercepts_those_of_a_start_of_classes_do_not_count(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((60, 2)) + 1.0, rng.integers(0, 3, 60).astype(float)
    problem = Problem(losses.Multinomial(3), penalties.L2(0.1))
    solution = solve(problem, X, y, fit_intercept=False, start=(np.zeros((2, 3)), [9.0, 0.0, -9.0]), tol=1e-8)
    np.testing.assert_array_equal(solution.intercept, 0.0)
    assert solution.certificate.primal == pytest.approx(optimum(problem, Data(X, y), fit_intercept=False), rel=1e-7)


@pytest.mark.parametrize(
    "model", [LogisticRegression(), Lasso(0.05), PoissonRegressor(), LinearSVC()], ids=lambda m: type(m).__name__
)
def test_a_warm_start_may_drop_the_intercept(model: Any, counts: Pair) -> None:
    X, y = counts[0], np.minimum(counts[1], 1.0)
    model.set_params(warm_start=True, tol=1e-8).fit(X, y)
    assert np.all(model.intercept_ != 0.0)
    model.set_params(fit_intercept=False).fit(X, y)
    cold = type(model)(**{**model.get_params(), "warm_start": False}).fit(X, y)
    assert np.all(model.intercept_ == 0.0)
    np.testing.assert_allclose(model.coef_, cold.coef_, atol=1e-3)
    assert model.certificate_.primal == pytest.approx(cold.certificate_.primal, rel=1e-7)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ((np.zeros(3), [1.0, 2.0]), "3 coefficients and 2 intercepts; the data needs 3 and 1"),
        ((np.zeros(2), 0.0), "2 coefficients and 1 intercepts"),
        ((np.full(3, np.nan), 0.0), "not finite"),
        ((np.zeros(3), np.inf), "not finite"),
    ],
)
def test_a_start_that_cannot_be_is_refused(start: Any, message: str, counts: Pair) -> None:
    with pytest.raises(ProblemError, match=message):
        solve(Problem(losses.Squared(), penalties.L2(0.1)), *counts, start=start)
