"""Sums over all rows for methods that keep a number for each row: SAGA, dual ascent, interior points.

These numbers are slopes of the loss, ``t = v l'(z)``, or dual variables ``theta``, without the weight. Points are in
the units of the columns, the intercept last.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import REASSOCIATE, kernel
from offbeat.kernels.saga import dense_length, dense_predict
from offbeat.kernels.saga_sparse import sparse_dot

BESIDE = 1e-9  # distance from zero, or from the end of a piece of a conjugate, at which a piece is asked for
MOST_PIECES = 1000  # of a conjugate, on each side of zero


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_slopes(loss, X, target, point, center, table, head):
    """Set the slopes of the rows of a dense block at a point, and add their sums to ``head``.

    Parameters
    ----------
    loss : NamedTuple
    X : ndarray, shape (n, k)
    target : Targets
    point : ndarray, shape (k + 1,)
    center : ndarray, shape (k,)
    table : ndarray, shape (n,)
        Receives ``v l'(z)``.
    head : ndarray, shape (4,)
        Sums of ``t z - v l(z)`` with the slopes ``t`` and without offsets in ``z``, of ``v``, of ``v l''(z)``, and the
        number of rows whose slope is not finite.
    """
    y, v, offset = target.y, target.weight, target.offset
    for i in range(X.shape[0]):
        z = dense_predict(X, i, center, point)
        base, weight = offset[i] if offset.shape[0] > 0 else 0.0, v[i] if v.shape[0] > 0 else 1.0
        _add_row(loss, z, base, y[i], weight, i, table, head)


@kernel(error_model="numpy")
def sparse_slopes(loss, X, target, point, table, head):
    """Do as `dense_slopes` for a CSR block; the last number of the point is its predictor of a row of zeros."""
    y, v, offset = target.y, target.weight, target.offset
    for i in range(X.indptr.shape[0] - 1):
        z = sparse_dot(X, i, point) + point[-1]
        base, weight = offset[i] if offset.shape[0] > 0 else 0.0, v[i] if v.shape[0] > 0 else 1.0
        _add_row(loss, z, base, y[i], weight, i, table, head)


@kernel(error_model="numpy")
def _add_row(loss, z, base, y, weight, i, table, head):
    """Set the slope of a row, and add to the sums of `dense_slopes`."""
    slope, value = weight * loss.derivative(z + base, y), weight * loss.value(z + base, y)
    bend = weight * loss.second_derivative(z + base, y)
    table[i] = slope
    head[0] += slope * z - value
    head[1] += weight
    head[2] += bend
    head[3] += 0.0 if abs(slope) < np.inf else 1.0


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_gradient(X, slopes, center, out):
    """Add ``sum t (x - center, 1)`` over the rows of a dense block, with slopes ``t`` that hold the weights.

    Parameters
    ----------
    X : ndarray, shape (n, k)
    slopes : ndarray, shape (n,)
    center : ndarray, shape (k,)
    out : ndarray, shape (1 or 2, k + 1)
        The first row receives the sum over all rows, the second, if there is one, that over rows with ``t > 0``.
    """
    k = X.shape[1]
    for i in range(X.shape[0]):
        t = slopes[i]
        if t == 0.0:
            continue
        for c in range(out.shape[0] if t > 0.0 else 1):
            for j in range(k):
                out[c, j] += t * (float(X[i, j]) - center[j])
            out[c, k] += t


@kernel(error_model="numpy")
def sparse_gradient(X, slopes, out):
    """Do as `dense_gradient` for a CSR block, about zero."""
    indptr, indices, data = X.indptr, X.indices, X.data
    for i in range(indptr.shape[0] - 1):
        t = slopes[i]
        if t == 0.0:
            continue
        for c in range(out.shape[0] if t > 0.0 else 1):
            for p in range(indptr[i], indptr[i + 1]):
                out[c, indices[p]] += t * data[p]
            out[c, -1] += t


@kernel(error_model="numpy")
def sparse_columns(X, v, center, squares, counts):
    """Add ``v x (x - 2 center)`` of each column of a CSR block to ``squares``, its number of entries to ``counts``.

    Entries that repeat a column of their row are added up first.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    row = np.zeros(center.shape[0])
    for i in range(indptr.shape[0] - 1):
        weight = v[i] if v.shape[0] > 0 else 1.0
        for p in range(indptr[i], indptr[i + 1]):
            row[indices[p]] += data[p]
            counts[indices[p]] += 1.0
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            squares[j] += weight * row[j] * (row[j] - 2.0 * center[j])
            row[j] = 0.0


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_steepest(loss, bound, X, target, point, center, metric):
    """Return the largest curvature of a row of a dense block: ``v l'' ||x||^2`` in the given metric.

    ``bound`` is that of the second derivative; where it is infinite, the second derivative is taken at the point.
    """
    y, v, offset = target.y, target.weight, target.offset
    most = 0.0
    for i in range(X.shape[0]):
        z = dense_predict(X, i, center, point) + (offset[i] if offset.shape[0] > 0 else 0.0)
        length = dense_length(X, i, center, metric)
        bend = bound if bound < np.inf else loss.second_derivative(z, y[i])
        most = max(most, bend * length * (v[i] if v.shape[0] > 0 else 1.0))
    return most


@kernel(error_model="numpy")
def sparse_steepest(loss, bound, X, target, point, center, metric):
    """Do as `dense_steepest` for a CSR block; entries that repeat a column are added up first."""
    indptr, indices, data = X.indptr, X.indices, X.data
    y, v, offset = target.y, target.weight, target.offset
    k = metric.shape[0] - 1
    row = np.zeros(k)
    about = 0.0
    for j in range(k):
        about += metric[j] * center[j] * center[j]
    most = 0.0
    for i in range(indptr.shape[0] - 1):
        z = sparse_dot(X, i, point) + point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        for p in range(indptr[i], indptr[i + 1]):
            row[indices[p]] += data[p]
        length = metric[k] + about
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            length += metric[j] * row[j] * (row[j] - 2.0 * center[j])
            row[j] = 0.0
        bend = bound if bound < np.inf else loss.second_derivative(z, y[i])
        most = max(most, bend * length * (v[i] if v.shape[0] > 0 else 1.0))
    return most


@kernel(error_model="numpy")
def sparse_norms(X, shrink, center, row, out):
    """Set the squared norms of the rows of a CSR block; entries that repeat a column of their row are added up first.

    Parameters
    ----------
    X : CSR
    shrink : ndarray, shape (k or more,)
        The norm is ``sum_j shrink_j (x_j - center_j)^2``.
    center : ndarray, shape (k,) or (0,)
        Length 0: zeros.
    row : ndarray, shape (k,)
        Scratch memory: zeros.
    out : ndarray, shape (n,)
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    centred = center.shape[0] > 0
    squared = 0.0
    for j in range(center.shape[0]):
        squared += center[j] * center[j] * shrink[j]
    for i in range(out.shape[0]):
        first, last = indptr[i], indptr[i + 1]
        for p in range(first, last):
            row[indices[p]] += data[p]
        norm = squared
        for p in range(first, last):
            j = indices[p]
            norm += row[j] * (row[j] - (2.0 * center[j] if centred else 0.0)) * shrink[j]
            row[j] = 0.0
        out[i] = norm


@kernel(error_model="numpy")
def dense_norms(X, shrink, center, out):
    """Do as `sparse_norms` for the rows of a dense block."""
    centred = center.shape[0] > 0
    for i in range(out.shape[0]):
        norm = 0.0
        for j in range(X.shape[1]):
            x = X[i, j] - (center[j] if centred else 0.0)
            norm += x * x * shrink[j]
        out[i] = norm


@kernel(error_model="numpy")
def conjugates(loss, target, theta, out):
    """Add the conjugates at dual variables, and the dual variables, over all rows.

    Parameters
    ----------
    loss : NamedTuple
    target : Targets
        ``o`` are the offsets.
    theta : ndarray, shape (n,)
    out : ndarray, shape (2, 2)
        The first row receives ``sum v (l*(theta) - theta o)`` and ``sum v theta``, the second the same over the rows
        with ``theta > 0``.
    """
    y, v, offset = target.y, target.weight, target.offset
    for i in range(theta.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight > 0.0:
            o = offset[i] if offset.shape[0] > 0 else 0.0
            term = weight * (loss.conjugate(theta[i], y[i]) - theta[i] * o)
            for c in range(2 if theta[i] > 0.0 else 1):
                out[c, 0] += term
                out[c, 1] += weight * theta[i]


@kernel(error_model="numpy")
def sparse_start(loss, X, target, w, b, shrink, theta, head, sums):
    """Set dual variables to the slopes at a point, and add their sums, the loss and ``h``, in one pass.

    Parameters
    ----------
    loss : NamedTuple
    X : CSR
    target : Targets
    w : ndarray, shape (k,)
    b : float
    shrink : ndarray, shape (k + 1,)
    theta : ndarray, shape (n,)
        Receives the slopes, without weights.
    head : ndarray, shape (4,)
        Sums of the loss, of ``v theta``, of ``v h`` and of ``v shrink x^2`` over rows and columns.
    sums : ndarray, shape (3, k + 1)
        Sums of ``v theta x``, of the same where ``theta > 0``, and of ``v h x``; the intercept last.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    y, v, offset = target.y, target.weight, target.offset
    k = w.shape[0]
    for i in range(indptr.shape[0] - 1):
        weight = v[i] if v.shape[0] > 0 else 1.0
        z = b + (offset[i] if offset.shape[0] > 0 else 0.0)
        for p in range(indptr[i], indptr[i + 1]):
            z += data[p] * w[indices[p]]
        slope, value = loss.derivative(z, y[i]), loss.value(z, y[i])  # before anything is stored
        t = weight * slope
        h = weight * loss.dual_direction(z, y[i])
        own = max(t, 0.0)
        theta[i] = slope
        head[0] += weight * value
        head[1] += t
        head[2] += h
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            x = float(data[p])
            sums[0, j] += t * x
            head[3] += weight * x * x * shrink[j]
            if own != 0.0:
                sums[1, j] += own * x
            if h != 0.0:
                sums[2, j] += h * x
        sums[0, k] += t
        sums[1, k] += own
        sums[2, k] += h


@kernel(error_model="numpy")
def dense_start(loss, X, target, w, b, shrink, theta, head, sums):
    """Do as `sparse_start` for a dense block."""
    y, v, offset = target.y, target.weight, target.offset
    k = w.shape[0]
    for i in range(X.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        z = b + (offset[i] if offset.shape[0] > 0 else 0.0)
        for j in range(k):
            z += X[i, j] * w[j]
        slope, value = loss.derivative(z, y[i]), loss.value(z, y[i])  # before anything is stored
        t = weight * slope
        h = weight * loss.dual_direction(z, y[i])
        own = max(t, 0.0)
        theta[i] = slope
        head[0] += weight * value
        head[1] += t
        head[2] += h
        for j in range(k):
            x = float(X[i, j])
            sums[0, j] += t * x
            head[3] += weight * x * x * shrink[j]
            if own != 0.0:
                sums[1, j] += own * x
            if h != 0.0:
                sums[2, j] += h * x
        sums[0, k] += t
        sums[1, k] += own
        sums[2, k] += h


@kernel(error_model="numpy")
def _beside(theta, side):
    """Return a dual variable a little below (-1) or above (1) another."""
    return theta + side * BESIDE * max(1.0, abs(theta))


@kernel(error_model="numpy")
def _lowest(loss, y):
    """Return the ends and the slope of the first straight piece of the conjugate."""
    below = _beside(0.0, -1.0)
    low, high, slope = loss.dual_piece(below if np.isfinite(loss.conjugate(below, y)) else _beside(0.0, 1.0), y)
    for _ in range(MOST_PIECES):
        theta = _beside(low, -1.0)
        if not np.isfinite(loss.conjugate(theta, y)):
            break
        low, high, slope = loss.dual_piece(theta, y)
    return low, high, slope


@kernel(error_model="numpy")
def conjugate_pieces(loss, y, out):
    """Set the ends and slopes of all straight pieces of the conjugate, in order; return the most that a row has.

    Parameters
    ----------
    loss : NamedTuple
        With a ``dual_piece``, and a conjugate that is finite on one side of zero at least.
    y : ndarray, shape (n,)
    out : ndarray, shape (m, 3, n)
        Low end, high end, slope. Where a row has fewer pieces, its last one is cut in parts; where a row has more, the
        rest is left out.
    """
    most = 0
    for i in range(y.shape[0]):
        low, high, slope = _lowest(loss, y[i])
        found = 0
        for _ in range(2 * MOST_PIECES):
            if found < out.shape[0]:
                out[found, 0, i], out[found, 1, i], out[found, 2, i] = low, high, slope
            found += 1
            theta = _beside(high, 1.0)
            if not np.isfinite(loss.conjugate(theta, y[i])):
                break
            low, high, slope = loss.dual_piece(theta, y[i])
        for m in range(found, out.shape[0]):
            middle = 0.5 * (out[m - 1, 0, i] + out[m - 1, 1, i])
            out[m, 0, i], out[m, 1, i], out[m, 2, i] = middle, out[m - 1, 1, i], out[m - 1, 2, i]
            out[m - 1, 1, i] = middle
        most = max(most, found)
    return most


@kernel(error_model="numpy")
def pieces_at(loss, theta, y, out):
    """Set the ends and the slope of the straight piece that each dual variable is on.

    Parameters
    ----------
    loss : NamedTuple
        With a ``dual_piece``.
    theta, y : ndarray, shape (n,)
    out : ndarray, shape (3, n)
        Low end, high end, slope.
    """
    for i in range(theta.shape[0]):
        out[0, i], out[1, i], out[2, i] = loss.dual_piece(theta[i], y[i])
