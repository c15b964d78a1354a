"""Matrices in memory."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from offbeat.data.arrays.in_memory import ConvertedSource, CSRSource, DenseSource, array_source, sparse_source
from offbeat.data.source import CSR, Source, scratch
from offbeat.errors import DataError


def dense(block: CSR, n_columns: int) -> np.ndarray:
    """The block as SciPy sees it, for comparison: offsets rebased, duplicates added."""
    low, high = block.indptr[0], block.indptr[-1]
    arrays = (block.data[low:high], block.indices[low:high], block.indptr - low)
    return sparse.csr_array(arrays, shape=(block.n_rows, n_columns)).toarray()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_c_contiguous_floats_are_views(rng: np.random.Generator, dtype: type) -> None:
    X = rng.normal(size=(20, 3)).astype(dtype)
    source = array_source(X)
    block = source.read(5, 9)
    assert isinstance(source, DenseSource) and source.resident and not source.sparse
    assert np.shares_memory(block, X) and block.dtype == dtype and source.dtype == dtype
    np.testing.assert_array_equal(block, X[5:9])


def test_read_only_arrays_are_views() -> None:
    X = np.ones((4, 2))
    X.flags.writeable = False
    assert np.shares_memory(array_source(X).read(0, 4), X)


LAYOUTS = {
    "fortran": lambda X: np.asfortranarray(X),
    "strided rows": lambda X: np.repeat(X, 2, axis=0)[::2],
    "strided columns": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "reversed": lambda X: X[::-1].copy()[::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "big-endian float32": lambda X: X.astype(">f4"),
    "float16": lambda X: X.astype(np.float16),
    "long double": lambda X: X.astype(np.longdouble),
    "int8": lambda X: X.astype(np.int8),
    "uint64": lambda X: np.abs(X).astype(np.uint64),
    "bool": lambda X: X > 0,
    "unaligned": lambda X: _unaligned(X),
}


def _unaligned(X: np.ndarray) -> np.ndarray:
    raw = np.zeros(X.nbytes + 1, np.uint8)
    view = raw[1:].view(np.float64).reshape(X.shape)
    view[...] = X
    return view


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_arrays_are_converted_by_block(rng: np.random.Generator, layout: str) -> None:
    X = LAYOUTS[layout](np.round(rng.normal(size=(30, 4)) * 8))
    source = array_source(X)
    expected = np.float32 if layout in ("float16", "big-endian float32") else np.float64
    assert isinstance(source, ConvertedSource) and not source.resident
    assert source.dtype == expected and source.dtype.isnative and source.shape == (30, 4)
    out = np.full(40, 7.0, expected)
    block = source.read(3, 11, out)
    assert np.shares_memory(block, out) and block.flags.c_contiguous and block.dtype == expected
    np.testing.assert_array_equal(block, X[3:11].astype(expected))
    assert out[32:].tolist() == [7.0] * 8
    np.testing.assert_array_equal(source.read(3, 11), block)


def test_out_that_does_not_fit_is_not_used() -> None:
    source = array_source(np.asfortranarray(np.ones((4, 3))))
    for out in (np.empty(11), np.empty(12, np.float32), np.empty(24)[::2]):
        block = source.read(0, 4, out)
        assert not np.shares_memory(block, out) and block.tolist() == [[1.0] * 3] * 4


def test_conversion_never_copies_the_whole() -> None:
    X = np.asfortranarray(np.ones((100_000, 10)))
    tracemalloc.start()
    source = array_source(X)
    out = np.empty(1000 * 10)
    for start in range(0, 100_000, 1000):
        source.read(start, start + 1000, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.05 * X.nbytes


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_csr_is_not_copied(rng: np.random.Generator, index: type) -> None:
    X = sparse.random_array((40, 7), density=0.3, format="csr", rng=rng)
    X.indptr, X.indices = X.indptr.astype(index), X.indices.astype(index)
    source = sparse_source(X)
    block = source.read(10, 15)
    assert source.resident and source.sparse and block.indptr.dtype == index and block.indices.dtype == index
    assert all(np.shares_memory(a, b) for a, b in zip(block, (X.indptr, X.indices, X.data), strict=True))
    np.testing.assert_array_equal(dense(block, 7), X.toarray()[10:15])
    assert block.n_rows == 5 and block.n_stored == X[10:15].nnz


def test_unsorted_and_duplicate_indices_stay_as_they_are() -> None:
    X = sparse.csr_matrix((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3))
    block = sparse_source(X).read(0, 1)
    assert block.indices.tolist() == [2, 0, 2]
    assert dense(block, 3).tolist() == [[2.0, 0.0, 4.0]]
    assert X.nnz == 3


@pytest.mark.parametrize("kind", ["csc_array", "coo_array", "csc_matrix", "coo_matrix", "csr_matrix", "dok_array"])
def test_every_sparse_format(rng: np.random.Generator, kind: str) -> None:
    X = getattr(sparse, kind)(sparse.random_array((12, 5), density=0.4, rng=rng, dtype=np.float32))
    source = sparse_source(X)
    assert source.dtype == np.float32
    np.testing.assert_array_equal(dense(source.read(2, 9), 5), X.toarray()[2:9])


@pytest.mark.parametrize(("dtype", "expected"), [(np.int64, np.float64), (bool, np.float64), (np.int8, np.float64)])
def test_sparse_values_become_floats(dtype: type, expected: type) -> None:
    source = sparse_source(sparse.csr_array(np.array([[0, 1], [1, 0]], dtype)))
    assert source.dtype == expected and dense(source.read(0, 2), 2).tolist() == [[0, 1], [1, 0]]


def test_offsets_beyond_32_bits_are_kept() -> None:
    base = 2**31 + 5
    matrix = CSR(np.array([base, base + 1, base + 3], np.int64), np.zeros(0, np.int32), np.zeros(0))
    block = CSRSource(matrix, 4).read(1, 2)
    assert block.indptr.dtype == np.int64 and block.indptr.tolist() == [base + 1, base + 3] and block.n_stored == 2


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), ()])
def test_only_two_dimensions(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="Reshape your data" if len(shape) == 1 else "shape"):
        array_source(np.zeros(shape))


@pytest.mark.parametrize("dtype", ["c16", "U3", "M8[s]", "V4"])
def test_only_real_numbers(dtype: str) -> None:
    with pytest.raises(DataError, match="Complex data not supported" if dtype == "c16" else "real numbers"):
        array_source(np.zeros((2, 2), dtype))


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [([0, 2, 1], [0, 1], "decrease"), ([0, 1, 2], [0, 5], "from 0 to 5"), ([0, 1, 2], [0, -1], "from -1"),
     ([0, 1, 9], [0, 1], "up to 9")],
)  # fmt: skip
def test_damaged_sparse_matrices_are_refused(indptr: list[int], indices: list[int], message: str) -> None:
    X = sparse.csr_array((2, 3))
    X.indptr, X.indices, X.data = np.array(indptr, np.int32), np.array(indices, np.int32), np.ones(len(indices))
    with pytest.raises(DataError, match=message):
        sparse_source(X)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 5)])
@pytest.mark.parametrize("make", [np.ones, lambda s: np.ones(s, order="F"), sparse.csr_array])
def test_rows_that_do_not_exist(make, start: int, stop: int) -> None:  # type: ignore[no-untyped-def]
    X = make((4, 2))
    source = sparse_source(X) if sparse.issparse(X) else array_source(X)
    with pytest.raises(IndexError, match="4 rows"):
        source.read(start, stop)


def test_sources_fit_the_protocol_and_pickle(rng: np.random.Generator) -> None:
    X = rng.normal(size=(5, 2))
    for source in (array_source(X), array_source(np.asfortranarray(X)), sparse_source(sparse.csr_array(X))):
        assert isinstance(source, Source)
        copy = pickle.loads(pickle.dumps(source))
        block = copy.read(1, 3)
        np.testing.assert_array_equal(dense(block, 2) if isinstance(block, CSR) else block, X[1:3])


def test_scratch_is_exact() -> None:
    flat = np.empty(10)
    assert scratch(2, 5, flat.dtype, flat).shape == (2, 5)
    assert scratch(0, 5, flat.dtype, flat).size == 0
