"""Means and deviations of the columns of a shard, or of some of them; what is extreme is looked at in other units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shard import Float64s, Moments, Shard, Targets, Workspace
from offbeat.data.source import CSR, Block

RANGE = 1e140  # deviations beyond it, or below its reciprocal, have squares that are not in the range of float64
ROWS = 4096  # at a time, of some columns
Columns = NDArray[np.int64]


def moments(shard: Shard, fraction: float, workspace: Workspace, columns: Columns | None = None) -> Moments:
    """Return moments and largest deviations; see `Shard.moments`."""
    k = shard.source.shape[1]
    columns = np.arange(k) if columns is None else columns
    look = _sparse if shard.source.sparse else _dense
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is dealt with by those who asked
        found = look(shard, fraction, workspace, columns, np.ones(columns.size))
        reach = found.reach
        far = np.isfinite(reach) & (reach > 0.0) & ~((reach > 1.0 / RANGE) & (reach < RANGE))
        if far.any():
            unit = np.where(far, np.ldexp(1.0, -np.clip(np.frexp(reach)[1], -1020, 1020)), 1.0)
            found = look(shard, fraction, workspace, columns, unit)
    return found


def _dense(shard: Shard, fraction: float, workspace: Workspace, columns: Columns, unit: Float64s) -> Moments:
    from offbeat.kernels import rows

    k, whole = columns.size, columns.size == shard.source.shape[1]
    origin = np.asarray(shard.source.read(0, 1), dtype=np.float64).reshape(-1)[columns]
    out, reach = np.zeros(2 * k + 1), np.zeros(k)
    for block, targets, ranges in shard.blocks(fraction, workspace):
        for picked, v, part in [(block, targets.weight, ranges)] if whole else _picked(block, targets, ranges, columns):
            rows.dense_moments(picked, v, part, (origin, unit), out, reach)
    weight = float(out[-1])
    first = out[:k] / (weight or 1.0)
    spread = np.sqrt(np.maximum(out[k:-1] - weight * first**2, 0.0))
    single = shard.source.dtype == np.float32
    return Moments(weight, origin + first / unit, spread / unit, origin, reach / unit, single)


def _picked(
    block: Block, targets: Targets, ranges: NDArray[np.int64], columns: Columns
) -> Iterator[tuple[NDArray[Any], Float64s, NDArray[np.int64]]]:
    """Yield some columns of a dense block, their weights and ranges, some thousand rows at a time."""
    assert not isinstance(block, CSR)
    for first, last in ranges:
        for a in range(first, last, ROWS):
            b = min(a + ROWS, last)
            part: NDArray[Any] = np.ascontiguousarray(block[a:b, columns])
            part.flags.writeable = False  # kernels are compiled for that
            yield part, targets.weight[a:b] if targets.weight.size else targets.weight, np.array([[0, b - a]])


def _sparse(shard: Shard, fraction: float, workspace: Workspace, columns: Columns, unit: Float64s) -> Moments:
    """Return the moments of stored entries, about the first of each column, and of zeros for rows that store none."""
    from offbeat.kernels import rows

    k = columns.size
    place = np.full(shard.source.shape[1], -1)
    place[columns] = np.arange(k)
    origin, out, total, seen = np.full(k, np.nan), np.zeros((k, 4)), 0.0, 0
    extremes = np.tile([np.inf, -np.inf], (k, 1))
    for block, targets, ranges in shard.blocks(fraction, workspace):
        total += rows.sparse_moments(tuple(block), targets.weight, ranges, (origin, unit, place), out, extremes)
        seen += int((ranges[:, 1] - ranges[:, 0]).sum())
    origin[np.isnan(origin)] = 0.0
    first, second, weight, count = out.T
    absent, zero = np.where(count < seen, total - weight, 0.0), -origin * unit
    extremes[count < seen, 0] = np.minimum(extremes[:, 0], zero)[count < seen]
    extremes[count < seen, 1] = np.maximum(extremes[:, 1], zero)[count < seen]
    shifted = (first + absent * zero) / (total or 1.0)
    squares = second + absent * zero**2 - total * shifted**2
    about_zero = (first / unit + origin * weight) / (total or 1.0)  # the more exact where most rows store nothing
    mean = np.where(absent > weight, about_zero, origin + shifted / unit)
    reach = np.maximum(np.abs(extremes[:, 0] - shifted), np.abs(extremes[:, 1] - shifted))
    return Moments(total, mean, np.sqrt(np.maximum(squares, 0.0)) / unit, mean, reach / unit)
