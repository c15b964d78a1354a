"""Some columns of a shard, compressed by column: what coordinate descent on residuals works on.

Data comes by rows. Only the columns that a method works on are turned, and more are fetched when it wants more: far
fewer than all of them where a penalty keeps most coefficients at zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.kernels.arguments import Columns
from offbeat.problem import Floats

GENEROUS = 2.0  # times the entries that are wanted, that are fetched ahead
SOME_ROWS = 16_384  # that facts are taken from
NOWHERE = np.empty(0, np.int32)


class Facts(NamedTuple):
    """Of each column, from a sample of the rows: entries stored, and the mean weighted square about the centre."""

    counts: Floats
    squares: Floats


class Store(NamedTuple):
    """Columns at hand: ``place`` says where each column of the shard is, -1 if it is not there.

    ``columns`` is what kernels take. Dense columns are centred, sparse ones are not.
    """

    place: NDArray[np.int32]
    columns: Columns


def facts(shard: Shard, workspace: Workspace, center: Floats) -> Facts:
    """Return the facts about the columns; a column that the sample misses is taken to be in one row of as many."""
    from offbeat.kernels import coordinate

    counts, squares, row, seen = np.zeros(center.size), np.zeros(center.size), 0, 0
    fraction = min(1.0, SOME_ROWS / shard.n_rows)
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
        return Facts(np.full(center.size, float(shard.n_rows)), squares / seen)
    typical = float(squares.sum()) / max(float(counts.sum()), 1.0)
    return Facts(np.maximum(counts, 0.5) * (shard.n_rows / seen), np.maximum(squares, typical) / seen)


def fetch(
    shard: Shard, workspace: Workspace, about: Facts, wanted: NDArray[np.int64], ranked: NDArray[np.int64],
    center: Floats,
) -> Store:  # fmt: skip
    """Return a store with the wanted columns, and others in the order of ``ranked`` in case they are wanted later."""
    ahead = ranked[~np.isin(ranked, wanted)]
    room = (GENEROUS - 1.0) * float(about.counts[wanted].sum())
    columns = np.sort(np.concatenate([wanted, ahead[np.cumsum(about.counts[ahead]) <= room]]))
    place = np.full(center.size, -1, np.int32)
    place[columns] = np.arange(columns.size)
    if shard.source.sparse:
        return Store(place, _gathered(shard, workspace, place, columns.size))
    data = np.empty((columns.size, shard.n_rows), shard.source.dtype)
    row = 0
    for block, _, ranges in shard.blocks(1.0, workspace):
        assert not isinstance(block, CSR)
        last = row + int(ranges[-1, 1])
        data[:, row:last] = (block[:, columns] - center[columns].astype(block.dtype)).T
        row = last
    bounds = np.arange(columns.size + 1) * shard.n_rows
    return Store(place, Columns(bounds[:-1], bounds[1:], NOWHERE, data.ravel()))


def _gathered(shard: Shard, workspace: Workspace, place: NDArray[np.int32], m: int) -> Columns:
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
