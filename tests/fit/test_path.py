"""Paths: one pass for a squared loss, and the same solutions as separate fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import lasso_path

from offbeat import Problem, losses, penalties, solve, solve_path
from offbeat.data.arrays.in_memory import DenseSource
from offbeat.errors import DataError, ProblemError


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns, a few of which matter."""
    X = rng.standard_normal((400, 6)) + rng.standard_normal((400, 1)) + 2.0
    return X, X[:, :2] @ [1.0, -2.0] + rng.standard_normal(400) + 5.0


@pytest.mark.parametrize("penalty", [penalties.L1(), penalties.ElasticNet(l1_ratio=0.3), penalties.L2()])
@pytest.mark.parametrize("standardize", [False, True])
def test_a_path_holds_the_solutions_of_separate_fits(penalty: Any, standardize: bool, data) -> None:
    X, y = data
    problem = Problem(losses.Squared(), penalty)
    path = solve_path(problem, X, y, n_alphas=8, tol=1e-11, standardize=standardize)
    for alpha, coef, intercept, certificate in zip(
        path.alphas, path.coefs, path.intercepts, path.certificates, strict=True
    ):
        single = Problem(losses.Squared(), penalty._replace(alpha=alpha))
        alone = solve(single, X, y, tol=1e-11, standardize=standardize)
        np.testing.assert_allclose(coef, alone.coef, atol=1e-5)
        assert intercept == pytest.approx(alone.intercept, abs=1e-5)
        assert certificate.satisfied


def test_the_largest_strength_is_the_least_without_coefficients(data) -> None:
    for loss in (losses.Squared(), losses.Huber()):
        path = solve_path(Problem(loss, penalties.L1()), *data, n_alphas=30, eps=0.1, tol=1e-10)
        assert not path.coefs[0].any()
        assert path.coefs[1].any()


def test_a_lasso_path_reads_the_data_once(data, monkeypatch) -> None:
    X, y = data
    rows = 0
    read = DenseSource.read

    def counted(self: Any, start: int, stop: int, out: Any = None) -> Any:
        nonlocal rows
        rows += stop - start if stop - start > 1 else 0
        return read(self, start, stop, out)

    monkeypatch.setattr(DenseSource, "read", counted)
    path = solve_path(Problem(losses.Squared(), penalties.L1()), X, y, n_alphas=50)
    assert path.passes == 1.0
    assert rows <= 2 * len(X)  # once for the moments of so small a sample, which is all of it, once for the Gram matrix


def test_the_lasso_path_of_scikit_learn(data) -> None:
    X, y = data
    X, y = X - X.mean(axis=0), y - y.mean()
    path = solve_path(Problem(losses.Squared(), penalties.L1()), X, y, fit_intercept=False, tol=1e-12)
    _, coefs, _ = lasso_path(X, y, alphas=path.alphas, tol=1e-12)
    np.testing.assert_allclose(path.coefs, coefs.T, atol=1e-6)


def test_other_losses_start_from_the_solution_before(data) -> None:
    X, y = data
    problem = Problem(losses.Logistic(), penalties.L1())
    target = (y > y.mean()).astype(float)
    path = solve_path(problem, X, target, n_alphas=10, tol=1e-8)
    separate = sum(
        solve(Problem(losses.Logistic(), penalties.L1(alpha)), X, target, tol=1e-8).passes for alpha in path.alphas
    )
    assert path.passes < separate
    assert all(certificate.satisfied for certificate in path.certificates)


def test_strengths_may_be_given(data) -> None:
    path = solve_path(Problem(losses.Squared(), penalties.L2()), *data, alphas=[0.1, 10.0, 1.0])
    np.testing.assert_array_equal(path.alphas, [10.0, 1.0, 0.1])


def test_what_has_no_path_is_refused(data) -> None:
    with pytest.raises(ProblemError, match="L1, L2 or ElasticNet"):
        solve_path(Problem(losses.Squared(), penalties.Box()), *data)
    with pytest.raises(ProblemError, match="multinomial"):
        solve_path(Problem(losses.Multinomial(3), penalties.L1()), *data)
    with pytest.raises(DataError, match="NaN"):
        solve_path(Problem(losses.Squared(), penalties.L1()), np.full((5, 2), np.nan), np.ones(5))
