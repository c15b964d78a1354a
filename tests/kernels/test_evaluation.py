"""One pass over rows: dense and sparse rows give the same sums, which are those of the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from offbeat import losses
from offbeat.data.shards import Targets
from offbeat.data.source import CSR
from offbeat.kernels.arguments import CentredPoint, EvaluationSums, LinearPoint
from offbeat.kernels.evaluation import dense_evaluate, sparse_evaluate

N, K = 300, 5


def sums(repair: bool) -> EvaluationSums:
    """Return sums of zeros."""
    return EvaluationSums(np.zeros(4), np.zeros(K), np.zeros(K if repair else 0))


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize("loss", [losses.Logistic(), losses.Huber()], ids=lambda loss: loss.name)
def test_dense_and_sparse_rows_give_the_same_sums(loss: Any, repair: bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, K))
    block = CSR(np.arange(0, N * K + 1, K), np.tile(np.arange(K), N), X.ravel())
    target = Targets((rng.random(N) < 0.5).astype(float), rng.uniform(0.5, 2.0, N), rng.standard_normal(N))
    ranges, w, b = np.array([[0, 100], [150, N]]), rng.standard_normal(K), 0.7
    visited = np.r_[0:100, 150:N]
    dense, sparse = sums(repair), sums(repair)
    buffer, hessian, bends = np.empty((len(visited), K + 1)), np.zeros((K + 1, K + 1)), np.zeros((2, N))
    point = CentredPoint(w, np.zeros(K), b, np.ones(K))
    dense_evaluate(loss, X, target, point, ranges, buffer, bends[0], dense)
    sparse_evaluate(loss, block, target, LinearPoint(w, b), ranges, hessian, bends[1], sparse)
    for one, other in zip(dense, sparse, strict=True):
        assert_allclose(other, one, rtol=1e-10, atol=1e-10)
    z, y, v = X @ w + b + target.offset, target.y, target.weight
    slopes = np.array([v[i] * loss.derivative(z[i], y[i]) for i in visited])
    curvatures = np.array([v[i] * loss.second_derivative(z[i], y[i]) for i in visited])
    assert_allclose(dense.head[1], slopes.sum())
    assert dense.head[3] == len(visited)
    assert_allclose(dense.gradient, slopes @ X[visited])
    assert_allclose(bends[:, visited], [curvatures, curvatures])
    assert not np.any(bends[:, 100:150])
    A = np.column_stack([X[visited], np.ones(len(visited))])
    assert_allclose(hessian, A.T @ (curvatures[:, None] * A), atol=1e-10)
    assert_allclose(buffer.T @ buffer, hessian, atol=1e-10)
