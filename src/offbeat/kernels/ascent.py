"""Dual coordinate ascent for the hinge: proximal problems of a shard, row by row.

The problem is ``min_x sum_i v_i max(0, 1 - s_i (a_i'x + o_i)) + rho ||x - c||^2 / 2`` with rows ``a_i = ((row_i -
centre) / scale, 1)``: internal coordinates, the intercept last. With ``alpha_i`` in [0, 1] and ``theta_i = -s_i
alpha_i``, the solution is ``x = c - sum_i v_i theta_i a_i / rho``, and each step solves for one ``alpha_i`` exactly
(Shalev-Shwartz & Zhang 2013, J. Mach. Learn. Res. 14:567, section 6.1). Coefficients are kept in the units of the
columns, so that nothing is scaled or centred row by row, and sparse rows stay sparse.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels.compiled import kernel


@kernel(error_model="numpy")
def _new_alpha(alpha, z, s, bend):
    """Return the best value of one dual variable, all else fixed."""
    if bend <= 0.0:
        return 1.0 if s * z < 1.0 else 0.0
    return min(1.0, max(0.0, alpha + (1.0 - s * z) / bend))


@kernel(error_model="numpy")
def dense_ascent(X, target, alpha, point, columns, strength, order):
    """Visit rows in the given order; return the duality gap that they had on the way, roughly.

    Parameters
    ----------
    X : ndarray, shape (n, k)
    target : tuple of three float64 arrays, shape (n,)
        ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    alpha : ndarray, shape (n,)
        Dual variables, updated.
    point : ndarray, shape (k + 1,)
        Coefficients in the units of the columns and the intercept, updated.
    columns : tuple of two arrays, shape (k,)
        Centre, and ``1 / scale^2``.
    strength : tuple of float
        ``rho``, and 1 when there is an intercept, else 0.
    order : ndarray of int64
        Rows to visit.
    """
    y, v, offset = target
    center, shrink = columns
    rho, bias = strength
    k = X.shape[1]
    gap = 0.0
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight <= 0.0:
            continue
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        norm = bias
        for j in range(k):
            x = X[i, j] - center[j]
            z += x * point[j]
            norm += x * x * shrink[j]
        s = 2.0 * y[i] - 1.0
        gap += weight * (max(0.0, 1.0 - s * z) - alpha[i] * (1.0 - s * z))
        new = _new_alpha(alpha[i], z, s, weight * norm / rho)
        change = weight * s * (new - alpha[i]) / rho
        alpha[i] = new
        if change != 0.0:
            for j in range(k):
                point[j] += change * (X[i, j] - center[j]) * shrink[j]
            point[k] += change * bias
    return gap


@kernel(error_model="numpy")
def sparse_ascent(X, target, alpha, point, columns, strength, order):
    """Do as `dense_ascent` for the rows of a CSR block.

    Moving along a centred row would touch every coefficient: the multiple of the centre that is due is kept apart, and
    paid when all rows are done. Entries that repeat a column of their row are added up for its norm.
    """
    indptr, indices, data = X
    y, v, offset = target
    center, shrink = columns
    rho, bias = strength
    k = shrink.shape[0]
    row = np.zeros(k)
    gap = 0.0
    due = 0.0
    squared = bias
    along = 0.0
    for j in range(k):
        squared += center[j] * center[j] * shrink[j]
        along += center[j] * point[j]
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight <= 0.0:
            continue
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0) - along + due * (squared - bias)
        norm = squared
        cross = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            x = float(data[p])
            z += x * point[j]
            cross += x * center[j] * shrink[j]
            row[j] += x
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            norm += row[j] * row[j] * shrink[j]
            row[j] = 0.0
        z -= due * cross
        norm -= 2.0 * cross
        s = 2.0 * y[i] - 1.0
        gap += weight * (max(0.0, 1.0 - s * z) - alpha[i] * (1.0 - s * z))
        new = _new_alpha(alpha[i], z, s, weight * norm / rho)
        change = weight * s * (new - alpha[i]) / rho
        alpha[i] = new
        if change != 0.0:
            for p in range(indptr[i], indptr[i + 1]):
                point[indices[p]] += change * data[p] * shrink[indices[p]]
            along += change * cross
            due += change
            point[k] += change * bias
    for j in range(k):
        point[j] -= due * center[j] * shrink[j]
    return gap


@kernel(error_model="numpy")
def dense_hinge(X, target, alpha, point, center, out):
    """Set dual variables from a point, if there is one, and add up what they stand for, class by class.

    Parameters
    ----------
    X, target, alpha
        As for `dense_ascent`.
    point : ndarray, shape (k + 1,) or (0,)
        Where ``alpha`` is to be the subgradient, in the units of the columns; of length 0: ``alpha`` stays.
    center : ndarray, shape (k,)
    out : ndarray, shape (2, k + 3)
        For each class: ``sum v theta (x - centre)``, ``sum v theta``, ``sum v (l*(theta) - theta o)``, ``sum v``.
    """
    y, v, offset = target
    k = X.shape[1]
    for i in range(X.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        o = offset[i] if offset.shape[0] > 0 else 0.0
        s = 2.0 * y[i] - 1.0
        if point.shape[0] > 0:
            z = point[k] + o
            for j in range(k):
                z += (X[i, j] - center[j]) * point[j]
            alpha[i] = 1.0 if s * z < 1.0 else 0.0
        c = 1 if s > 0.0 else 0
        theta = -weight * s * alpha[i]
        out[c, k + 2] += weight
        if theta != 0.0:
            for j in range(k):
                out[c, j] += theta * (X[i, j] - center[j])
            out[c, k] += theta
            out[c, k + 1] -= weight * alpha[i] * (1.0 - s * o)


@kernel(error_model="numpy")
def sparse_hinge(X, target, alpha, point, center, out):
    """Do as `dense_hinge` for the rows of a CSR block."""
    indptr, indices, data = X
    y, v, offset = target
    k = center.shape[0]
    before = out[:, k].copy()
    along = 0.0
    if point.shape[0] > 0:
        for j in range(k):
            along += center[j] * point[j]
    for i in range(indptr.shape[0] - 1):
        weight = v[i] if v.shape[0] > 0 else 1.0
        o = offset[i] if offset.shape[0] > 0 else 0.0
        s = 2.0 * y[i] - 1.0
        if point.shape[0] > 0:
            z = point[k] + o - along
            for p in range(indptr[i], indptr[i + 1]):
                z += data[p] * point[indices[p]]
            alpha[i] = 1.0 if s * z < 1.0 else 0.0
        c = 1 if s > 0.0 else 0
        theta = -weight * s * alpha[i]
        out[c, k + 2] += weight
        if theta != 0.0:
            for p in range(indptr[i], indptr[i + 1]):
                out[c, indices[p]] += theta * data[p]
            out[c, k] += theta
            out[c, k + 1] -= weight * alpha[i] * (1.0 - s * o)
    for c in range(2):
        for j in range(k):
            out[c, j] -= (out[c, k] - before[c]) * center[j]
