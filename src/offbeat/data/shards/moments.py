"""Means and deviations of columns: of a shard, and of several shards together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards.blocks import COPY_ROWS, Float64s, Ranges, Rows, Targets, Workspace, read_only
from offbeat.data.source import CSR, Block

MAX_DEVIATION = 1e140
"""Of a column that is summed in its own unit; the reciprocal is the least. Squares of others overflow or vanish."""
Columns = NDArray[np.int64]


class ColumnMoments(NamedTuple):
    """Moments of the columns of a shard.

    Parameters
    ----------
    weight : float
        Sum of the weights of the rows.
    mean : ndarray, shape (k,)
        Weighted means.
    spread : ndarray, shape (k,)
        Roots of the weighted sums of squared deviations from the mean.
    origin : ndarray, shape (k,)
        A value near those of the column, such as its first.
    reach : ndarray, shape (k,)
        Largest absolute difference from ``origin``.
    single : bool
        Whether rows are dense and in single precision.
    """

    weight: float
    mean: Float64s
    spread: Float64s
    origin: Float64s
    reach: Float64s
    single: bool = False


def pooled_moments(shards: list[ColumnMoments]) -> tuple[Float64s, Float64s, Float64s]:
    """Return mean, standard deviation, and a bound of the distance from the mean, of the columns of several shards.

    Parameters
    ----------
    shards : list of ColumnMoments
        Of at least one shard.

    Returns
    -------
    mean, deviation, reach : ndarray, shape (k,)

    Notes
    -----
    Source: Chan, Golub & LeVeque 1983, on pairs of samples.

    Examples
    --------
    >>> one, two = np.array([1.0]), np.array([2.0])
    >>> pooled_moments([ColumnMoments(1.0, one, 0 * one, one, 0 * one), ColumnMoments(1.0, two, 0 * two, two, 0 * two)])
    (array([1.5]), array([0.5]), array([0.5]))
    """
    total = sum(shard.weight for shard in shards) or 1.0
    origin = shards[0].origin
    mean: Float64s = origin + np.sum([shard.weight * (shard.mean - origin) for shard in shards], axis=0) / total
    within = [shard.spread for shard in shards]
    spread = root_of_squares(within + [np.sqrt(shard.weight) * (shard.mean - mean) for shard in shards])
    reach: Float64s = np.max([shard.reach + np.abs(mean - shard.origin) for shard in shards], axis=0)
    return mean, spread / np.sqrt(total), reach


def root_of_squares(terms: list[Float64s]) -> Float64s:
    """Return the root of the sum of squares; the squares themselves may be out of the range of float64.

    Examples
    --------
    >>> root_of_squares([np.array([3e200]), np.array([4e200])])
    array([5.e+200])
    """
    largest: Float64s = np.max(np.abs(terms), axis=0)
    unit = np.where((largest > 0.0) & np.isfinite(largest), largest, 1.0)
    root: Float64s = unit * np.sqrt(np.sum([(term / unit) ** 2 for term in terms], axis=0))
    return root


def column_moments(shard: Rows, fraction: float, workspace: Workspace, columns: Columns | None = None) -> ColumnMoments:
    """Return the moments of columns; see `Shard.moments`. Columns with extreme deviations are summed in other units."""
    k = shard.source.shape[1]
    columns = np.arange(k) if columns is None else columns
    summed = _sparse if shard.source.sparse else _dense
    with np.errstate(invalid="ignore", over="ignore"):  # callers check whether the moments are finite
        found = summed(shard, fraction, workspace, columns, np.ones(columns.size))
        reach = found.reach
        usual = (reach > 1.0 / MAX_DEVIATION) & (reach < MAX_DEVIATION)
        extreme = np.isfinite(reach) & (reach > 0.0) & ~usual
        if extreme.any():
            unit = np.where(extreme, np.ldexp(1.0, -np.clip(np.frexp(reach)[1], -1020, 1020)), 1.0)
            found = summed(shard, fraction, workspace, columns, unit)
    return found


def _dense(shard: Rows, fraction: float, workspace: Workspace, columns: Columns, unit: Float64s) -> ColumnMoments:
    """Return the moments of columns of dense rows, each multiplied by its unit while it is summed."""
    from offbeat.kernels.moments import dense_moments

    k, whole = columns.size, columns.size == shard.source.shape[1]
    origin = np.asarray(shard.source.read(0, 1), dtype=np.float64).reshape(-1)[columns]
    out, reach = np.zeros(2 * k + 1), np.zeros(k)
    for block, targets, ranges in shard.blocks(fraction, workspace):
        for chosen, v, part in [(block, targets.weight, ranges)] if whole else _chosen(block, targets, ranges, columns):
            dense_moments(chosen, v, part, origin, unit, out, reach)
    weight = float(out[-1])
    first = out[:k] / (weight or 1.0)
    spread = np.sqrt(np.maximum(out[k:-1] - weight * first**2, 0.0))
    single = shard.source.dtype == np.float32
    return ColumnMoments(weight, origin + first / unit, spread / unit, origin, reach / unit, single)


def _chosen(
    block: Block, targets: Targets, ranges: Ranges, columns: Columns
) -> Iterator[tuple[NDArray[Any], Float64s, Ranges]]:
    """Yield some columns of a dense block as a copy, with weights and ranges of rows, some thousand rows at a time."""
    assert not isinstance(block, CSR)
    for first, last in ranges:
        for a in range(first, last, COPY_ROWS):
            b = min(a + COPY_ROWS, last)
            chosen = read_only(np.ascontiguousarray(block[a:b, columns]))
            yield chosen, targets.rows(a, b).weight, np.array([[0, b - a]])


def _sparse(shard: Rows, fraction: float, workspace: Workspace, columns: Columns, unit: Float64s) -> ColumnMoments:
    """Return the moments of columns of sparse rows, each multiplied by its unit while it is summed.

    Stored entries are summed about the first one of their column. Rows that store none count as zeros.
    """
    from offbeat.kernels.moments import sparse_moments

    k = columns.size
    place = np.full(shard.source.shape[1], -1)
    place[columns] = np.arange(k)
    origin, out, total, seen = np.full(k, np.nan), np.zeros((k, 4)), 0.0, 0
    extremes = np.tile([np.inf, -np.inf], (k, 1))
    for block, targets, ranges in shard.blocks(fraction, workspace):
        total += sparse_moments(block, targets.weight, ranges, origin, unit, place, out, extremes)
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
    return ColumnMoments(total, mean, np.sqrt(np.maximum(squares, 0.0)) / unit, mean, reach / unit)
