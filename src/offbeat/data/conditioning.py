"""Sparse columns that are far from zero, or in extreme units: centred and scaled while their rows are read.

Sums over sparse rows are about zero and are centred afterwards, which costs digits where a column's mean is many times
its deviation, and all of them where it is 1e8 times. Such a column is stored in nearly all rows, so that storing it in
all of them costs next to nothing. The few columns that need it are rewritten, some thousand rows at a time; all others
stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shard import Float64s, Point, Shard, Targets, Workspace
from offbeat.data.source import CSR, Block

FAR = 32.0  # mean over deviation, squared: how many times more the sums about zero are rounded
USUAL = 1e100  # scales beyond it, or below its reciprocal, have squares that overflow or vanish
ROWS = 4096  # at a time


class Conditioning(NamedTuple):
    """Which columns are rewritten, where each is among them (-1: not), their centres, and units: powers of two."""

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


def awkward(center: Float64s, scale: Float64s) -> NDArray[np.bool_]:
    """Return which sparse columns need it.

    Examples
    --------
    >>> awkward(np.array([0.5, 100.0, 0.0]), np.array([1.0, 1.0, 1e200]))
    array([False,  True,  True])
    """
    usual = (scale > 1.0 / USUAL) & (scale < USUAL)
    marked: NDArray[np.bool_] = (np.abs(center) > FAR * scale) | ~usual
    return marked


def conditioned(shard: Shard, point: Point) -> tuple[Point, Conditioning | None]:
    """Return a point for rewritten columns, and how to rewrite them; the point itself and None where none needs it."""
    if not shard.source.sparse or point.scale is None:
        return point, None
    columns = np.flatnonzero(awkward(point.center, point.scale))
    if not columns.size:
        return point, None
    place = np.full(len(point.center), -1)
    place[columns] = np.arange(columns.size)
    exponent = np.clip(np.frexp(point.scale[columns])[1], -1000, 1000)
    how = Conditioning(columns, place, point.center[columns], np.ldexp(1.0, -exponent))
    return how.inner(point), how


def blocks(
    shard: Shard, fraction: float, workspace: Workspace, how: Conditioning | None
) -> Iterator[tuple[Block, Targets, NDArray[np.int64]]]:
    """Yield what `Shard.blocks` does, with columns rewritten, where that is asked for."""
    for block, targets, ranges in shard.blocks(fraction, workspace):
        if how is None or not isinstance(block, CSR):
            yield block, targets, ranges
            continue
        for part in pieces(ranges, ROWS):
            yield _rewritten(block, targets, part, how)


def pieces(ranges: NDArray[np.int64], rows: int) -> list[NDArray[np.int64]]:
    """Cut ranges of rows, all of the same length, into groups of at most this many rows, in order."""
    if len(ranges) == 1:
        first, last = ranges[0]
        if last - first <= rows:
            return [ranges]
        starts = np.arange(first, last, rows)
        return [np.array([[a, min(a + rows, last)]]) for a in starts]
    if ranges[0, 1] - ranges[0, 0] > rows:
        return [piece for each in ranges for piece in pieces(each[None, :], rows)]
    per_group = rows // int(ranges[0, 1] - ranges[0, 0])
    return [ranges[i : i + per_group] for i in range(0, len(ranges), per_group)]


def _rewritten(
    block: CSR, targets: Targets, ranges: NDArray[np.int64], how: Conditioning
) -> tuple[Block, Targets, NDArray[np.int64]]:
    """Return the given rows as a block of their own."""
    from offbeat.kernels import rows

    count = int((ranges[:, 1] - ranges[:, 0]).sum())
    stored = int((block.indptr[ranges[:, 1]] - block.indptr[ranges[:, 0]]).sum()) + count * how.columns.size
    kind = block.indices.dtype
    out = CSR(np.empty(count + 1, block.indptr.dtype), np.empty(stored, kind), np.empty(stored))
    rows.condition(tuple(block), ranges, (how.columns.astype(kind), how.place, how.center, how.unit), tuple(out))
    used = int(out.indptr[-1])
    chosen = np.concatenate([np.arange(a, b) for a, b in ranges])
    parts = (values[chosen] if values.size else values for values in targets)
    frozen = CSR(out.indptr, out.indices[:used], out.data[:used])
    for values in frozen:
        values.flags.writeable = False
    return frozen, Targets(*map(_frozen, parts)), np.array([[0, count]])


def _frozen(values: Float64s) -> Float64s:
    """Return a read-only view: kernels are compiled for those."""
    view = values.view()
    view.flags.writeable = False
    return view
