"""Matrices in chunks: lists of arrays or of sparse matrices, one below the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import ConvertedSource, CSRSource, DenseSource, array_source, sparse_source
from offbeat.data.source import CSR, Block, Floats, Source, check_range, scratch
from offbeat.errors import DataError


@dataclass(frozen=True, eq=False)
class ChunkedSource:
    """Sources of the same columns, one below the other. A read of rows of one source copies nothing.

    Parameters
    ----------
    parts : tuple of Source
        All dense or all sparse, of one type; see `chunked_source`.
    edges : tuple of int
        First row of each part, and the number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> source = chunked_source([np.zeros((2, 3)), np.ones((4, 3))])
    >>> source.shape, source.read(1, 3).tolist()
    ((6, 3), [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    """

    parts: tuple[Source, ...]
    edges: tuple[int, ...]

    resident = False  # a read of rows of two sources copies them

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.edges[-1], self.parts[0].shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.parts[0].dtype

    @property
    def sparse(self) -> bool:
        """Whether blocks are CSR."""
        return self.parts[0].sparse

    def read(self, start: int, stop: int, out: Floats | None = None) -> Block:
        """Return rows `start` to `stop`: a block of one source where it has all of them, else a copy."""
        check_range(start, stop, self.shape[0])
        first = min(bisect_right(self.edges, start), len(self.parts)) - 1
        if stop <= self.edges[first + 1]:
            return self.parts[first].read(start - self.edges[first], stop - self.edges[first], out)
        pieces = [
            part.read(max(start - edge, 0), min(stop - edge, part.shape[0]))
            for part, edge in zip(self.parts, self.edges, strict=False)
            if start < edge + part.shape[0] and edge < stop
        ]
        if self.sparse:
            return _stacked([piece for piece in pieces if isinstance(piece, CSR)])
        block = scratch(stop - start, self.shape[1], self.dtype, out)
        return np.concatenate(pieces, out=block)


def _stacked(pieces: list[CSR]) -> CSR:
    offsets, done = [np.zeros(1, np.int64)], 0
    for piece in pieces:
        offsets.append(piece.indptr[1:].astype(np.int64) - int(piece.indptr[0]) + done)
        done += piece.n_stored
    stored = [slice(int(piece.indptr[0]), int(piece.indptr[-1])) for piece in pieces]
    indices = np.concatenate([piece.indices[part] for piece, part in zip(pieces, stored, strict=True)])
    data = np.concatenate([piece.data[part] for piece, part in zip(pieces, stored, strict=True)])
    return CSR(np.concatenate(offsets).astype(indices.dtype), indices, data)


def chunked_source(chunks: Sequence[Any]) -> ChunkedSource:
    """Wrap arrays or sparse matrices, one below the other. All get the widest type; those of another are copied.

    Parameters
    ----------
    chunks : sequence of ndarray or of SciPy sparse matrices, shapes (n_rows of each, n_columns)
        Each may have no rows, but must have columns.

    Raises
    ------
    DataError
        They do not fit together: says which does not.

    Examples
    --------
    >>> chunked_source([np.zeros((2, 3)), np.zeros((1, 2))])
    Traceback (most recent call last):
        ...
    offbeat.errors.DataError: Chunk 1 of X has 2 columns, chunk 0 has 3. All chunks must have the same columns.
    """
    sources = [array_source(c) if isinstance(c, np.ndarray) else sparse_source(c) for c in chunks]
    return stacked(sources, [f"Chunk {i} of X" for i in range(len(sources))])


def stacked(sources: Sequence[Source], names: Sequence[str]) -> ChunkedSource:
    """Put sources one below the other: in the widest type of all, and all sparse where one is.

    Parameters
    ----------
    sources : sequence of Source
    names : sequence of str
        What to call each in errors.

    Raises
    ------
    DataError
        They do not fit together: says which does not.

    Examples
    --------
    >>> stacked([array_source(np.zeros((2, 1))), array_source(np.ones((1, 1)))], ["a", "b"]).shape
    (3, 1)
    """
    first = sources[0]
    for name, part in zip(names, sources, strict=True):
        if part.shape[1] != first.shape[1]:
            raise DataError(
                f"{name} has {part.shape[1]} columns, {names[0].removesuffix(' of X').lower()} has {first.shape[1]}. "
                "All chunks must have the same columns."
            )
    dtype, sparse = np.result_type(*(part.dtype for part in sources)), any(part.sparse for part in sources)
    parts = _with_one_index_type(tuple(converted(part, dtype, sparse) for part in sources))
    edges = np.cumsum([0, *(part.shape[0] for part in parts)])
    return ChunkedSource(parts, tuple(edges.tolist()))


def converted(source: Source, dtype: np.dtype[Any], sparse: bool) -> Source:
    """Return a source in another type, or a sparse one. It is copied only where it must be converted.

    Parameters
    ----------
    source : Source
    dtype : numpy.dtype
        At least as wide as that of the source.
    sparse : bool
        Whether rows are to be sparse; those that are stay so.

    Examples
    --------
    >>> import numpy as np
    >>> converted(DenseSource(np.eye(2, dtype=np.float32)), np.dtype(np.float64), True).read(0, 2).data
    array([1., 1.])
    """
    if source.dtype == dtype and source.sparse >= sparse:
        return source
    block = source.read(0, source.shape[0])
    if isinstance(block, CSR):
        return CSRSource(CSR(block.indptr, block.indices, block.data.astype(dtype)), source.shape[1])
    block = np.ascontiguousarray(block, dtype)
    if not sparse:
        return DenseSource(block)
    from scipy.sparse import csr_array

    return sparse_source(csr_array(block))


def _with_one_index_type(parts: tuple[Source, ...]) -> tuple[Source, ...]:
    """Return sparse parts whose offsets and columns have one type: kernels are compiled once for all of them."""
    sparse = [part for part in parts if isinstance(part, CSRSource)]
    kinds = {array.dtype for part in sparse for array in part.matrix[:2]}
    if len(kinds) <= 1:
        return parts
    wide = np.result_type(*kinds)
    return tuple(
        replace(part, matrix=CSR(part.matrix.indptr.astype(wide), part.matrix.indices.astype(wide), part.matrix.data))
        for part in sparse
    )


def block_ranges(source: Source, start: int, stop: int, max_rows: int) -> Iterator[tuple[int, int]]:
    """Yield row ranges (start, stop) of at most ``max_rows`` rows, each in one chunk.

    Parameters
    ----------
    source : Source
    start, stop : int
        Rows to cover.
    max_rows : int

    Examples
    --------
    >>> source = chunked_source([np.zeros((3, 1)), np.zeros((5, 1))])
    >>> list(block_ranges(source, 1, 8, 4))
    [(1, 3), (3, 7), (7, 8)]
    """
    edges = source.edges if isinstance(source, ChunkedSource) else ()
    while start < stop:
        ahead = bisect_right(edges, start)
        end = min(start + max_rows, stop, edges[ahead] if ahead < len(edges) else stop)
        yield start, end
        start = end


def in_memory(source: Source) -> bool:
    """Return whether all rows are in memory, so that kernels can read them without copies.

    Examples
    --------
    >>> in_memory(chunked_source([np.zeros((3, 1))]))
    True
    """
    if isinstance(source, ChunkedSource):
        return all(part.resident for part in source.parts)
    return source.resident


def concatenated(values: Any) -> Any:
    """Return the values of a list of chunks as one array; anything else as it is.

    Examples
    --------
    >>> concatenated([np.zeros(2), np.ones(1)]).tolist()
    [0.0, 0.0, 1.0]
    """
    if isinstance(values, list | tuple) and values and all(isinstance(v, np.ndarray) and v.ndim == 1 for v in values):
        masked = any(isinstance(v, np.ma.MaskedArray) for v in values)
        whole: NDArray[Any] = (np.ma.concatenate if masked else np.concatenate)(values)
        return whole
    return values


def only_rows(source: Source, start: int, stop: int) -> Source:
    """Return rows ``start`` to ``stop`` as a source of their own; a source that is not in memory is returned whole.

    Examples
    --------
    >>> only_rows(array_source(np.arange(6.0).reshape(3, 2)), 1, 2).read(0, 1)
    array([[2., 3.]])
    """
    if isinstance(source, ChunkedSource):
        pieces = [
            only_rows(part, max(start - edge, 0), min(stop - edge, part.shape[0]))
            for part, edge in zip(source.parts, source.edges, strict=False)
            if start < edge + part.shape[0] and edge < stop
        ]
        return stacked(pieces, [f"Chunk {i} of X" for i in range(len(pieces))])
    block = source.read(start, stop) if in_memory(source) or isinstance(source, ConvertedSource) else None
    if block is None:
        return source
    if isinstance(block, CSR):
        first, last = int(block.indptr[0]), int(block.indptr[-1])
        own = CSR(block.indptr - block.indptr[0], block.indices[first:last], block.data[first:last])
        return CSRSource(own, source.shape[1])
    return DenseSource(block)
