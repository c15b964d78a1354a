"""Sparse rows that store a column more than once are the rows that they add up to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from offbeat import Problem, losses, penalties, solve, solvers

N, K = 200, 4


def repeated(X: np.ndarray, rng: np.random.Generator) -> sp.csr_array:
    """Return the same matrix with each entry in three parts, one of them of the other sign, out of order."""
    whole = sp.coo_array(X)
    data = np.concatenate([2.0 * whole.data, -1.5 * whole.data, 0.5 * whole.data])
    rows, columns = (np.tile(each, 3) for each in whole.coords)
    order = rng.permutation(len(rows))
    order = order[np.argsort(rows[order], kind="stable")]
    starts = np.append(0, np.cumsum(np.bincount(rows, minlength=len(X))))
    return sp.csr_array((data[order], columns[order], starts), shape=X.shape)


@pytest.mark.parametrize(
    ("loss", "solver"),
    [(losses.Squared(), "auto"), (losses.Logistic(), solvers.LBFGS()), (losses.Hinge(), solvers.ADMM())],
    ids=["squared", "logistic", "hinge by ADMM"],
)
@pytest.mark.parametrize("standardize", [False, True])
def test_models_are_those_of_rows_without_repeats(loss: Any, solver: Any, standardize: bool, rng) -> None:
    X = rng.standard_normal((N, K)) * (rng.random((N, K)) < 0.7)
    X[:, 0] += 2.0
    z = X @ rng.standard_normal(K) + rng.standard_normal(N)
    y = z if loss.quadratic else (z > 1.0).astype(float)
    problem, matrix = Problem(loss, penalties.L2(0.05)), repeated(X, rng)
    np.testing.assert_allclose(matrix.toarray(), X, atol=1e-14)
    found, expected = (
        solve(problem, A, y, solver=solver, standardize=standardize, tol=1e-7, max_iter=3000) for A in (matrix, X)
    )
    assert found.status == "converged"
    np.testing.assert_allclose(found.coef, expected.coef, atol=2e-3)
