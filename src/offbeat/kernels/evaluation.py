"""One pass over rows: loss, gradient, what the certificate needs, curvatures, and the Hessian or rows weighted for it.

Every loop adds to its sums, so that blocks of one shard accumulate. All arithmetic is in float64, whatever the type of
the data: a certificate knows no more than its sums do. (A pass over float32 rows takes about 1.2 times as long as in
single precision.) Only the rows weighted for a Hessian are in the type of their buffer.

What a loss says of a row is computed before anything is stored: its methods share an exponential, which would be taken
again after a store (27 ns a row instead of 19). Indices are unsigned, so that nothing looks for negative ones.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import REASSOCIATE, kernel

ROWS_PER_PARTIAL_SUM = 128  # dense rows that are added up apart, so that rounding does not grow with their number


@kernel(fastmath={"contract"}, error_model="numpy")
def row_product(indices, data, first, last, w):
    """Return the product of the entries from ``first`` to ``last``, two ``uint64``, with a vector.

    Sums in four parts, so that an addition need not wait for the one before, were slower: 1.2 times on rows of 23
    entries, 2.7 times on rows of two.
    """
    total = 0.0
    p = first
    while p < last:
        total += data[p] * w[np.uint64(indices[p])]
        p += np.uint64(1)
    return total


@kernel(fastmath={"contract"}, error_model="numpy")
def _row_terms(loss, z, y, weight):
    """Return the loss of a row, its two derivatives and the dual direction, times the weight of the row."""
    return (
        weight * loss.value(z, y),
        weight * loss.derivative(z, y),
        weight * loss.second_derivative(z, y),
        weight * loss.dual_direction(z, y),
    )


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_evaluate(loss, X, target, point, ranges, buffer, bend, sums):
    """Add the sums over the given rows of a dense block.

    Parameters
    ----------
    loss : NamedTuple
        Scalar loss.
    X : ndarray, shape (n, k)
        C-ordered block.
    target : Targets
        Float64 arrays of shape (n,): ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    point : CentredPoint
    ranges : ndarray of int64, shape (r, 2)
        Rows to visit.
    buffer : ndarray, shape (rows visited or 0, k + 1)
        Receives ``sqrt(v l'') ((x - center) unit, 1)``, row after row.
    bend : ndarray, shape (n,) or (0,)
        Receives ``v l''`` of the rows visited.
    sums : EvaluationSums
    """
    y, v, offset = target.y, target.weight, target.offset
    w, center, unit = point.coef, point.center, point.unit
    head, gradient, repair = sums.head, sums.gradient, sums.repair
    k = X.shape[1]
    g = np.zeros(k)
    h = np.zeros(k)
    repairing = repair.shape[0] > 0
    loss_total, slope_total, direction_total = 0.0, 0.0, 0.0  # stored at the end: threads may share a cache line
    row = 0
    pending = 0
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            z = 0.0
            for j in range(k):
                z += (X[i, j] - center[j]) * w[j]
            z += point.intercept
            if offset.shape[0] > 0:
                z += offset[i]
            value, theta, curvature, direction = _row_terms(loss, z, y[i], v[i] if v.shape[0] > 0 else 1.0)
            loss_total += value
            slope_total += theta
            direction_total += direction
            if bend.shape[0] > 0:
                bend[i] = curvature
            if repairing:
                for j in range(k):
                    x = X[i, j] - center[j]
                    g[j] += theta * x
                    h[j] += direction * x
            else:
                for j in range(k):
                    g[j] += theta * (X[i, j] - center[j])
            if buffer.shape[0] > 0:
                root = np.sqrt(curvature)
                for j in range(k):
                    buffer[row, j] = root * (X[i, j] - center[j]) * unit[j]
                buffer[row, k] = root
                row += 1
            pending += 1
            if pending == ROWS_PER_PARTIAL_SUM:
                pending = 0
                for j in range(k):
                    gradient[j] += g[j]
                    g[j] = 0.0
                if repairing:
                    for j in range(k):
                        repair[j] += h[j]
                        h[j] = 0.0
        head[3] += ranges[r, 1] - ranges[r, 0]
    for j in range(k):
        gradient[j] += g[j]
    if repairing:
        for j in range(k):
            repair[j] += h[j]
    head[0] += loss_total
    head[1] += slope_total
    head[2] += direction_total


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_evaluate(loss, X, target, point, ranges, hessian, bend, sums):
    """Add the sums over the given rows of a CSR block about zero, and their outer products to the Hessian.

    Parameters
    ----------
    loss, target, ranges, bend, sums
        As for `dense_evaluate`. The caller corrects for the centre.
    X : CSR
    point : LinearPoint
    hessian : ndarray, shape (k + 1, k + 1) or (0, 0)
        Receives ``sum v l'' (x, 1) (x, 1)'``.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    y, v, offset = target.y, target.weight, target.offset
    w = point.coef
    head, gradient, repair = sums.head, sums.gradient, sums.repair
    one, repairing = np.uint64(1), repair.shape[0] > 0
    loss_total, slope_total, direction_total = 0.0, 0.0, 0.0  # stored at the end: threads may share a cache line
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            first, last = np.uint64(indptr[i]), np.uint64(indptr[i + 1])
            z = point.intercept + row_product(indices, data, first, last, w)
            if offset.shape[0] > 0:
                z += offset[i]
            value, theta, curvature, direction = _row_terms(loss, z, y[i], v[i] if v.shape[0] > 0 else 1.0)
            if bend.shape[0] > 0:
                bend[i] = curvature
            loss_total += value
            slope_total += theta
            direction_total += direction
            p = first
            while p < last:
                gradient[np.uint64(indices[p])] += theta * data[p]
                p += one
            if repairing:
                p = first
                while p < last:
                    repair[np.uint64(indices[p])] += direction * data[p]
                    p += one
            if hessian.shape[0] > 0:
                _add_outer(indices, data, first, last, curvature, hessian)
        head[3] += ranges[r, 1] - ranges[r, 0]
    head[0] += loss_total
    head[1] += slope_total
    head[2] += direction_total


@kernel(error_model="numpy")
def _add_outer(indices, data, first, last, curvature, hessian):
    """Add ``curvature (x, 1) (x, 1)'`` of the row with the entries from ``first`` to ``last``."""
    k = hessian.shape[0] - 1
    hessian[k, k] += curvature
    for p in range(first, last):
        dx = curvature * data[p]
        column = indices[p]
        hessian[column, k] += dx
        hessian[k, column] += dx
        for q in range(first, last):
            hessian[column, indices[q]] += dx * data[q]


@kernel(error_model="numpy")
def loss_sum(loss, z, y, v):
    """Return sums of ``v l(z)``, ``v l'(z)``, ``v l''(z)``, ``v l*(0)``; ``z`` of length 1 is a constant."""
    total = 0.0
    slope = 0.0
    bend = 0.0
    at_zero = 0.0
    for i in range(y.shape[0]):
        zi = z[i] if z.shape[0] > 1 else z[0]
        weight = v[i] if v.shape[0] > 0 else 1.0
        total += weight * loss.value(zi, y[i])
        slope += weight * loss.derivative(zi, y[i])
        bend += weight * loss.second_derivative(zi, y[i])
        at_zero += weight * loss.conjugate(0.0, y[i])
    return total, slope, bend, at_zero
