"""Dual coordinate ascent: the point is what the dual variables stand for, for rows about zero and about a centre."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from offbeat import losses
from offbeat.data.shards import Targets
from offbeat.data.source import CSR
from offbeat.kernels import row_sums, sdca
from offbeat.kernels.arguments import DualScaling

N, K = 40, 6
NONE = np.empty(0)


def rows(rng: np.random.Generator) -> tuple[Any, CSR]:
    """Return rows as an array, and as a CSR block in which every entry is stored in two parts."""
    X = np.where(rng.random((N, K)) < 0.5, rng.standard_normal((N, K)), 0.0)
    indices = [np.repeat(np.flatnonzero(x), 2) for x in X]
    data = [np.stack([0.25 * x[x != 0.0], 0.75 * x[x != 0.0]], axis=1).ravel() for x in X]
    indptr = np.cumsum([0, *(len(part) for part in indices)])
    return X, CSR(indptr, np.concatenate(indices), np.concatenate(data))


@pytest.mark.parametrize("center", [NONE, np.linspace(-1.0, 2.0, K)], ids=["about zero", "about a centre"])
@pytest.mark.parametrize("loss", [losses.Hinge(), losses.Logistic()], ids=lambda loss: loss.name)
def test_dense_and_sparse_rows_move_the_point_by_their_dual_variables(loss: Any, center: Any) -> None:
    rng = np.random.default_rng(3)
    X, block = rows(rng)
    target = Targets((rng.random(N) < 0.5).astype(float), rng.uniform(0.0, 2.0, N), rng.standard_normal(N))
    shrink, sigma = rng.uniform(0.5, 2.0, K + 1), 0.05
    start, order = rng.standard_normal(K + 1), np.tile(rng.permutation(N), 3)
    norms, again = np.empty(N), np.empty(N)
    row_sums.dense_norms(X, shrink, center, norms)
    row_sums.sparse_norms(block, shrink, center, np.zeros(K), again)
    A = X - center if center.size else X
    assert_allclose(norms, (A * A) @ shrink[:K])
    assert_allclose(again, norms)
    ends = []
    for ascent, data in ((sdca.dense_ascent, X), (sdca.sparse_ascent, block)):
        theta, point, moved = np.zeros(N), start.copy(), np.empty(N, np.bool_)
        scaling = DualScaling(shrink, NONE, sigma, norms, 0.0, center)
        gap = ascent(loss, data, target, theta, point, scaling, order, moved)
        assert np.any(theta != 0.0)
        steps = np.column_stack([A, np.ones(N)]) * (target.weight * theta)[:, None]
        assert_allclose(point, start - sigma * shrink * steps.sum(axis=0), atol=1e-12)
        ends.append(np.concatenate([theta, point, [gap]]))
    assert_allclose(ends[1], ends[0], atol=1e-10)


def test_the_gradient_is_summed_apart_where_slopes_are_positive() -> None:
    rng = np.random.default_rng(4)
    X, block = rows(rng)
    slopes, center = rng.standard_normal(N), rng.standard_normal(K)
    A = np.column_stack([X - center, np.ones(N)])
    dense, sparse = np.zeros((2, K + 1)), np.zeros((2, K + 1))
    row_sums.dense_gradient(X, slopes, center, dense)
    assert_allclose(dense, [slopes @ A, np.maximum(slopes, 0.0) @ A], atol=1e-12)
    row_sums.sparse_gradient(block, slopes, sparse)
    sparse[:, :K] -= np.outer(sparse[:, K], center)
    assert_allclose(sparse, dense, atol=1e-12)
