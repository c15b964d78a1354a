"""Coordinates in the span of the rows, for data with more columns than rows.

With a ridge every solution is a linear combination of the rows. Let ``A`` be the rows, centred and in the units in
which the penalty is ``alpha / 2 |t|^2``, and let ``A A' = Z Z'``. Then fitting ``Z`` is the same problem: the
predictors and the penalty are the same. ``Z`` is a Cholesky factor with pivoting, truncated at the numerical rank. The
rows of the pivots span all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Cancelled, Shard
from offbeat.problem import Floats

RANK_TOLERANCE = 1e-12  # smallest pivot, over the largest squared length of a row
BLOCK_BYTES = 4 << 20  # of a block of columns
MIN_PRODUCTS_PER_THREAD = 1 << 25


class Span(NamedTuple):
    """Rows in coordinates of their span, shape (n, r); the ``r`` pivot rows; the triangular factor of these rows."""

    rows: Floats
    chosen: NDArray[np.intp]
    triangle: Floats


def span(shard: Shard, center: Floats, unit: Floats) -> Span | None:
    """Return the rows, less ``center`` and divided by ``unit``, in coordinates of their span.

    Parameters
    ----------
    shard : Shard
        All rows, in memory.
    center, unit : ndarray, shape (k,)

    Returns
    -------
    span : Span or None
        None if products of rows overflow, or if all rows are zero.
    """
    from scipy.linalg.lapack import dpstrf

    gram = _gram(shard, center, unit)
    largest = float(np.max(np.diag(gram), initial=0.0))
    if not 0.0 < largest < np.inf or not np.all(np.isfinite(gram)):
        return None
    factor, pivots, rank, _ = dpstrf(gram, tol=RANK_TOLERANCE * largest, lower=1)
    order = pivots - 1
    rows = np.empty((len(gram), rank))
    rows[order] = np.tril(factor)[:, :rank]
    return Span(rows, order[:rank], np.ascontiguousarray(np.tril(factor[:rank, :rank])))


def lift(shard: Shard, found: Span, center: Floats, unit: Floats, v: Floats) -> Floats:
    """Return coefficients of the columns, shape (k, m), from those in coordinates of the span, shape (r, m)."""
    from scipy.linalg import solve_triangular

    shares = np.zeros((len(found.rows), v.shape[1]))
    shares[found.chosen] = solve_triangular(found.triangle, v, lower=True, trans="T")
    X = shard.rows()
    if shard.source.sparse:
        coef: Floats = X.T @ shares - np.outer(center, shares.sum(axis=0))
    else:
        coef = np.empty((len(center), v.shape[1]))
        for part in _blocks(shard, len(center)):
            coef[part] = (X[:, part] - center[part]).T @ shares
    return coef / (unit * unit)[:, None]


def _gram(shard: Shard, center: Floats, unit: Floats) -> Floats:
    """Return the Gram matrix of the rows, shape (n, n)."""
    X = shard.rows()
    if shard.source.sparse:
        scaled = X.multiply(1.0 / unit).tocsr()
        shift = center / unit
        along = scaled @ shift
        gram: Floats = (scaled @ scaled.T).toarray()
        gram += float(shift @ shift) - along - along[:, None]
        return gram

    def one(part: slice) -> Floats:
        rows = X[:, part] - center[part]
        rows /= unit[part]
        product: Floats = rows @ rows.T
        return product

    return _sum_over_blocks(one, shard, len(center))


def _sum_over_blocks(function: Callable[[slice], Floats], shard: Shard, k: int) -> Floats:
    """Return the sum of a function over blocks of columns, on several threads if the work is large enough."""
    parts = list(_blocks(shard, k))
    threads = int(min(shard.threads, len(parts), max(1, shard.n_rows**2 * k // MIN_PRODUCTS_PER_THREAD)))

    def several(first: int) -> Floats:
        total = function(parts[first])
        for part in parts[first + threads :: threads]:
            if shard.cancelled():
                raise Cancelled
            total += function(part)
        return total

    if threads < 2:
        return several(0)
    with ThreadPoolExecutor(threads) as pool:
        total: Floats = np.sum(list(pool.map(several, range(threads))), axis=0)
    return total


def _blocks(shard: Shard, k: int) -> Iterator[slice]:
    """Yield slices of columns that hold at most `BLOCK_BYTES` each."""
    step = max(64, BLOCK_BYTES // (8 * max(shard.n_rows, 1)))
    for first in range(0, k, step):
        yield slice(first, min(first + step, k))
