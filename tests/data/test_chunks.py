"""Lists of arrays: the same rows as one array, whatever is read, and errors that name the chunk."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from offbeat import Problem, engines, losses, penalties, solve, solvers
from offbeat.data.arrays.chunks import chunked_source, in_memory
from offbeat.data.load import as_dataset
from offbeat.data.source import CSR
from offbeat.errors import DataError

EDGES = [0, 3, 3, 40, 41, 90]
X = np.where(np.random.default_rng(0).random((90, 4)) < 0.6, np.random.default_rng(1).standard_normal((90, 4)), 0.0)
Y = (X @ [1.0, -1.0, 0.5, 0.0] + np.random.default_rng(2).standard_normal(90) > 0.0).astype(float)


def cut(matrix: Any) -> list[Any]:
    return [matrix[a:b] for a, b in pairwise(EDGES)]


def dense(block: Any) -> Any:
    if not isinstance(block, CSR):
        return block
    return sparse.csr_array((block.data, block.indices, block.indptr), shape=(block.n_rows, 4)).toarray()


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_any_rows_are_those_of_the_whole(kind: Any) -> None:
    source = chunked_source(cut(kind(X)))
    assert source.shape == X.shape
    assert in_memory(source)
    for start in range(0, 91, 7):
        for stop in range(start, 91, 5):
            block = source.read(start, stop)
            if isinstance(block, CSR) and block.indptr[0]:
                block = CSR(block.indptr - block.indptr[0], *(part[block.indptr[0] :] for part in block[1:]))
                block = CSR(block.indptr, block.indices[: block.indptr[-1]], block.data[: block.indptr[-1]])
            if stop > start:
                assert_array_equal(dense(block), X[start:stop])


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, np.asfortranarray], ids=["dense", "csr", "fortran"])
@pytest.mark.parametrize("solver", [solvers.Newton(), solvers.SAGA(), solvers.LBFGS()], ids=lambda s: s.name)
def test_a_fit_is_that_of_the_whole(kind: Any, solver: Any) -> None:
    problem, options = Problem(losses.Logistic(), penalties.L2(0.01)), {"tol": 1e-10, "engine": engines.Serial()}
    whole = solve(problem, X, Y, solver=solver, **options)
    parts = solve(problem, [kind(part) for part in cut(X)], cut(Y), solver=solver, **options)
    assert_allclose(parts.coef, whole.coef, atol=1e-5)
    assert_allclose(parts.certificate.primal, whole.certificate.primal, rtol=1e-9)
    threads = solve(problem, cut(kind(X)), Y, solver=solver, tol=1e-9, engine=engines.Threads(3))
    assert_allclose(threads.certificate.primal, whole.certificate.primal, rtol=1e-8)


def test_blocks_do_not_cross_edges_and_are_views() -> None:
    parts = cut(X)
    shard = as_dataset(parts, Y).shards(1)[0]
    from offbeat.data.shards import Workspace

    blocks = [block for block, _, _ in shard.blocks(1.0, Workspace())]
    assert [len(block) for block in blocks] == [3, 37, 1, 49]
    assert all(any(np.shares_memory(block, part) for part in parts) for block in blocks)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([X, X[:, :2]], "Chunk 1 of X has 2 columns, chunk 0 has 4"),
        ([X, X + 1j], "Complex data"),
    ],
)
def test_what_does_not_fit_together_is_named(parts: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_dataset(parts, np.concatenate([Y, Y]))


@pytest.mark.parametrize("other", [sparse.csr_array(X), X.astype(np.float32), sparse.csc_array(X.astype(np.float32))])
def test_chunks_of_several_types_become_the_widest(other: Any) -> None:
    source = as_dataset([X, other], np.concatenate([Y, Y])).source
    assert source.dtype == np.float64 and source.sparse == sparse.issparse(other)
    block = source.read(0, 2 * len(X))
    rows = sparse.csr_array(block[::-1] if isinstance(block, tuple) else block, shape=source.shape).toarray()
    np.testing.assert_allclose(rows, np.concatenate([X, X]), rtol=1e-6)


def test_offsets_of_different_types_are_made_alike() -> None:
    wide = sparse.csr_array(X[40:])
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    problem = Problem(losses.Logistic(), penalties.L2(0.01))
    parts = solve(problem, [sparse.csr_array(X[:40]), wide], Y, solver=solvers.SAGA(), engine=engines.Serial())
    assert parts.status == "converged"
