"""Shards: consecutive rows of a source, with their targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import block_ranges, only_rows
from offbeat.data.shards.blocks import Cancelled, Float64s, Ranges, Targets, Workspace, read_only_block
from offbeat.data.shards.moments import ColumnMoments, column_moments
from offbeat.data.shards.point import Point, Sums
from offbeat.data.source import CSR, Block, Source
from offbeat.errors import DataError

MIN_SAMPLE_RUN_ROWS = 16
"""A sample visits consecutive rows, at least so many at a time."""


@dataclass(frozen=True)
class Shard:
    """Rows ``start`` to ``stop`` of a source, with their targets.

    Parameters
    ----------
    source : Source
    start, stop : int
    y, weight, offset : ndarray of float64
        Of this shard's rows; weight and offset of length 0 mean ones and zeros.
    block_rows : int
        Rows to read at once when the source is not resident.
    cancelled : callable
        Polled between blocks; true stops the step with `Cancelled`.
    threads : int
        Threads that a step may use for this shard alone: see `offbeat.data.shards.threads`.
    spans : tuple of (int, int)
        Which rows of the whole data these are: ranges (first, last + 1). Empty where they are rows ``start`` to
        ``stop``.

    Examples
    --------
    >>> from offbeat import losses
    >>> from offbeat.data.load import as_dataset
    >>> shard = as_dataset([[1.0], [3.0]], [0.0, 2.0]).shards(1)[0]
    >>> point = Point(np.zeros(1), np.zeros(1), np.zeros(1))
    >>> shard.evaluate(losses.Squared(), point, Workspace()).gradient
    array([-6.])
    """

    source: Source
    start: int
    stop: int
    y: Float64s
    weight: Float64s
    offset: Float64s
    block_rows: int = 4096
    cancelled: Callable[[], bool] = field(default=lambda: False, compare=False)
    threads: int = field(default=1, compare=False)
    spans: tuple[tuple[int, int], ...] = field(default=(), compare=False)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    def rows(self) -> Any:
        """Return the features as one matrix, for programs of the user.

        Data that is in memory is not copied. Anything else is read at once, whatever the memory budget.

        Returns
        -------
        X : ndarray or csr_array, shape (n_rows, n_columns)
            float32 or float64, read-only: it may be the user's memory. Columns within a sparse row may be unsorted and
            may repeat.

        Examples
        --------
        >>> import numpy as np
        >>> from offbeat.data.load import as_dataset
        >>> first, second = as_dataset(np.arange(8.0).reshape(4, 2)).shards(2)
        >>> second.rows()
        array([[4., 5.],
               [6., 7.]])
        """
        block = read_only_block(self.source.read(self.start, self.stop))
        if not isinstance(block, CSR):
            return block
        from scipy.sparse import csr_array  # where data is dense, nothing else loads it

        indptr, indices, data = block
        first, last = int(indptr[0]), int(indptr[-1])
        return csr_array(
            (data[first:last], indices[first:last], indptr - indptr[0]), shape=(self.n_rows, self.source.shape[1])
        )

    @property
    def first_row(self) -> int:
        """Number of the first row among all rows of the data: on a cluster, ``start`` counts in the worker's part."""
        return self.spans[0][0] if self.spans else self.start

    @property
    def row_slice(self) -> slice:
        """Which of all rows of the data these are.

        Raises
        ------
        DataError
            They do not follow each other: a worker of a cluster may hold parts from several places.

        Examples
        --------
        >>> import numpy as np
        >>> from offbeat.data.load import as_dataset
        >>> first, second = as_dataset(np.arange(8.0).reshape(4, 2)).shards(2)
        >>> second.row_slice
        slice(2, 4, None)
        """
        spans = self.spans or ((self.start, self.stop),)
        if len(spans) > 1:
            runs = ", ".join(f"{first} to {last - 1}" for first, last in spans)
            raise DataError(
                f"this shard holds rows {runs} of the data, which do not follow each other: give each worker "
                "neighbouring chunks, or cut the data into as many chunks as there are workers"
            )
        return slice(*spans[0])

    def alone(self) -> Shard:
        """Return this shard with no other rows in its source: what is sent to another process.

        Rows in files are not sent. The other process reads the files.
        """
        source, spans = only_rows(self.source, self.start, self.stop), self.spans or ((self.start, self.stop),)
        return self if source is self.source else replace(self, source=source, start=0, stop=self.n_rows, spans=spans)

    def ranges(self, fraction: float = 1.0) -> Ranges:
        """Return row ranges (start, stop), evenly spread over the shard, that hold about this fraction of its rows."""
        n = self.n_rows
        run = MIN_SAMPLE_RUN_ROWS if self.source.resident else max(MIN_SAMPLE_RUN_ROWS, self.block_rows // 8)
        count = int(np.ceil(fraction * n / run))
        if fraction >= 1.0 or count * run >= n:
            return np.array([[0, n]], dtype=np.int64)
        starts = (np.arange(count) * (n - run)) // max(count - 1, 1)
        return np.stack([starts, starts + run], axis=1).astype(np.int64)

    def blocks(self, fraction: float, workspace: Workspace) -> Iterator[tuple[Block, Targets, Ranges]]:
        """Yield blocks of rows, their targets, and the rows to visit inside each block.

        A resident source is one block. Any other is read block by block into the workspace's buffer.

        Parameters
        ----------
        fraction : float
            Share of the rows to visit.
        workspace : Workspace

        Raises
        ------
        Cancelled
            The engine asked the step to stop.
        """
        ranges, targets = self.ranges(fraction), Targets(self.y, self.weight, self.offset)
        if self.source.resident:
            block = self.source.read(self.start, self.stop)
            yield read_only_block(block), targets, ranges
            return
        for first, last in ranges:
            for start, stop in block_ranges(self.source, self.start + first, self.start + last, self.block_rows):
                if self.cancelled():
                    raise Cancelled
                a, b = start - self.start, stop - self.start
                block = self.source.read(start, stop, workspace.read_buffer(self.source, self.block_rows))
                yield read_only_block(block), targets.rows(a, b), np.array([[0, b - a]], dtype=np.int64)

    def evaluate(self, loss: Any, point: Point, workspace: Workspace) -> Sums:
        """Return the sums of loss, gradient and, where the point asks, Hessian over this shard.

        Parameters
        ----------
        loss : NamedTuple
            See `offbeat.losses`.
        point : Point
        workspace : Workspace
            Scratch memory of the worker; reused between steps.

        Returns
        -------
        sums : Sums

        Raises
        ------
        Cancelled
            The engine asked the step to stop.
        """
        from offbeat.data.shards import sums  # loads Numba

        return sums.evaluate(self, loss, point, workspace)

    def moments(self, fraction: float, workspace: Workspace, columns: NDArray[np.int64] | None = None) -> ColumnMoments:
        """Return the means and deviations of the columns.

        Parameters
        ----------
        fraction : float
            Share of the rows to visit.
        workspace : Workspace
        columns : ndarray of int64, optional
            Which columns; by default all.

        Returns
        -------
        moments : ColumnMoments

        Examples
        --------
        >>> from offbeat.data.load import as_dataset
        >>> as_dataset([[1.0], [3.0]], [0.0, 2.0]).shards(1)[0].moments(1.0, Workspace()).mean
        array([2.])
        """
        return column_moments(self, fraction, workspace, columns)
