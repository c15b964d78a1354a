"""Sources: the protocol of a matrix of features, in memory, in files or elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]
"""A float32 or float64 array; which of the two is a property of the source, not of the type."""


class CSR(NamedTuple):
    """Rows of a sparse matrix, compressed by row.

    Row ``i`` of the block holds ``data[indptr[i]:indptr[i + 1]]`` in the columns
    ``indices[indptr[i]:indptr[i + 1]]``. Offsets are absolute positions in ``indices`` and ``data``:
    a block of a matrix in memory is a view of ``indptr`` next to the full two other arrays, so ``indptr[0]``
    need not be zero. Columns within a row may be unsorted and may repeat (repeated entries add up).

    Parameters
    ----------
    indptr : ndarray of int32 or int64, shape (n_rows + 1,)
        Non-decreasing offsets.
    indices : ndarray of int32 or int64
        Column of each stored entry.
    data : ndarray of float32 or float64
        Value of each stored entry.

    Examples
    --------
    >>> import numpy as np
    >>> block = CSR(np.array([0, 1, 3]), np.array([2, 0, 1]), np.array([1.0, 2.0, 3.0]))
    >>> block.n_rows, block.n_stored
    (2, 3)
    """

    indptr: NDArray[Any]
    indices: NDArray[Any]
    data: Floats

    @property
    def n_rows(self) -> int:
        """Number of rows in the block."""
        return len(self.indptr) - 1

    @property
    def n_stored(self) -> int:
        """Number of entries stored in the block (the arrays may hold more)."""
        return int(self.indptr[-1]) - int(self.indptr[0])


Block: TypeAlias = Floats | CSR
MAX_BLOCK_BYTES = 8 << 20
"""Size of the blocks in which a source that is not in memory is read."""


@runtime_checkable
class Source(Protocol):
    """One matrix of features, read by blocks of consecutive rows.

    Reading is thread-safe. A block is valid until the caller reuses the ``out`` it passed, and must not be
    written to: it may be a view of the user's own array.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """``float32`` or ``float64``: type of the values in every block."""
        ...

    @property
    def sparse(self) -> bool:
        """Whether blocks are `CSR` (true) or 2-D arrays (false)."""
        ...

    @property
    def resident(self) -> bool:
        """Whether the matrix is in memory, so that blocks are views of it."""
        ...

    def read(self, start: int, stop: int, out: Floats | None = None) -> Block:
        """Return rows ``start`` to ``stop`` (exclusive).

        Parameters
        ----------
        start, stop : int
            ``0 <= start <= stop <= shape[0]``.
        out : ndarray of `dtype`, shape (at least (stop - start) * shape[1],), optional
            Flat, contiguous scratch memory for dense blocks that are not views. Sources that return views or
            `CSR` ignore it; without it, or when it is too small, fresh memory is used.

        Returns
        -------
        block : ndarray of shape (stop - start, shape[1]) in C order, or CSR
        """
        ...


def rows_per_block(source: Source) -> int:
    """Return how many rows to read at once; a block of dense rows then takes at most 8 MB.

    Examples
    --------
    >>> from offbeat.data.arrays.in_memory import DenseSource
    >>> rows_per_block(DenseSource(np.zeros((3, 2))))
    524288
    """
    return max(1, MAX_BLOCK_BYTES // max(1, source.shape[1] * source.dtype.itemsize))


def scratch(n_rows: int, n_columns: int, dtype: np.dtype[Any], out: Floats | None) -> Floats:
    """Return a C-ordered array of the asked shape: a view of `out` when it fits, else fresh memory.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the block.
    dtype : numpy.dtype
        Type of the block.
    out : ndarray or None
        Flat scratch array of the caller.

    Returns
    -------
    block : ndarray of shape (n_rows, n_columns)
        Uninitialised.

    Examples
    --------
    >>> import numpy as np
    >>> flat = np.zeros(10)
    >>> np.shares_memory(scratch(2, 3, np.dtype(np.float64), flat), flat)
    True
    """
    size = n_rows * n_columns
    if out is None or out.size < size or out.dtype != dtype or not out.flags.c_contiguous:
        return np.empty((n_rows, n_columns), dtype=dtype)
    return out.reshape(-1)[:size].reshape(n_rows, n_columns)


def finite_sum(values: NDArray[Any]) -> bool:
    """Return whether the sum of some floats is finite. If it is, all of them are finite.

    The sum costs less than a test of each value. It may be infinite though all values are finite: then test each.

    Examples
    --------
    >>> finite_sum(np.array([1.0, 2.0])), finite_sum(np.array([1.0, np.nan]))
    (True, False)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum(dtype=np.float64)))


def check_range(start: int, stop: int, n_rows: int) -> None:
    """Raise ``IndexError`` unless ``0 <= start <= stop <= n_rows``.

    Asking for rows that do not exist is a mistake of the program, never of the data: hence no `DataError`.

    Examples
    --------
    >>> check_range(0, 3, 3)
    """
    if not 0 <= start <= stop <= n_rows:
        raise IndexError(f"rows {start} to {stop} asked of a matrix with {n_rows} rows")
