"""Evaluation of many points, each on its own selection of rows, in one pass.

The folds of a cross-validation share rows. So a block of a few megabytes, which fits into the cache, is read once (from
memory or disk), and every point is evaluated on its rows of the block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import CSRSource, DenseSource
from offbeat.data.shards import Cancelled, Point, Shard, Targets, Workspace, head_size
from offbeat.data.source import CSR, Block
from offbeat.problem import Floats, Loss

DENSE_BYTES = 2 << 20  # of a block of dense rows
SPARSE_BYTES = 16 << 20  # of a block of sparse rows: larger, as a block also costs one operation for each column


class Selection(NamedTuple):
    """Rows of a data set, and a factor that scales their weights to a mean of one.

    Parameters
    ----------
    mask : ndarray of bool, shape (n_rows,)
        One value for each row of the data set.
    factor : float
        Multiplies the weights.
    """

    mask: NDArray[np.bool_]
    factor: float = 1.0


class SelectionQuery(NamedTuple):
    """A point, and the number of the selection that it is evaluated on."""

    selection: int
    point: Point


class _Rows(NamedTuple):
    """Rows in memory: features, targets, and their numbers in the shard."""

    block: Block
    targets: Targets
    where: NDArray[np.int64]


def evaluate(
    shard: Shard, loss: Loss, queries: Sequence[SelectionQuery], selections: Sequence[Selection], workspace: Workspace
) -> list[Floats]:
    """Return the flat sums of each query, over its rows of a shard.

    Parameters
    ----------
    shard : Shard
    loss : NamedTuple
    queries : sequence of SelectionQuery
        Those with the same fraction of rows share one read.
    selections : sequence of Selection
    workspace : Workspace

    Returns
    -------
    sums : list of ndarray
        As `Sums.flat`.

    Examples
    --------
    >>> from offbeat.losses import Squared
    >>> X, y = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 1.0, 1.0])
    >>> shard = Shard(DenseSource(X), 0, 3, y, np.empty(0), np.empty(0))
    >>> queries = [SelectionQuery(0, Point(np.zeros(1), np.zeros(1), np.zeros(1)))]
    >>> sums = evaluate(shard, Squared(), queries, [Selection(np.array([True, False, True]))], Workspace())
    >>> sums[0][-1], sums[0][3]  # gradient, rows
    (np.float64(-5.0), np.float64(2.0))
    """
    totals = [np.zeros(payload_size(query.point)) for query in queries]
    for fraction in sorted({query.point.fraction for query in queries}):
        active = [i for i, query in enumerate(queries) if query.point.fraction == fraction]
        numbers = sorted({queries[i].selection for i in active})
        for rows in _read(shard, fraction, workspace):
            for number in numbers:
                piece = _selected(rows, selections[number], shard)
                if piece is None:
                    continue
                for i in active:
                    if queries[i].selection == number:
                        point = queries[i].point._replace(fraction=1.0)
                        totals[i] += piece.evaluate(loss, point, workspace).flat()
    return totals


def payload_size(point: Point) -> int:
    """Return the length of the contribution that a point asks for.

    Examples
    --------
    >>> payload_size(Point(np.zeros(3), np.zeros(1), np.zeros(3), hessian=True))
    23
    """
    size, n_outputs = point.coef.size, point.intercept.size
    hessian = (size + n_outputs) ** 2 if point.hessian else 0
    return head_size(n_outputs) + size * (1 + point.repair) + hessian


def _read(shard: Shard, fraction: float, workspace: Workspace) -> Iterator[_Rows]:
    """Yield blocks of the rows to visit. A sample of rows in memory is copied into blocks."""
    ranges = shard.ranges(fraction)
    step = _block_rows(shard)
    if shard.source.resident and len(ranges) > 1:
        chosen = (ranges[:, :1] + np.arange(ranges[0, 1] - ranges[0, 0])).ravel()
        whole = shard.source.read(shard.start, shard.stop)
        for a in range(0, len(chosen), step):
            part = chosen[a : a + step]
            yield _Rows(take(whole, part), _targets(shard, part), part)
        return
    for first, last in ranges:
        for a in range(first, last, step):
            if shard.cancelled():
                raise Cancelled
            b = min(a + step, last)
            scratch = None if shard.source.resident else workspace.read_buffer(shard.source, shard.block_rows)
            block = shard.source.read(shard.start + a, shard.start + b, scratch)
            yield _Rows(block, _targets(shard, slice(a, b)), np.arange(a, b))


def _block_rows(shard: Shard) -> int:
    """Return the number of rows to read at a time."""
    if not shard.source.resident:
        return shard.block_rows
    n_columns, itemsize = shard.source.shape[1], shard.source.dtype.itemsize
    if not shard.source.sparse:
        return max(256, DENSE_BYTES // max(1, n_columns * itemsize))
    whole = shard.source.read(shard.start, shard.stop)
    assert isinstance(whole, CSR)
    per_row = (itemsize + whole.indices.itemsize) * max(1, whole.n_stored) / max(1, shard.n_rows)
    return max(256, int(SPARSE_BYTES / per_row))


def _targets(shard: Shard, rows: Any) -> Targets:
    """Return the targets of some rows."""
    weight = shard.weight[rows] if shard.weight.size else shard.weight
    return Targets(shard.y[rows], weight, shard.offset[rows] if shard.offset.size else shard.offset)


def _selected(rows: _Rows, selection: Selection, shard: Shard) -> Shard | None:
    """Return the selected rows as a shard: a view if they are contiguous, else a copy."""
    keep = np.flatnonzero(selection.mask[shard.start + rows.where])
    if not len(keep):
        return None
    block, targets = rows.block, rows.targets
    first, last = int(keep[0]), int(keep[-1]) + 1
    if last - first == len(keep):
        if len(keep) < len(rows.where):
            block = _slice(block, first, last)
            targets = Targets(*(part[first:last] if part.size else part for part in targets))
    else:
        block = take(block, keep)
        targets = Targets(*(part[keep] if part.size else part for part in targets))
    weight = targets.weight * selection.factor if selection.factor != 1.0 and targets.weight.size else targets.weight
    source = CSRSource(block, shard.source.shape[1]) if isinstance(block, CSR) else DenseSource(block)
    return Shard(source, 0, len(keep), _read_only(targets.y), _read_only(weight), _read_only(targets.offset))


def _read_only(values: Floats) -> Floats:
    """Return a read-only view, as kernels are compiled for those."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def _slice(block: Block, first: int, last: int) -> Block:
    """Return a range of rows of a block, as a view."""
    if isinstance(block, CSR):
        return CSR(block.indptr[first : last + 1], block.indices, block.data)
    return block[first:last]


def take(block: Block, rows: NDArray[np.int64]) -> Block:
    """Return some rows of a block as a new block.

    Examples
    --------
    >>> block = CSR(np.array([0, 1, 1, 3]), np.array([0, 1, 2]), np.array([5.0, 6.0, 7.0]))
    >>> take(block, np.array([0, 2]))
    CSR(indptr=array([0, 1, 3]), indices=array([0, 1, 2]), data=array([5., 6., 7.]))
    """
    if not isinstance(block, CSR):
        return block[rows]
    starts, lengths = block.indptr[rows], np.diff(block.indptr)[rows]
    indptr = np.zeros(len(rows) + 1, dtype=block.indptr.dtype)
    np.cumsum(lengths, out=indptr[1:])
    entries = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1], dtype=indptr.dtype)
    return CSR(indptr, block.indices[entries], block.data[entries])
