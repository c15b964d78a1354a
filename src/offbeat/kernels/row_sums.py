"""What `SAGA` has to know of its rows before the first step: slopes, their gradient, columns, the longest row.

As in `offbeat.kernels.saga`, all is in the units of the columns, about a centre, the intercept last; slopes hold the
weights.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel
from offbeat.kernels.saga import REASSOCIATE, dense_length, dense_predict
from offbeat.kernels.saga_sparse import sparse_dot


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_slopes(loss, X, target, point, center, table, head):
    """Set the slopes of a dense block at a point; add what `_start` says to ``head``."""
    y, v, offset = target
    for i in range(X.shape[0]):
        z = dense_predict(X, i, center, point)
        _start(
            loss, z, offset[i] if offset.shape[0] > 0 else 0.0, y[i], v[i] if v.shape[0] > 0 else 1.0, i, table, head
        )


@kernel(error_model="numpy")
def sparse_slopes(loss, X, target, point, table, head):
    """Do as `dense_slopes` for a CSR block; the last number of the point is its predictor of a row of zeros."""
    y, v, offset = target
    for i in range(X[0].shape[0] - 1):
        z = sparse_dot(X, i, point) + point[-1]
        _start(
            loss, z, offset[i] if offset.shape[0] > 0 else 0.0, y[i], v[i] if v.shape[0] > 0 else 1.0, i, table, head
        )


@kernel(error_model="numpy")
def _start(loss, z, base, y, weight, i, table, head):
    """Set the slope ``t`` of a row; add ``t z - v l(z)``, ``v``, ``v l''(z)``, and 1 if the slope is not finite."""
    slope, value = weight * loss.derivative(z + base, y), weight * loss.value(z + base, y)
    bend = weight * loss.second_derivative(z + base, y)
    table[i] = slope
    head[0] += slope * z - value
    head[1] += weight
    head[2] += bend
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
def sparse_columns(X, v, center, squares, counts):
    """Add ``v x (x - 2 center)`` of each column of a CSR block to ``squares``, its number of entries to ``counts``.

    Entries that repeat a column of their row are added up first.
    """
    indptr, indices, data = X
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
    y, v, offset = target
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
    indptr, indices, data = X
    y, v, offset = target
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
