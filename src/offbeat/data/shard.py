"""A run of rows, and the only code that knows dense from sparse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import alone, cuts
from offbeat.data.source import CSR, Block, Source

Float64s = NDArray[np.float64]
HEAD = 4
HESSIAN_BYTES = 400_000  # of weighted rows at once: they should stay in the second-level cache
HESSIAN_ROWS = 512  # at least
SAMPLE_RUN = 16
STREAM_BYTES = 8 << 20


class Point(NamedTuple):
    """Where a shard is asked to evaluate the loss, in the columns' own units.

    ``coef`` has shape (k,) or (k, n_outputs), ``intercept`` (n_outputs,), ``center`` (k,):
    ``z = (x - center)'coef + intercept + offset``. ``fraction`` of the rows is visited, evenly spread; ``hessian`` and
    ``repair`` say which sums are wanted beside loss and gradient. With a ``scale``, shape (k,), the Hessian is that of
    columns divided by it, and sums over sparse columns far from zero or in extreme units keep their digits. Where rows
    are dense and in single precision, ``exact`` takes Hessians, and products with several outputs, in double.
    """

    coef: Float64s
    intercept: Float64s
    center: Float64s
    fraction: float = 1.0
    hessian: bool = False
    repair: bool = False
    scale: Float64s | None = None
    exact: bool = True

    @property
    def label(self) -> str:
        """What the step does, for the reader of a trace."""
        return f"{'gradient' if self.fraction >= 1.0 else 'sample'}{' + Hessian' if self.hessian else ''}"


class Sums(NamedTuple):
    """A shard's contribution: ``head`` (loss, theta, h, rows), gradient, repair, Hessian with the intercept last."""

    head: Float64s
    gradient: Float64s
    repair: Float64s | None
    hessian: Float64s | None

    def flat(self) -> Float64s:
        """Return all sums as one flat array: what goes on the board."""
        parts = [self.head, self.gradient.ravel()]
        parts += [part.ravel() for part in (self.repair, self.hessian) if part is not None]
        return np.concatenate(parts)

    @classmethod
    def unflat(cls, flat: Float64s, point: Point) -> Sums:
        """Return the sums that `flat` packed for this point."""
        size, n_outputs = point.coef.size, point.intercept.size
        n_head = head_size(n_outputs)
        head, gradient = flat[:n_head], flat[n_head : n_head + size]
        rest = flat[n_head + size :]
        repair = rest[:size] if point.repair else None
        rest = rest[size:] if point.repair else rest
        hessian = rest.reshape(size + n_outputs, -1) if point.hessian else None
        return cls(head, gradient, repair, hessian)


class Moments(NamedTuple):
    """Columns of a shard: sum of weights, weighted mean, root of the sum of squared deviations, reach.

    ``reach`` is the largest absolute difference from ``origin``, a value near by. ``single`` says that the rows are
    dense and in single precision.
    """

    weight: float
    mean: Float64s
    spread: Float64s
    origin: Float64s
    reach: Float64s
    single: bool = False


def moments_of(parts: list[Moments]) -> tuple[Float64s, Float64s, Float64s]:
    """Return mean, deviation and a bound of the distance from the mean of the columns of several shards.

    Source: Chan, Golub & LeVeque 1983, on pairs of samples.

    Examples
    --------
    >>> one, two = np.array([1.0]), np.array([2.0])
    >>> moments_of([Moments(1.0, one, 0 * one, one, 0 * one), Moments(1.0, two, 0 * two, two, 0 * two)])
    (array([1.5]), array([0.5]), array([0.5]))
    """
    total = sum(part.weight for part in parts) or 1.0
    origin = parts[0].origin
    mean: Float64s = origin + np.sum([part.weight * (part.mean - origin) for part in parts], axis=0) / total
    within = [part.spread for part in parts]
    spread = root_of_squares(within + [np.sqrt(part.weight) * (part.mean - mean) for part in parts])
    reach: Float64s = np.max([part.reach + np.abs(mean - part.origin) for part in parts], axis=0)
    return mean, spread / np.sqrt(total), reach


def root_of_squares(parts: list[Float64s]) -> Float64s:
    """Return the root of the sum of squares, which themselves may be out of range.

    Examples
    --------
    >>> root_of_squares([np.array([3e200]), np.array([4e200])])
    array([5.e+200])
    """
    largest: Float64s = np.max(np.abs(parts), axis=0)
    unit = np.where((largest > 0.0) & np.isfinite(largest), largest, 1.0)
    root: Float64s = unit * np.sqrt(np.sum([(part / unit) ** 2 for part in parts], axis=0))
    return root


def head_size(n_outputs: int) -> int:
    """Return the length of ``head``: loss, theta of each output, h, rows."""
    return HEAD - 1 + n_outputs


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
        Threads that a step may use for this shard alone: see `offbeat.data.row_threads`.
    spans : tuple of (int, int)
        Which of all rows of the data these are, as runs; empty where they are rows ``start`` to ``stop`` of all.
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
        """Return the features as one matrix, in the columns' own units: for programs that work on rows as they like.

        Nothing is copied where the data is in memory as it is; anything else is read once, whole, whatever the memory
        budget.

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
        block = _frozen(self.source.read(self.start, self.stop))
        if not isinstance(block, CSR):
            return block
        from scipy.sparse import csr_array  # where data is dense, nothing else loads it

        indptr, indices, data = block
        first, last = int(indptr[0]), int(indptr[-1])
        return csr_array(
            (data[first:last], indices[first:last], indptr - indptr[0]), shape=(self.n_rows, self.source.shape[1])
        )

    def alone(self) -> Shard:
        """Return this shard without the rows of others: what is sent to another process.

        Files stay where they are, and are read there.
        """
        source = alone(self.source, self.start, self.stop)
        return self if source is self.source else replace(self, source=source, start=0, stop=self.n_rows)

    def ranges(self, fraction: float = 1.0) -> NDArray[np.int64]:
        """Return runs of rows (start, stop), evenly spread over the shard, that hold about this fraction of it."""
        n = self.n_rows
        run = SAMPLE_RUN if self.source.resident else max(SAMPLE_RUN, self.block_rows // 8)
        count = int(np.ceil(fraction * n / run))
        if fraction >= 1.0 or count * run >= n:
            return np.array([[0, n]], dtype=np.int64)
        starts = (np.arange(count) * (n - run)) // max(count - 1, 1)
        return np.stack([starts, starts + run], axis=1).astype(np.int64)

    def blocks(self, fraction: float, workspace: Workspace) -> Iterator[tuple[Block, Targets, NDArray[np.int64]]]:
        """Yield blocks of rows, their targets, and the rows to visit inside each block.

        A resident source is one block; any other is read through the workspace, run by run.
        """
        ranges = self.ranges(fraction)
        if self.source.resident:
            block = self.source.read(self.start, self.stop)
            yield _frozen(block), Targets(self.y, self.weight, self.offset), ranges
            return
        for first, last in ranges:
            for start, stop in cuts(self.source, self.start + first, self.start + last, self.block_rows):
                if self.cancelled():
                    raise Cancelled
                a, b = start - self.start, stop - self.start
                block = self.source.read(start, stop, workspace.scratch(self))
                yield _frozen(block), self._targets(a, b), np.array([[0, b - a]], dtype=np.int64)

    def _targets(self, a: int, b: int) -> Targets:
        weight = self.weight[a:b] if self.weight.size else self.weight
        offset = self.offset[a:b] if self.offset.size else self.offset
        return Targets(self.y[a:b], weight, offset)

    def evaluate(self, loss: Any, point: Point, workspace: Workspace) -> Sums:
        """Return the sums of loss, gradient and, where the point asks, Hessian over this shard.

        Parameters
        ----------
        loss : NamedTuple
        point : Point
        workspace : Workspace
            Scratch memory of the worker; reused between steps.
        """
        from offbeat.data import sums

        return sums.evaluate(self, loss, point, workspace)

    def moments(self, fraction: float, workspace: Workspace, columns: NDArray[np.int64] | None = None) -> Moments:
        """Return the weight, mean and deviations of the columns, or of some of them, on a fraction of the rows.

        Parameters
        ----------
        fraction : float
        workspace : Workspace
        columns : ndarray of int64, optional
        """
        from offbeat.data import moments

        return moments.moments(self, fraction, workspace, columns)


class Targets(NamedTuple):
    """Targets, weights and offsets of a block; weights and offsets of length 0 mean ones and zeros."""

    y: Float64s
    weight: Float64s
    offset: Float64s


class Cancelled(Exception):  # noqa: N818  (a signal to the engine, not an error)
    """The engine asked a step to stop between two blocks."""


class Workspace:
    """Scratch memory of one shard's steps: read buffer of sources that are not resident, weighted rows."""

    def __init__(self) -> None:
        self._scratch: NDArray[Any] | None = None
        self._weighted: NDArray[Any] | None = None

    def scratch(self, shard: Shard) -> NDArray[Any]:
        """Return the flat read buffer, made at first use."""
        if self._scratch is None:
            size = 0 if shard.source.sparse else shard.block_rows * shard.source.shape[1]
            self._scratch = np.empty(size, shard.source.dtype)
        return self._scratch

    def weighted(self, n_columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the buffer of weighted rows, made at first use."""
        if self._weighted is None or self._weighted.dtype != dtype:
            rows = max(HESSIAN_ROWS, HESSIAN_BYTES // (8 * n_columns))
            self._weighted = np.empty((rows, n_columns), dtype)
        return self._weighted


def _frozen(block: Block) -> Block:
    """Return the block as read-only views, so that kernels are compiled for one kind of array only."""
    if isinstance(block, CSR):
        return CSR(*(_read_only(part) for part in block))
    return _read_only(block)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
