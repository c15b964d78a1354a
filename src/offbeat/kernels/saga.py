"""SAGA, row by row: dense and sparse epochs, and the sums they start from.

Defazio, Bach & Lacoste-Julien 2014 (NIPS, eq. 1-3); for sparse rows the update on the support alone of Leblond,
Pedregosa & Lacoste-Julien 2017 (AISTATS, eq. 4) with the proximal step of Pedregosa, Leblond & Lacoste-Julien 2017
(NIPS, algorithm 1).

All is in the units of the columns, about ``center`` (dense) or zero (sparse), the intercept last. A step in scaled
coordinates is a step with a rate for each coordinate: ``rate[j] = step * metric[j]``. Tables hold ``v l'(z)``: a weight
is a part of its row's loss.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.compiled import kernel

REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}  # NaN and infinity keep their meaning
LOSS, CROSS, CONJUGATE, BAD = 0, 1, 2, 3
"""What epochs add up: ``v l(z)``, old slope times ``z``, ``t z - v l(z)`` (both without offset), rows without slope."""


@kernel(error_model="numpy", inline="always")
def _slope(loss, z, base, y, weight, old, damping, sums):
    """Return the new slope of a row at the predictor ``z``, and add what the estimate of the gap needs.

    ``damping`` is the step times the squared length of the row where the second derivative has no bound, else 0: a
    change that would carry the row beyond its own minimum is shortened. A slope that is not finite is left as it was.
    """
    new = weight * loss.derivative(z, y)
    if not abs(new) < np.inf:
        sums[BAD] += 1.0
        return old
    if damping > 0.0:
        bend = damping * weight * loss.second_derivative(z, y)
        if bend > 1.0:
            new = old + (new - old) / bend
    value = weight * loss.value(z, y)
    sums[LOSS] += value
    sums[CROSS] += old * (z - base)
    sums[CONJUGATE] += new * (z - base) - value
    return new


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_epoch(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Visit rows of a dense block in the given order, with a step after each.

    Parameters
    ----------
    loss, penalty : NamedTuple
    X : ndarray, shape (n, k)
    target : tuple of three float64 arrays, shape (n,)
        ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    table : ndarray, shape (n,)
        Slopes ``v l'(z)`` as last seen; updated.
    order : ndarray of int64
    state : tuple of two arrays, shape (k + 1,)
        The point and the average gradient, intercept last; updated.
    metric : tuple
        ``center`` (k,); ``rate`` (k + 1,); ``share``, what the change of a row counts in the average; the step where
        rows are to be damped, else 0.
    rule : tuple
        ``shrink`` (k,), by which a ridge or no penalty shrinks, or of length 0: then the prox, with ``factor`` (k,) and
        ``weight`` (k,).
    sums : ndarray, shape (4,)
        Receives the sums named above.
    """
    y, v, offset = target
    x, average = state
    center, rate, share, step = metric
    shrink, factor, strength = rule
    k = X.shape[1]
    for r in range(order.shape[0]):
        i = order[r]
        base = offset[i] if offset.shape[0] > 0 else 0.0
        z = 0.0
        for j in range(k):
            z += (float(X[i, j]) - center[j]) * x[j]
        z += x[k] + base
        length = 0.0
        if step > 0.0:
            for j in range(k):
                d = float(X[i, j]) - center[j]
                length += rate[j] * d * d
            length += rate[k]
        old = table[i]
        new = _slope(loss, z, base, y[i], v[i] if v.shape[0] > 0 else 1.0, old, length, sums)
        table[i] = new
        change = new - old
        part = share * change
        if shrink.shape[0] > 0:
            for j in range(k):
                d = float(X[i, j]) - center[j]
                x[j] = shrink[j] * (x[j] - rate[j] * (change * d + average[j]))
                average[j] += part * d
        else:
            for j in range(k):
                d = float(X[i, j]) - center[j]
                f = factor[j]
                new_x = x[j] - rate[j] * (change * d + average[j])
                x[j] = penalty.prox(f * new_x, rate[j] * f * f, strength[j]) / f
                average[j] += part * d
        x[k] -= rate[k] * (change + average[k])
        average[k] += part


@kernel(error_model="numpy")
def sparse_epoch(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Do as `dense_epoch` for a CSR block: coordinates move only where the row has entries.

    ``metric`` has ``copies`` (k,) in place of ``center``: rows for each entry of a column, so that a column that occurs
    in few rows takes long steps along its average gradient, and all the fewer of them. A repeated entry counts as
    another occurrence.
    """
    indptr, indices, data = X
    y, v, offset = target
    x, average = state
    copies, rate, share, step = metric
    shrink, factor, strength = rule
    k = x.shape[0] - 1
    for r in range(order.shape[0]):
        i = order[r]
        base = offset[i] if offset.shape[0] > 0 else 0.0
        z = x[k] + base
        first, last = indptr[i], indptr[i + 1]
        for p in range(first, last):
            z += float(data[p]) * x[indices[p]]
        length = 0.0
        if step > 0.0:
            length = rate[k]
            for p in range(first, last):
                length += rate[indices[p]] * float(data[p]) ** 2
        old = table[i]
        new = _slope(loss, z, base, y[i], v[i] if v.shape[0] > 0 else 1.0, old, length, sums)
        table[i] = new
        change = new - old
        part = share * change
        if shrink.shape[0] > 0:
            for p in range(first, last):
                j = indices[p]
                d = float(data[p])
                x[j] = shrink[j] * (x[j] - rate[j] * (change * d + copies[j] * average[j]))
                average[j] += part * d
        else:
            for p in range(first, last):
                j = indices[p]
                d = float(data[p])
                f = factor[j]
                new_x = x[j] - rate[j] * (change * d + copies[j] * average[j])
                x[j] = penalty.prox(f * new_x, rate[j] * copies[j] * f * f, strength[j]) / f
                average[j] += part * d
        x[k] -= rate[k] * (change + average[k])
        average[k] += part


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_slopes(loss, X, target, point, center, table, head):
    """Set the slopes of a dense block at a point; add ``t z - v l(z)``, ``v``, ``v l''(z)`` and bad rows to ``head``."""
    y, v, offset = target
    k = X.shape[1]
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(k):
            z += (float(X[i, j]) - center[j]) * point[j]
        z += point[k]
        _start(loss, z, offset[i] if offset.shape[0] > 0 else 0.0, y[i], v[i] if v.shape[0] > 0 else 1.0, i, table, head)


@kernel(error_model="numpy")
def sparse_slopes(loss, X, target, point, table, head):
    """Do as `dense_slopes` for a CSR block, about zero."""
    indptr, indices, data = X
    y, v, offset = target
    for i in range(indptr.shape[0] - 1):
        z = point[-1]
        for p in range(indptr[i], indptr[i + 1]):
            z += float(data[p]) * point[indices[p]]
        _start(loss, z, offset[i] if offset.shape[0] > 0 else 0.0, y[i], v[i] if v.shape[0] > 0 else 1.0, i, table, head)


@kernel(error_model="numpy", inline="always")
def _start(loss, z, base, y, weight, i, table, head):
    """Set the slope of a row and add what it brings."""
    slope = weight * loss.derivative(z + base, y)
    table[i] = slope
    head[0] += slope * z - weight * loss.value(z + base, y)
    head[1] += weight
    head[2] += weight * loss.second_derivative(z + base, y)
    head[3] += 0.0 if abs(slope) < np.inf else 1.0


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_gradient(X, table, center, out):
    """Add the gradient that the slopes of a dense block stand for, intercept last."""
    k = X.shape[1]
    for i in range(X.shape[0]):
        t = table[i]
        for j in range(k):
            out[j] += t * (float(X[i, j]) - center[j])
        out[k] += t


@kernel(error_model="numpy")
def sparse_gradient(X, table, out):
    """Do as `dense_gradient` for a CSR block, about zero."""
    indptr, indices, data = X
    for i in range(indptr.shape[0] - 1):
        t = table[i]
        for p in range(indptr[i], indptr[i + 1]):
            out[indices[p]] += t * data[p]
        out[-1] += t


@kernel(error_model="numpy")
def sparse_columns(X, v, squares, counts):
    """Add ``v x^2`` of every column of a CSR block to ``squares`` and the number of entries to ``counts``."""
    indptr, indices, data = X
    for i in range(indptr.shape[0] - 1):
        weight = v[i] if v.shape[0] > 0 else 1.0
        for p in range(indptr[i], indptr[i + 1]):
            x = float(data[p])
            squares[indices[p]] += weight * x * x
            counts[indices[p]] += 1.0


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_steepest(loss, bound, X, target, point, center, metric):
    """Return the largest curvature of a row of a dense block: ``v l'' ||x||^2`` in the given metric.

    ``bound`` is that of the second derivative; where it is infinite, the second derivative is taken at the point.
    """
    y, v, offset = target
    k = X.shape[1]
    most = 0.0
    for i in range(X.shape[0]):
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        length = metric[k]
        for j in range(k):
            d = float(X[i, j]) - center[j]
            length += metric[j] * d * d
            z += d * point[j]
        bend = bound if bound < np.inf else loss.second_derivative(z, y[i])
        most = max(most, bend * length * (v[i] if v.shape[0] > 0 else 1.0))
    return most


@kernel(error_model="numpy")
def sparse_steepest(loss, bound, X, target, point, metric):
    """Do as `dense_steepest` for a CSR block, about zero; entries that repeat a column are added up first."""
    indptr, indices, data = X
    y, v, offset = target
    k = metric.shape[0] - 1
    row = np.zeros(k)
    most = 0.0
    for i in range(indptr.shape[0] - 1):
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        for p in range(indptr[i], indptr[i + 1]):
            row[indices[p]] += data[p]
            z += data[p] * point[indices[p]]
        length = metric[k]
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            length += metric[j] * row[j] * row[j]
            row[j] = 0.0
        bend = bound if bound < np.inf else loss.second_derivative(z, y[i])
        most = max(most, bend * length * (v[i] if v.shape[0] > 0 else 1.0))
    return most
