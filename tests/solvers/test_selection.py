"""Selections of rows: whatever the container and fraction, sums are those of a data set of these rows alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from offbeat.data.arrays.in_memory import array_source, sparse_source
from offbeat.data.dataset import Dataset
from offbeat.data.shards import Cancelled, Point, Shard, Workspace
from offbeat.data.source import CSR
from offbeat.losses import Logistic, Multinomial
from offbeat.solvers._common import selection
from offbeat.solvers._common.selection import Selection, SelectionQuery

N, K = 700, 4
SOURCES: dict[str, Callable[[NDArray[np.float64]], Any]] = {
    "dense": array_source,
    "float32": lambda X: array_source(X.astype(np.float32)),
    "streamed": lambda X: array_source(np.asfortranarray(X)),
    "sparse": lambda X: sparse_source(sparse.csr_array(X)),
}
MASKS: dict[str, NDArray[np.bool_]] = {
    "all": np.ones(N, dtype=bool),
    "run": (np.arange(N) > 100) & (np.arange(N) < 300),
    "comb": np.arange(N) % 3 == 1,
    "none": np.zeros(N, dtype=bool),
}


@pytest.fixture(name="X")
def matrix(rng: np.random.Generator) -> NDArray[np.float64]:
    X = rng.standard_normal((N, K))
    X[rng.random((N, K)) < 0.4] = 0.0
    return X


def shards(source: Any, rng: np.random.Generator, count: int) -> list[Shard]:
    y = rng.integers(0, 2, N).astype(float)
    return Dataset(source, y, rng.uniform(0.5, 2.0, N), 0.1 * rng.standard_normal(N)).shards(count)


def point(rng: np.random.Generator, fraction: float = 1.0, *, hessian: bool = True) -> Point:
    return Point(rng.standard_normal(K), np.array([0.3]), rng.standard_normal(K), fraction, hessian, True)


@pytest.mark.parametrize("container", SOURCES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("block", [64, 10_000])
def test_sums_over_selected_rows(
    X: NDArray[np.float64],
    rng: np.random.Generator,
    container: str,
    mask: str,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "_block_rows", lambda shard: block)
    source, keep = SOURCES[container](X), MASKS[mask]
    at = point(rng)
    whole = shards(source, rng, 2)
    found = sum(
        selection.evaluate(shard, Logistic(), [SelectionQuery(0, at)], [Selection(keep, 2.0)], Workspace())[0]
        for shard in whole
    )
    y, v, o = (np.concatenate([getattr(s, name) for s in whole]) for name in ("y", "weight", "offset"))
    alone = Shard(SOURCES[container](X[keep]), 0, int(keep.sum()), y[keep], 2.0 * v[keep], o[keep])
    expected = alone.evaluate(Logistic(), at, Workspace()).flat() if keep.any() else np.zeros_like(found)
    np.testing.assert_allclose(found, expected, rtol=1e-4 if container == "float32" else 1e-10, atol=1e-4)
    assert found[3] == keep.sum()


@pytest.mark.parametrize("container", SOURCES)
def test_queries_share_a_read(X: NDArray[np.float64], rng: np.random.Generator, container: str) -> None:
    """Points of several selections and fractions at once give what each gives alone."""
    shard = shards(SOURCES[container](X), rng, 1)[0]
    selections = [Selection(mask) for mask in MASKS.values()]
    queries = [
        SelectionQuery(i, point(rng, fraction, hessian=hessian))
        for i in range(4)
        for fraction, hessian in ((1.0, False), (0.3, True), (1.0, True))
    ]
    together = selection.evaluate(shard, Logistic(), queries, selections, Workspace())
    for query, sums in zip(queries, together, strict=True):
        alone = selection.evaluate(shard, Logistic(), [query], selections, Workspace())[0]
        np.testing.assert_array_equal(sums, alone)
        assert sums.size == selection.payload_size(query.point)


@pytest.mark.parametrize("container", SOURCES)
def test_samples_are_those_of_the_shard(X: NDArray[np.float64], rng: np.random.Generator, container: str) -> None:
    shard = shards(SOURCES[container](X), rng, 1)[0]
    at = point(rng, 0.3)
    sums = selection.evaluate(shard, Logistic(), [SelectionQuery(0, at)], [Selection(MASKS["all"])], Workspace())[0]
    expected = shard.evaluate(Logistic(), at, Workspace()).flat()
    np.testing.assert_allclose(sums, expected, rtol=1e-4 if container == "float32" else 1e-10, atol=1e-4)
    assert sums[3] < N


def test_several_outputs(X: NDArray[np.float64], rng: np.random.Generator) -> None:
    shard = shards(array_source(X), rng, 1)[0]
    at = Point(rng.standard_normal((K, 3)), rng.standard_normal(3), np.zeros(K))
    keep = MASKS["comb"]
    sums = selection.evaluate(shard, Multinomial(3), [SelectionQuery(0, at)], [Selection(keep)], Workspace())[0]
    alone = Shard(array_source(X[keep]), 0, int(keep.sum()), shard.y[keep], shard.weight[keep], shard.offset[keep])
    np.testing.assert_allclose(sums, alone.evaluate(Multinomial(3), at, Workspace()).flat(), rtol=1e-10)


def test_take_from_sparse_rows(rng: np.random.Generator) -> None:
    matrix = sparse.random_array((50, 9), density=0.3, format="csr", rng=rng)
    rows = rng.permutation(50)[:20]
    block = selection.take(CSR(matrix.indptr[10:], matrix.indices, matrix.data), rows[rows < 40])
    assert isinstance(block, CSR)
    taken = sparse.csr_array((block.data, block.indices, block.indptr), shape=(block.n_rows, 9))
    np.testing.assert_array_equal(taken.toarray(), matrix.toarray()[10:][rows[rows < 40]])


def test_cancelled(X: NDArray[np.float64], rng: np.random.Generator) -> None:
    shard = Dataset(array_source(X), np.zeros(N)).shards(1, lambda: True)[0]
    with pytest.raises(Cancelled):
        selection.evaluate(shard, Logistic(), [SelectionQuery(0, point(rng))], [Selection(MASKS["all"])], Workspace())
