"""Coordinate descent on columns of the data: the inner iterations of `offbeat.solvers.ProximalNewton`.

The columns lie compressed by column, as a record `Columns`.

The model of the loss around a point is ``theta.s + s'diag(h) s / 2`` in the change ``s`` of the predictors. Its
intercept is eliminated: whatever moves a column moves the intercept along, so that the residuals ``theta + h s`` always
sum to zero. That takes one number for all rows, ``shift``: the residual of row ``i`` is ``residual[i] + h[i] shift``.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.arguments import Sweeps
from offbeat.kernels.compiled import REASSOCIATE, kernel

MIN_CURVATURE = 1e-12  # of a column about its mean, relative to that about zero: less is rounding
ZERO_COLUMN_STEP = 1e100  # of the proximal step of a column that is zero in all rows: only the penalty counts


@kernel(error_model="numpy")
def append_columns(X, first_row, place, columns):
    """Append the entries of a CSR block in the wanted columns; entries that repeat within a row are added up.

    Parameters
    ----------
    X : CSR
    first_row : int
        Row of the shard that the block begins with.
    place : ndarray of int32, shape (k,)
        Where each column goes, -1 for those that are not wanted.
    columns : Columns
        With room for the entries; ``ends`` moves on.
    """
    indptr, indices, values = X.indptr, X.indices, X.data
    starts, ends, rows, data = columns.starts, columns.ends, columns.rows, columns.data
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            c = place[np.uint64(indices[p])]
            if c < 0:
                continue
            at = ends[c]
            if at > starts[c] and rows[at - 1] == first_row + i:
                data[at - 1] += values[p]
            else:
                rows[at] = first_row + i
                data[at] = values[p]
                ends[c] = at + 1


@kernel(error_model="numpy")
def count_entries(X, place, counts):
    """Add the number of entries of a CSR block in each wanted column; ``place`` is that of `append_columns`."""
    indptr, indices = X.indptr, X.indices
    for p in range(indptr[0], indptr[-1]):
        c = place[np.uint64(indices[p])]
        if c >= 0:
            counts[c] += 1


@kernel(error_model="numpy")
def add_squares(X, v, ranges, counts, squares):
    """Add the number of entries and the weighted sum of squares of each column over some rows of a CSR block."""
    indptr, indices, data = X.indptr, X.indices, X.data
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            weight = v[i] if v.shape[0] > 0 else 1.0
            for p in range(indptr[i], indptr[i + 1]):
                counts[indices[p]] += 1.0
                squares[indices[p]] += weight * data[p] * data[p]


@kernel(error_model="numpy")
def violations(penalty, w, gradient, scaling):
    """Return the distance of each ``-gradient`` from the subdifferential at ``w``."""
    factor, weight = scaling.factor, scaling.weight
    out = np.empty(w.shape[0])
    for j in range(w.shape[0]):
        c = factor[j]
        out[j] = c * penalty.subgradient_distance(c * w[j], gradient[j] / c, weight[j])
    return out


@kernel(error_model="numpy")
def expand(loss, z, target, floor, theta, h):
    """Write the first two derivatives of ``v loss`` at the predictors ``z``; the second is at least ``v floor``."""
    y, v = target.y, target.weight
    for i in range(z.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        slope, bend = loss.derivative(z[i], y[i]), loss.second_derivative(z[i], y[i])  # both before any store
        theta[i] = weight * slope
        h[i] = weight * max(bend, floor)


@kernel(error_model="numpy")
def loss_change(loss, z, move, length, target):
    """Return by how much the sum of ``v loss`` changes from ``z`` to ``z + length move``."""
    y, v = target.y, target.weight
    total = 0.0
    for i in range(z.shape[0]):
        if move[i] != 0.0:
            weight = v[i] if v.shape[0] > 0 else 1.0
            total += weight * (loss.value(z[i] + length * move[i], y[i]) - loss.value(z[i], y[i]))
    return total


@kernel(error_model="numpy")
def penalty_change(penalty, old, new, scaling):
    """Return by how much the penalty changes from ``old`` to ``new``."""
    factor, weight = scaling.factor, scaling.weight
    total = 0.0
    for j in range(old.shape[0]):
        if old[j] != new[j]:
            total += penalty.value(factor[j] * new[j], weight[j]) - penalty.value(factor[j] * old[j], weight[j])
    return total


@kernel(error_model="numpy")
def add_product(columns, chosen, coef, z):
    """Add the chosen columns, times their coefficients, to ``z``."""
    starts, ends, rows, data = columns.starts, columns.ends, columns.rows, columns.data
    for a in range(chosen.shape[0]):
        d = coef[a]
        if d == 0.0:
            continue
        first, last = starts[chosen[a]], ends[chosen[a]]
        if rows.shape[0] > 0:
            for p in range(first, last):
                z[rows[p]] += data[p] * d
        else:
            for i in range(last - first):
                z[i] += data[first + i] * d


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def _sparse_slope(rows, data, residual):
    """Return the sum of ``data * residual[rows]``, in four parts, so that no addition waits for the one before."""
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    n = rows.shape[0]
    for p in range(0, n - 3, 4):
        a += data[p] * residual[rows[p]]
        b += data[p + 1] * residual[rows[p + 1]]
        c += data[p + 2] * residual[rows[p + 2]]
        d += data[p + 3] * residual[rows[p + 3]]
    for p in range(n - n % 4, n):
        a += data[p] * residual[rows[p]]
    return (a + b) + (c + d)


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def _dense_slope(data, residual):
    """Return the sum of ``data * residual``."""
    total = 0.0
    for i in range(data.shape[0]):
        total += data[i] * residual[i]
    return total


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def weigh(columns, chosen, h, weighted, squares, sums):
    """Write ``h x`` for each entry of the chosen columns, and the sums of ``h x^2`` and ``h x`` of each.

    ``h`` of length 0 stands for ones; then, or if ``weighted`` has length 0, nothing is written to ``weighted``.
    """
    starts, ends, rows, data = columns.starts, columns.ends, columns.rows, columns.data
    for a in range(chosen.shape[0]):
        first, last = starts[chosen[a]], ends[chosen[a]]
        square = 0.0
        total = 0.0
        for p in range(first, last):
            x = float(data[p])
            if h.shape[0] > 0:
                hx = x * h[rows[p] if rows.shape[0] > 0 else p - first]
                if weighted.shape[0] > 0:
                    weighted[p] = hx
            else:
                hx = x
            total += hx
            square += x * hx
        squares[a] = square
        sums[a] = total


@kernel(error_model="numpy")
def descend(penalty, columns, weighted, chosen, w, residual, model, scaling, limits):
    """Minimise the model plus the penalty over some columns by cyclic coordinate descent.

    Sweeps all of them, then those away from a kink until they settle, then all again (Friedman, Hastie & Tibshirani
    2010, J. Stat. Softw. 33(1)). As `offbeat.kernels.gram.descend`, but a sweep reads the columns: the two loops differ
    in what a step reads and writes, and in the intercept, which is eliminated here.

    Parameters
    ----------
    penalty : NamedTuple
        Without its own weights.
    columns : Columns
    weighted : ndarray
        ``h x`` beside ``columns.data``; that itself where ``h`` is one.
    chosen : ndarray of int64, shape (m,)
        Positions of the columns.
    w : ndarray, shape (m,)
        Coefficients, overwritten.
    residual : ndarray, shape (n,)
        Derivatives of the loss; overwritten, up to ``h shift``.
    model : ColumnModel
    scaling : PenaltyScaling
    limits : SweepLimits

    Returns
    -------
    sweeps : Sweeps
    shift : float
        Change of the intercept.
    """
    starts, ends, rows, data = columns.starts, columns.ends, columns.rows, columns.data
    squares, sums, mass, n = model.squares, model.sums, model.mass, model.n
    factor, weight = scaling.factor, scaling.weight
    shift = model.shift
    m = chosen.shape[0]
    order = np.arange(m)
    count = m
    everything = True
    first = 0.0
    largest = 0.0
    for sweep in range(limits.max_sweeps):
        largest = 0.0
        kept = 0
        for a in range(count):
            j = order[a]
            begin, end = starts[chosen[j]], ends[chosen[j]]
            old = w[j]
            c = factor[j]
            if squares[j] <= 0.0:
                new = penalty.prox(c * old, ZERO_COLUMN_STEP, weight[j]) / c
                bend = 0.0
            else:
                bend = squares[j]
                if rows.shape[0] > 0:
                    slope = _sparse_slope(rows[begin:end], data[begin:end], residual)
                else:
                    slope = _dense_slope(data[begin:end], residual)
                if mass > 0.0:
                    slope += shift * sums[j]
                    bend = max(bend - sums[j] * (sums[j] / mass), MIN_CURVATURE * bend)
                bend /= n
                new = penalty.prox(c * (old - slope / n / bend), c * c / bend, weight[j]) / c
            d = new - old
            if d != 0.0:
                w[j] = new
                if rows.shape[0] > 0:
                    for p in range(begin, end):
                        residual[rows[p]] += weighted[p] * d
                else:
                    for i in range(end - begin):
                        residual[i] += weighted[begin + i] * d
                if mass > 0.0:
                    shift -= d * (sums[j] / mass)
                largest = max(largest, np.sqrt(bend) * abs(d))
            if everything and (d != 0.0 or new != 0.0):
                order[kept] = j
                kept += 1
        if sweep == 0:
            first = largest
        if largest <= max(limits.relative * first, limits.absolute):
            if everything:
                return Sweeps(first, largest, sweep + 1), shift
            everything = True
            order = np.arange(m)
            count = m
        elif everything:
            everything = False
            count = kept
    return Sweeps(first, largest, limits.max_sweeps), shift
