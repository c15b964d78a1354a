"""Products with the Hessian of the loss, which is never formed: one look at each row, in both directions.

The Hessian is ``X' diag(bend) X`` with ``bend = v l''(z)``, kept from the evaluation of the point. A row that was
just read for ``x'v`` is still in the first-level cache when ``bend (x'v) x`` is added: a product costs one read of
the rows, where one product with X and one with its transpose cost two.

Whatever a loss says of a row is computed before anything is stored: losses share an exponential, which is taken again
after a store (27 ns a row became 19).

Indices are unsigned, so that nothing looks for negative ones. Sums over a row in four parts, so that an addition need
not wait for the one before, were slower: 1.2 times on rows of 23 entries, 2.7 times on rows of two.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel


@kernel(fastmath={"contract"}, error_model="numpy")
def _dot(indices, data, first, last, w):
    """Return the sum of ``data * w[indices]`` from ``first`` to ``last``."""
    total = 0.0
    p = first
    while p < last:
        total += data[p] * w[np.uint64(indices[p])]
        p += np.uint64(1)
    return total


@kernel(fastmath={"contract"}, error_model="numpy")
def _said(loss, z, y, weight, repairing):
    """Return what a loss says of a row, times its weight: slope, curvature, value and, if wanted, dual direction."""
    direction = weight * loss.dual_direction(z, y) if repairing else 0.0
    return weight * loss.derivative(z, y), weight * loss.second_derivative(z, y), weight * loss.value(z, y), direction


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_evaluate(loss, X, target, point, bend, out):
    """Add loss and gradient over a CSR block, about zero; keep the curvature of each row.

    Parameters
    ----------
    loss : NamedTuple
    X : tuple
        ``indptr, indices, data``.
    target : tuple of three float64 arrays, shape (n,)
        ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    point : tuple
        Coefficients (k,) and intercept.
    bend : ndarray, shape (n,)
        Receives ``v l''(z)``.
    out : tuple
        ``head`` (4,): loss, theta, h, rows; sums of ``v theta x`` (k,) and of ``v h x``, (k,) or (0,): not wanted.
    """
    indptr, indices, data = X
    y, v, offset = target
    w, b = point
    head, gradient, repair = out
    one, repairing = np.uint64(1), repair.shape[0] > 0
    total, slope, extra = 0.0, 0.0, 0.0  # stored at the end: the heads of two threads may share a cache line
    for i in range(indptr.shape[0] - 1):
        first, last = np.uint64(indptr[i]), np.uint64(indptr[i + 1])
        z = b + _dot(indices, data, first, last, w)
        if offset.shape[0] > 0:
            z += offset[i]
        weight = v[i] if v.shape[0] > 0 else 1.0
        theta, curvature, value, direction = _said(loss, z, y[i], weight, repairing)
        bend[i] = curvature
        total += value
        slope += theta
        p = first
        while p < last:
            gradient[np.uint64(indices[p])] += theta * data[p]
            p += one
        if repairing:
            extra += direction
            p = first
            while p < last:
                repair[np.uint64(indices[p])] += direction * data[p]
                p += one
    head[0] += total
    head[1] += slope
    head[2] += extra
    head[3] += indptr.shape[0] - 1


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def dense_evaluate(loss, X, target, point, center, bend, out):
    """Do as `sparse_evaluate` for a dense block, about ``center``."""
    y, v, offset = target
    w, b = point
    head, gradient, repair = out
    k, repairing = X.shape[1], repair.shape[0] > 0
    total, slope, extra = 0.0, 0.0, 0.0
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(k):
            z += (X[i, j] - center[j]) * w[j]
        z += b
        if offset.shape[0] > 0:
            z += offset[i]
        weight = v[i] if v.shape[0] > 0 else 1.0
        theta, curvature, value, direction = _said(loss, z, y[i], weight, repairing)
        bend[i] = curvature
        total += value
        slope += theta
        for j in range(k):
            gradient[j] += theta * (X[i, j] - center[j])
        if repairing:
            extra += direction
            for j in range(k):
                repair[j] += direction * (X[i, j] - center[j])
    head[0] += total
    head[1] += slope
    head[2] += extra
    head[3] += X.shape[0]


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_diagonal(X, bend, out):
    """Add ``sum bend x`` and ``sum bend x^2`` over a CSR block to ``out``, shape (k, 2)."""
    indptr, indices, data = X
    for i in range(indptr.shape[0] - 1):
        d = bend[i]
        if d == 0.0:
            continue
        for p in range(indptr[i], indptr[i + 1]):
            j = np.uint64(indices[p])
            dx = d * data[p]
            out[j, 0] += dx
            out[j, 1] += dx * data[p]


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def dense_diagonal(X, bend, center, out):
    """Do as `sparse_diagonal` for a dense block, about ``center``; only the second sum."""
    for i in range(X.shape[0]):
        d = bend[i]
        for j in range(X.shape[1]):
            x = X[i, j] - center[j]
            out[j, 1] += d * x * x


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_product(X, bend, w, b, out):
    """Add ``sum bend (x'w + b) (x, 1)`` over a CSR block, about zero.

    Parameters
    ----------
    X : tuple
        ``indptr, indices, data``.
    bend : ndarray, shape (n,)
    w : ndarray, shape (k,)
    b : float
    out : ndarray, shape (k + 1,)
    """
    indptr, indices, data = X
    one = np.uint64(1)
    total = 0.0
    for i in range(indptr.shape[0] - 1):
        if bend[i] == 0.0:
            continue
        first, last = np.uint64(indptr[i]), np.uint64(indptr[i + 1])
        t = bend[i] * (b + _dot(indices, data, first, last, w))
        total += t
        p = first
        while p < last:
            out[np.uint64(indices[p])] += t * data[p]
            p += one
    out[w.shape[0]] += total


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def dense_product(X, bend, w, b, center, out):
    """Do as `sparse_product` for a dense block, about ``center``."""
    k = X.shape[1]
    for i in range(X.shape[0]):
        if bend[i] == 0.0:
            continue
        z = 0.0
        for j in range(k):
            z += (X[i, j] - center[j]) * w[j]
        t = bend[i] * (z + b)
        out[k] += t
        for j in range(k):
            out[j] += t * (X[i, j] - center[j])


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_block(X, bend, place, ranges, out):
    """Add the Hessian of some columns, and of the intercept, over the given rows of a CSR block, about zero.

    Parameters
    ----------
    X : tuple
        ``indptr, indices, data``.
    bend : ndarray, shape (n,)
    place : ndarray of int64, shape (k,)
        Where a column goes; -1: nowhere.
    ranges : ndarray of int64, shape (r, 2)
    out : ndarray, shape (m + 1, m + 1)
        Only the lower triangle is written; the intercept is last.
    """
    indptr, indices, data = X
    m = out.shape[0] - 1
    capacity = 0
    for i in range(indptr.shape[0] - 1):
        capacity = max(capacity, indptr[i + 1] - indptr[i])
    where = np.empty(capacity, np.int64)
    values = np.empty(capacity)
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            d = bend[i]
            if d == 0.0:
                continue
            count = 0
            for p in range(indptr[i], indptr[i + 1]):
                spot = place[indices[p]]
                if spot >= 0:
                    where[count] = spot
                    values[count] = data[p]
                    count += 1
            out[m, m] += d
            for a in range(count):
                t = d * values[a]
                row = where[a]
                out[m, row] += t
                out[row, row] += t * values[a]
                for b in range(a):
                    column = where[b]
                    if column == row:  # an entry that is stored twice
                        out[row, row] += 2.0 * t * values[b]
                    else:
                        out[max(row, column), min(row, column)] += t * values[b]
