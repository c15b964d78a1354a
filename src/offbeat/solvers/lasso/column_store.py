"""Some columns of a shard, stored by column, for coordinate descent on residuals.

Data is stored by row. Only the columns of working sets are copied, and more when they are needed. If the penalty keeps
most coefficients at zero, these are few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.kernels.arguments import Columns
from offbeat.problem import Floats

PREFETCH_RATIO = 2.0  # entries that are copied, over those that are wanted
STATISTICS_ROWS = 16_384  # sampled for the statistics of columns
NO_ROWS = np.empty(0, np.int32)


class ColumnStatistics(NamedTuple):
    """Statistics of each column, from a sample: stored entries, and weighted mean square about the centre."""

    counts: Floats
    squares: Floats


class ColumnStore(NamedTuple):
    """Stored columns. ``place`` is the place of each column of the shard, or -1 if it is not stored.

    ``columns`` are arguments of the kernels. Dense columns are centred, sparse ones are not.
    """

    place: NDArray[np.int32]
    columns: Columns


def column_statistics(shard: Shard, workspace: Workspace, center: Floats) -> ColumnStatistics:
    """Return the statistics of the columns. A column without entries in the sample counts as half an entry."""
    from offbeat.kernels import coordinate

    counts, squares, row, seen = np.zeros(center.size), np.zeros(center.size), 0, 0
    fraction = min(1.0, STATISTICS_ROWS / shard.n_rows)
    for block, targets, ranges in shard.blocks(fraction, workspace):
        seen += int((ranges[:, 1] - ranges[:, 0]).sum())
        if isinstance(block, CSR):
            coordinate.add_squares(block, targets.weight, ranges, counts, squares)
            continue
        for first, last in ranges:
            part = np.asarray(block[first:last], np.float64) - center
            weight = targets.weight[first:last]
            squares += np.einsum("ij,ij->j", part, part * weight[:, None] if weight.size else part)
            row += len(part)
    if not shard.source.sparse:
        return ColumnStatistics(np.full(center.size, float(shard.n_rows)), squares / seen)
    typical = float(squares.sum()) / max(float(counts.sum()), 1.0)
    return ColumnStatistics(np.maximum(counts, 0.5) * (shard.n_rows / seen), np.maximum(squares, typical) / seen)


def fetch(
    shard: Shard, workspace: Workspace, about: ColumnStatistics, wanted: NDArray[np.int64], ranked: NDArray[np.int64],
    center: Floats,
) -> ColumnStore:  # fmt: skip
    """Return a store with the wanted columns, and others in the order of ``ranked``, which may be needed later."""
    ahead = ranked[~np.isin(ranked, wanted)]
    room = (PREFETCH_RATIO - 1.0) * float(about.counts[wanted].sum())
    columns = np.sort(np.concatenate([wanted, ahead[np.cumsum(about.counts[ahead]) <= room]]))
    place = np.full(center.size, -1, np.int32)
    place[columns] = np.arange(columns.size)
    if shard.source.sparse:
        return ColumnStore(place, _gather_sparse(shard, workspace, place, columns.size))
    data = np.empty((columns.size, shard.n_rows), shard.source.dtype)
    row = 0
    for block, _, ranges in shard.blocks(1.0, workspace):
        assert not isinstance(block, CSR)
        last = row + int(ranges[-1, 1])
        data[:, row:last] = (block[:, columns] - center[columns].astype(block.dtype)).T
        row = last
    bounds = np.arange(columns.size + 1) * shard.n_rows
    return ColumnStore(place, Columns(bounds[:-1], bounds[1:], NO_ROWS, data.ravel()))


def _gather_sparse(shard: Shard, workspace: Workspace, place: NDArray[np.int32], m: int) -> Columns:
    """Return ``m`` sparse columns, stored by column."""
    from offbeat.kernels import coordinate

    counts = np.zeros(m, np.int64)
    for block, _, _ in shard.blocks(1.0, workspace):
        coordinate.count_entries(block, place, counts)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    rows = np.empty(max(int(bounds[-1]), 1), np.int32)  # a length of 0 would mean dense columns
    data = np.empty(rows.size, shard.source.dtype)
    columns, row = Columns(bounds[:-1], bounds[:-1].copy(), rows, data), 0
    for block, _, ranges in shard.blocks(1.0, workspace):
        coordinate.append_columns(block, row, place, columns)
        row += int(ranges[-1, 1])
    return columns
