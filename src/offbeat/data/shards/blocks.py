"""Blocks of rows with their targets: what kernels work on, and the memory that reading them takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import CSR, Block, Source

Float64s = NDArray[np.float64]
Ranges = NDArray[np.int64]
"""Row ranges of a block, shape (n_ranges, 2): the first row of each, and the row after its last."""

HESSIAN_BUFFER_BYTES = 400_000
"""Size of the buffer of weighted rows: it should stay in the second-level cache."""
MIN_HESSIAN_BUFFER_ROWS = 512
COPY_ROWS = 4096
"""Rows that are copied at a time, where kernels cannot read them as they are."""


class Targets(NamedTuple):
    """Targets, weights and offsets of a block; weights and offsets of length 0 mean ones and zeros."""

    y: Float64s
    weight: Float64s
    offset: Float64s

    def rows(self, start: int, stop: int) -> Targets:
        """Return those of rows ``start`` to ``stop`` (exclusive), as views.

        Examples
        --------
        >>> Targets(np.arange(3.0), np.empty(0), np.ones(3)).rows(1, 3)
        Targets(y=array([1., 2.]), weight=array([], dtype=float64), offset=array([1., 1.]))
        """
        return Targets(*(values[start:stop] if values.size else values for values in self))


class Rows(Protocol):
    """Rows with their targets, as sums over them need it: a `Shard`."""

    @property
    def source(self) -> Source:
        """The matrix of features."""

    def blocks(self, fraction: float, workspace: Workspace) -> Iterator[tuple[Block, Targets, Ranges]]:
        """Yield blocks of rows, their targets, and the rows to visit inside each block."""


class Cancelled(Exception):  # noqa: N818  (a signal to the engine, not an error)
    """The engine asked a step to stop between two blocks."""


class Workspace:
    """Scratch memory of one shard's steps: a read buffer, and a buffer of weighted rows. Each is made at first use."""

    def __init__(self) -> None:
        self._read_buffer: NDArray[Any] | None = None
        self._weighted: NDArray[Any] | None = None

    def read_buffer(self, source: Source, block_rows: int) -> NDArray[Any]:
        """Return the flat buffer that blocks of a dense source which is not resident are read into."""
        if self._read_buffer is None:
            size = 0 if source.sparse else block_rows * source.shape[1]
            self._read_buffer = np.empty(size, source.dtype)
        return self._read_buffer

    def weighted(self, n_columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the buffer of rows weighted for a Hessian, shape (n_rows, n_columns)."""
        if self._weighted is None or self._weighted.dtype != dtype:
            rows = max(MIN_HESSIAN_BUFFER_ROWS, HESSIAN_BUFFER_BYTES // (8 * n_columns))
            self._weighted = np.empty((rows, n_columns), dtype)
        return self._weighted


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view: kernels are compiled for read-only arrays only.

    Examples
    --------
    >>> read_only(np.zeros(2)).flags.writeable
    False
    """
    view = array.view()
    view.flags.writeable = False
    return view


def read_only_block(block: Block) -> Block:
    """Return a block as read-only views of its arrays; see `read_only`."""
    return CSR(*map(read_only, block)) if isinstance(block, CSR) else read_only(block)


def split_ranges(ranges: Ranges, max_rows: int) -> list[Ranges]:
    """Group row ranges, all of the same length, so that each group has at most so many rows; longer ranges are cut.

    Parameters
    ----------
    ranges : ndarray of int64, shape (n_ranges, 2)
        Start and stop of each range.
    max_rows : int

    Returns
    -------
    groups : list of ndarray of int64, shape (n_ranges of the group, 2)
        In order.

    Examples
    --------
    >>> [group.tolist() for group in split_ranges(np.array([[0, 5]]), 3)]
    [[[0, 3]], [[3, 5]]]
    >>> [group.tolist() for group in split_ranges(np.array([[0, 2], [4, 6], [8, 10]]), 4)]
    [[[0, 2], [4, 6]], [[8, 10]]]
    """
    if len(ranges) == 1:
        first, last = ranges[0]
        if last - first <= max_rows:
            return [ranges]
        starts = np.arange(first, last, max_rows)
        return [np.array([[a, min(a + max_rows, last)]]) for a in starts]
    if ranges[0, 1] - ranges[0, 0] > max_rows:
        return [group for each in ranges for group in split_ranges(each[None, :], max_rows)]
    per_group = max_rows // int(ranges[0, 1] - ranges[0, 0])
    return [ranges[i : i + per_group] for i in range(0, len(ranges), per_group)]
