"""Sparse columns that are far from zero, or in extreme units: they are centred and scaled while their rows are read.

Sums over sparse rows are taken without centring, and are corrected afterwards. The correction loses digits where a
column's mean is many times its deviation, and all digits where it is 1e8 times. Such a column has a value in nearly all
rows, so that storing it in all rows costs next to nothing. The few columns that need it are rewritten, some thousand
rows at a time. All others stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards.blocks import (
    COPY_ROWS,
    Float64s,
    Ranges,
    Rows,
    Targets,
    Workspace,
    read_only,
    read_only_block,
    split_ranges,
)
from offbeat.data.shards.point import Point
from offbeat.data.source import CSR, Block
from offbeat.kernels.arguments import CentredColumns

MAX_MEAN_TO_DEVIATION = 32.0
"""Of a column that is not rewritten. Its square is how many times larger the rounding of sums is without centring."""
MAX_SCALE = 1e100
"""Of a column that is not rewritten; the reciprocal is the least. Squares of others overflow or vanish."""


class Conditioning(NamedTuple):
    """How some columns of sparse rows are rewritten: ``(value - center) * unit``.

    Parameters
    ----------
    columns : ndarray of int64, shape (n_rewritten,)
        Which columns are rewritten.
    place : ndarray of int64, shape (k,)
        Place of each column among those; -1 for all others.
    center, unit : ndarray, shape (n_rewritten,)
        What is subtracted, and the power of two that the rest is multiplied by.
    """

    columns: NDArray[np.int64]
    place: NDArray[np.int64]
    center: Float64s
    unit: Float64s

    def inner(self, point: Point) -> Point:
        """Return the same point for the rewritten columns."""
        coef, center = point.coef.copy(), point.center.copy()
        coef[self.columns] = (coef[self.columns].T / self.unit).T
        center[self.columns] = 0.0
        return point._replace(coef=coef, center=center)

    def restore(self, gradient: NDArray[Any]) -> None:
        """Bring sums over rewritten columns, shape (k,) or (k, n_outputs), back to the columns' own units."""
        gradient[self.columns] = (gradient[self.columns].T / self.unit).T

    def units(self) -> Float64s:
        """Return the unit of each column, shape (k,): 1 for those that stay as they are."""
        units = np.ones(len(self.place))
        units[self.columns] = self.unit
        return units


def needs_conditioning(center: Float64s, scale: Float64s) -> NDArray[np.bool_]:
    """Return which sparse columns must be rewritten.

    Parameters
    ----------
    center, scale : ndarray, shape (k,)
        Mean and deviation of each column.

    Examples
    --------
    >>> needs_conditioning(np.array([0.5, 100.0, 0.0]), np.array([1.0, 1.0, 1e200]))
    array([False,  True,  True])
    """
    usual = (scale > 1.0 / MAX_SCALE) & (scale < MAX_SCALE)
    needed: NDArray[np.bool_] = (np.abs(center) > MAX_MEAN_TO_DEVIATION * scale) | ~usual
    return needed


def conditioned_point(shard: Rows, point: Point) -> tuple[Point, Conditioning | None]:
    """Return the point for rewritten columns, and how to rewrite them.

    Parameters
    ----------
    shard : Shard
    point : Point
        Its ``center`` and ``scale`` say which columns need it.

    Returns
    -------
    point : Point
    how : Conditioning or None
        None, with the same point, where no column needs it.
    """
    if not shard.source.sparse or point.scale is None:
        return point, None
    columns = np.flatnonzero(needs_conditioning(point.center, point.scale))
    if not columns.size:
        return point, None
    place = np.full(len(point.center), -1)
    place[columns] = np.arange(columns.size)
    exponent = np.clip(np.frexp(point.scale[columns])[1], -1000, 1000)
    how = Conditioning(columns, place, point.center[columns], np.ldexp(1.0, -exponent))
    return how.inner(point), how


def conditioned_blocks(
    shard: Rows, fraction: float, workspace: Workspace, how: Conditioning | None
) -> Iterator[tuple[Block, Targets, Ranges]]:
    """Yield the blocks of `Shard.blocks`, with columns rewritten.

    Parameters
    ----------
    shard : Shard
    fraction : float
        Share of the rows to visit.
    workspace : Workspace
    how : Conditioning or None
        From `conditioned_point`; with None, blocks are not changed.
    """
    for block, targets, ranges in shard.blocks(fraction, workspace):
        if how is None or not isinstance(block, CSR):
            yield block, targets, ranges
            continue
        for group in split_ranges(ranges, COPY_ROWS):
            yield _rewritten(block, targets, group, how)


def _rewritten(block: CSR, targets: Targets, ranges: Ranges, how: Conditioning) -> tuple[Block, Targets, Ranges]:
    """Return the given rows as a block of their own, with columns rewritten."""
    from offbeat.kernels.moments import store_centred

    count = int((ranges[:, 1] - ranges[:, 0]).sum())
    stored = int((block.indptr[ranges[:, 1]] - block.indptr[ranges[:, 0]]).sum()) + count * how.columns.size
    kind = block.indices.dtype
    out = CSR(np.empty(count + 1, block.indptr.dtype), np.empty(stored, kind), np.empty(stored))
    columns = CentredColumns(how.columns.astype(kind), how.place, how.center, how.unit)
    store_centred(block, ranges, columns, out)
    used = int(out.indptr[-1])
    chosen = np.concatenate([np.arange(a, b) for a, b in ranges])
    chosen_targets = Targets(*(read_only(values[chosen] if values.size else values) for values in targets))
    whole = CSR(out.indptr, out.indices[:used], out.data[:used])
    return read_only_block(whole), chosen_targets, np.array([[0, count]])
