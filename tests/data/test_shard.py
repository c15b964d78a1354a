"""Sums over shards against plain NumPy: dense and sparse, in memory and streamed, whole and sampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from offbeat import losses
from offbeat.data.arrays.in_memory import CSRSource, array_source, sparse_source
from offbeat.data.arrays.npy import NpySource
from offbeat.data.arrays.npy_header import npy_layout
from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.data.shards import Cancelled, Point, Shard, Sums, Workspace
from offbeat.data.shards.blocks import MIN_HESSIAN_BUFFER_ROWS
from offbeat.data.source import Source

N, K = 1500, 4


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features away from zero, binary targets, weights and offsets."""
    X = rng.standard_normal((N, K)) + 3.0
    return X, (rng.random(N) < 0.4).astype(float), rng.random(N) + 0.5, 0.1 * rng.standard_normal(N)


def plain(X, y, v, o, point: Point) -> Sums:
    """Return the sums of the logistic loss by NumPy."""
    A = X - point.center
    z = A @ point.coef + point.intercept[0] + o
    p = 1 / (1 + np.exp(-z))
    theta, h = v * (p - y), v * p * (1 - p)
    head = np.array([(v * (np.logaddexp(0, z) - y * z)).sum(), theta.sum(), h.sum(), len(y)])
    B = np.column_stack([A, np.ones(len(y))])
    return Sums(head, A.T @ theta, A.T @ h, B.T @ (h[:, None] * B))


def point_at(rng: np.random.Generator, fraction: float = 1.0) -> Point:
    """Return a query for everything."""
    return Point(rng.standard_normal(K), np.array([0.3]), np.full(K, 2.5), fraction, hessian=True, repair=True)


def check(sums: Sums, expected: Sums, rtol: float = 1e-10) -> None:
    """Compare all sums."""
    for got, want in zip(sums, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())


CONTAINERS = ["dense", "float32", "fortran", "integers", "csr", "npy", "parquet"]


def source_of(container: str, X: np.ndarray, folder: Path) -> Source:
    """Return a source of each kind that holds X."""
    if container == "csr":
        return sparse_source(sp.csr_array(X))
    if container == "npy":
        np.save(folder / "X.npy", X)
        return NpySource(folder / "X.npy", npy_layout(folder / "X.npy"))
    if container == "parquet":
        columns = {f"x{j}": X[:, j] for j in range(X.shape[1])}
        pq.write_table(pa.table(columns), folder / "X.parquet", row_group_size=400)
        return as_dataset(folder / "X.parquet", memory_budget=1).source
    arrays = {"dense": X, "float32": X.astype(np.float32), "fortran": np.asfortranarray(X)}
    return array_source(X.astype(np.int16) if container == "integers" else arrays[container])


def exact_in(container: str, X: np.ndarray) -> np.ndarray:
    """Return X rounded to what the container can hold."""
    return {"integers": np.round(X), "float32": X.astype(np.float32).astype(np.float64)}.get(container, X)


@pytest.mark.parametrize("container", CONTAINERS)
def test_sums_equal_numpy(container: str, data, rng, tmp_path) -> None:
    X, y, v, o = data
    X = exact_in(container, X)
    point = point_at(rng)
    shards = Dataset(source_of(container, X, tmp_path), y, v, o).shards(3)
    assert [shard.n_rows for shard in shards] == [500, 500, 500]
    total = np.sum([shard.evaluate(losses.Logistic(), point, Workspace()).flat() for shard in shards], axis=0)
    check(Sums.unflat(total, point), plain(X, y, v, o, point), 2e-5 if container == "float32" else 1e-10)


@pytest.mark.parametrize("container", CONTAINERS)
def test_rows_are_the_features_of_the_shard(container: str, data, tmp_path) -> None:
    X = exact_in(container, data[0])
    source = source_of(container, X, tmp_path)
    for shard in Dataset(source, np.empty(0)).shards(4):
        found = shard.rows()
        assert found.dtype == source.dtype
        assert sp.issparse(found) == source.sparse
        dense = found.toarray() if source.sparse else found
        np.testing.assert_array_equal(dense, X[shard.start : shard.stop])


def test_rows_share_the_memory_of_the_data_and_cannot_be_written_to(data) -> None:
    X = data[0]
    dense = Dataset(array_source(X), np.empty(0)).shards(2)[1].rows()
    matrix = sp.csr_array(X)
    sparse = Dataset(sparse_source(matrix), np.empty(0)).shards(2)[1].rows()
    assert np.shares_memory(dense, X)
    assert np.shares_memory(sparse.data, matrix.data)
    for values in (dense, sparse.data):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0
    np.testing.assert_allclose(sparse @ np.ones(K), X[N // 2 :] @ np.ones(K))


def test_repeated_entries_of_a_row_add_up() -> None:
    matrix = sp.csr_array((np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), np.array([0, 0, 3])), shape=(2, 3))
    first, second = Dataset(sparse_source(matrix), np.empty(0)).shards(2)
    np.testing.assert_array_equal(first.rows().toarray(), [[0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(second.rows().toarray(), [[2.0, 0.0, 5.0]])


def test_unsorted_and_repeated_entries_add_up(rng: np.random.Generator) -> None:
    indptr = np.array([0, 3, 5], dtype=np.int64)
    indices, values = np.array([2, 0, 2, 1, 3], dtype=np.int64), rng.standard_normal(5)
    y = np.array([1.0, 0.0])
    matrix = sp.csr_array((values, indices, indptr), shape=(2, K))
    source = sparse_source(matrix)
    assert isinstance(source, CSRSource)
    shard = Dataset(source, y).shards(1)[0]
    point = point_at(rng)
    expected = plain(matrix.toarray(), y, np.ones(2), 0.0, point)
    check(shard.evaluate(losses.Logistic(), point, Workspace()), expected)


def test_a_sample_is_spread_evenly_and_near_its_size(data) -> None:
    X, y, *_ = data
    shard = Dataset(array_source(np.tile(X, (10, 1))), np.tile(y, 10)).shards(1)[0]
    ranges = shard.ranges(0.1)
    visited = np.concatenate([np.arange(a, b) for a, b in ranges])
    assert len(np.unique(visited)) == len(visited)
    assert 0.1 * shard.n_rows <= len(visited) <= 0.1 * shard.n_rows + 64
    assert visited.min() == 0
    assert visited.max() == shard.n_rows - 1
    assert np.diff(ranges[:, 0]).max() - np.diff(ranges[:, 0]).min() <= 1
    np.testing.assert_array_equal(shard.ranges(1.0), [[0, shard.n_rows]])


def test_a_sample_gives_the_sums_of_its_rows(data, rng, monkeypatch) -> None:
    monkeypatch.setattr("offbeat.data.shards.blocks.HESSIAN_BUFFER_BYTES", 0)
    X, y, v, o = (np.concatenate([part] * 4) for part in data)
    shard = Dataset(array_source(X), y, v, o).shards(1)[0]
    point = point_at(rng, fraction=0.3)
    rows = np.concatenate([np.arange(a, b) for a, b in shard.ranges(0.3)])
    assert len(rows) > MIN_HESSIAN_BUFFER_ROWS
    expected = plain(X[rows], y[rows], v[rows], o[rows], point)
    check(shard.evaluate(losses.Logistic(), point, Workspace()), expected)


def test_shards_are_views(data) -> None:
    X, y, *_ = data
    for shard in Dataset(array_source(X), y).shards(2):
        assert np.shares_memory(shard.y, y)
        assert np.shares_memory(shard.source.read(shard.start, shard.stop), X)


def test_more_shards_than_rows_gives_one_row_each() -> None:
    shards = Dataset(array_source(np.ones((3, 2))), np.zeros(3)).shards(10)
    assert [shard.n_rows for shard in shards] == [1, 1, 1]


def test_streamed_blocks_keep_within_the_budget(tmp_path, data) -> None:
    X, y, *_ = data
    np.save(tmp_path / "X.npy", X)
    source = NpySource(tmp_path / "X.npy", npy_layout(tmp_path / "X.npy"))
    dataset = Dataset(source, y, memory_budget=40_000)
    (shard,) = dataset.shards(1)
    assert 64 <= shard.block_rows
    assert shard.block_rows * K * 8 <= 40_000
    sizes = [len(targets.y) for _, targets, _ in shard.blocks(1.0, Workspace())]
    assert max(sizes) == shard.block_rows
    assert sum(sizes) == N


def test_streaming_stops_between_blocks(tmp_path, data) -> None:
    X, y, *_ = data
    np.save(tmp_path / "X.npy", X)
    source = NpySource(tmp_path / "X.npy", npy_layout(tmp_path / "X.npy"))
    asked = iter([False, False, True])
    empty = np.empty(0)
    shard = Shard(source, 0, N, y, empty, empty, block_rows=100, cancelled=lambda: next(asked))
    with pytest.raises(Cancelled):
        list(shard.blocks(1.0, Workspace()))


@pytest.mark.parametrize("sparse", [False, True])
def test_multinomial_sums_equal_numpy(sparse: bool, rng: np.random.Generator) -> None:
    X = rng.standard_normal((700, K)) + 1.0
    y = rng.integers(0, 3, 700).astype(float)
    v = rng.random(700)
    source = sparse_source(sp.csr_array(X)) if sparse else array_source(X)
    shard = Dataset(source, y, v).shards(1)[0]
    point = Point(rng.standard_normal((K, 3)), rng.standard_normal(3), np.full(K, 0.5))
    A = X - point.center
    z = A @ point.coef + point.intercept
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    theta = v[:, None] * (p - np.eye(3)[y.astype(int)])
    sums = shard.evaluate(losses.Multinomial(3), point, Workspace())
    loss = -(v * np.log(p[np.arange(700), y.astype(int)])).sum()
    np.testing.assert_allclose(sums.head, [loss, *theta.sum(axis=0), 0.0, 700.0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(sums.gradient.reshape(K, 3), A.T @ theta, rtol=1e-9, atol=1e-9)
