"""Dual coordinate ascent, row by row, for any loss with a derivative, and for those with kinks that have a `dual_step`.

With ``theta`` the dual variable of a row, all else fixed, the best one is ``theta' = l'(z')`` at the ``z'`` that
solves ``z' + q l'(z') = c``, ``c = z + q theta``, ``q = sigma v ||x||^2``: a proximal step of the loss. Many losses
know it (``dual_step``). For others: as ``l'`` increases, ``z'`` is between ``c`` and ``c - q l'(c)``. Newton's method
finds it within that bracket, with bisections; without them it fails on short rows (Shalev-Shwartz & Zhang 2013,
J. Mach. Learn. Res. 14:567; Ma et al. 2015, arXiv 1502.03508, eq. 9 for ``sigma``).

The point moves as `DualScaling` says. `offbeat.solvers.SDCA` has rows about zero and ``shrink = 1 / (n l2)``: the
coefficients are soft thresholds of the point. `offbeat.solvers.ADMM` solves ``min_x sum_i v_i l(a_i'x + o_i) + rho ||x
- c||^2 / 2`` with rows ``a = ((x - center) / scale, 1)``: ``x = c - sum_i v_i theta_i a_i / rho``, ``shrink = 1 /
scale^2`` and ``sigma = 1 / rho``, in the units of the columns, so that nothing is scaled row by row.
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel
from offbeat.kernels.scalar_root import root

LAST_STEP = 1e-6  # of the search for a root, relative: the error after it is about the square
NEAR_ZERO = 1e-3  # added to the size of a root, to which its last step is relative


@kernel(error_model="numpy")
def _soft(value, threshold):
    """Return the soft threshold."""
    if value > threshold:
        return value - threshold
    if value < -threshold:
        return value + threshold
    return 0.0


@kernel(error_model="numpy")
def _dual_step(loss, z, c, q, y):
    """Return the slope where ``at + q slope = c``, by a search from ``z``: for losses that have no ``dual_step``."""
    slope = loss.derivative(c, y)
    low, high = (c - q * slope, c) if slope > 0.0 else (c, c - q * slope)
    return loss.derivative(root(loss, min(max(z, low), high), c, q, y, low, high, LAST_STEP, NEAR_ZERO), y)


def best(loss, z, theta, y, q):
    """Return the best dual variable of a row, all else fixed."""
    if q <= 0.0:
        return loss.derivative(z, y)
    c = z + q * theta
    return loss.dual_step(c, q, y) if hasattr(loss, "dual_step") else _dual_step(loss, z, c, q, y)


@overload(best, jit_options={"error_model": "numpy"})
def _compiled_best(loss, z, theta, y, q):
    """Choose between the ``dual_step`` of the loss and a search while compiling."""
    if hasattr(loss.instance_class, "dual_step"):

        def known(loss, z, theta, y, q):
            return loss.derivative(z, y) if q <= 0.0 else loss.dual_step(z + q * theta, q, y)

        return known

    def found(loss, z, theta, y, q):
        return loss.derivative(z, y) if q <= 0.0 else _dual_step(loss, z, z + q * theta, q, y)

    return found


@kernel(error_model="numpy", fastmath={"reassoc", "contract"})
def _sparse_product(indices, data, first, last, point, threshold):
    """Return the product of a row with the coefficients at ``point``; without ``data``, entries are ones."""
    z = 0.0
    if threshold.shape[0] > 0:
        for p in range(first, last):
            j = np.uintp(indices[p])
            z += (data[p] if data.shape[0] > 0 else 1.0) * _soft(point[j], threshold[j])
    elif data.shape[0] > 0:
        for p in range(first, last):
            z += data[p] * point[np.uintp(indices[p])]
    else:
        for p in range(first, last):
            z += point[np.uintp(indices[p])]
    return z


@kernel(error_model="numpy")
def _sparse_add(indices, data, first, last, point, factor, shrink, equal):
    """Add a row, times ``factor`` and ``shrink`` (``equal`` where that is the same everywhere), to ``point``."""
    if equal == 0.0:
        for p in range(first, last):
            j = np.uintp(indices[p])
            point[j] += factor * (data[p] if data.shape[0] > 0 else 1.0) * shrink[j]
    elif data.shape[0] > 0:
        for p in range(first, last):
            point[np.uintp(indices[p])] += factor * equal * data[p]
    else:
        for p in range(first, last):
            point[np.uintp(indices[p])] += factor * equal


@kernel(error_model="numpy")
def sparse_ascent(loss, X, target, theta, point, scaling, order, moved):
    """Visit rows of a CSR block in the given order; return the duality gap that they had on the way.

    Parameters
    ----------
    loss : NamedTuple
    X : CSR
        Data of length 0: ones.
    target : Targets
        Float64 arrays of shape (n,): ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    theta : ndarray, shape (n,)
        Dual variables, updated.
    point : ndarray, shape (k + 1,)
        The intercept last; updated.
    scaling : DualScaling
    order : ndarray of int64
    moved : ndarray of bool, shape (n,) or (0,)
        Receives whether the dual variables of the rows visited have changed. Of length 0: neither that nor the gap is
        wanted.

    Notes
    -----
    A step along a centred row would touch every coefficient. So ``point`` moves by the row as it is stored, and the
    multiple of the centre that is due is summed in ``due`` and paid at the end.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    y, v, offset = target.y, target.weight, target.offset
    shrink, threshold, sigma, norms = scaling.shrink, scaling.threshold, scaling.sigma, scaling.norms
    k = shrink.shape[0] - 1
    centred = scaling.center.shape[0] > 0
    drift = scaling.center * shrink[:k] if centred else np.empty(0)
    squared, along, due, cross = 0.0, 0.0, 0.0, 0.0
    for j in range(drift.shape[0]):
        squared += scaling.center[j] * drift[j]
        along += scaling.center[j] * point[j]
    gap = 0.0
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight <= 0.0:
            continue
        first, last = indptr[i], indptr[i + 1]
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        z += _sparse_product(indices, data, first, last, point, threshold)
        if centred:
            cross = _sparse_product(indices, data, first, last, drift, threshold)
            z -= along + due * (cross - squared)
        old = theta[i]
        new = best(loss, z, old, y[i], sigma * weight * (norms[i] + shrink[k]))
        if moved.shape[0] > 0:
            gap += weight * (loss.value(z, y[i]) + loss.conjugate(old, y[i]) - z * old)
            moved[i] = new != old
        if new != old:
            theta[i] = new
            factor = sigma * weight * (old - new)
            _sparse_add(indices, data, first, last, point, factor, shrink, scaling.equal)
            point[k] += factor * shrink[k]
            along += factor * cross
            due += factor
    for j in range(drift.shape[0]):
        point[j] -= due * drift[j]
    return gap


@kernel(error_model="numpy")
def dense_ascent(loss, X, target, theta, point, scaling, order, moved):
    """Do as `sparse_ascent` for the rows of a dense block.

    The loops over columns are written out: as functions of their own they took more than twice as long.
    """
    y, v, offset = target.y, target.weight, target.offset
    shrink, threshold, sigma, norms = scaling.shrink, scaling.threshold, scaling.sigma, scaling.norms
    center, centred = scaling.center, scaling.center.shape[0] > 0
    k = X.shape[1]
    gap = 0.0
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight <= 0.0:
            continue
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        for j in range(k):
            x = X[i, j] - (center[j] if centred else 0.0)
            z += x * (_soft(point[j], threshold[j]) if threshold.shape[0] > 0 else point[j])
        old = theta[i]
        new = best(loss, z, old, y[i], sigma * weight * (norms[i] + shrink[k]))
        if moved.shape[0] > 0:
            gap += weight * (loss.value(z, y[i]) + loss.conjugate(old, y[i]) - z * old)
            moved[i] = new != old
        if new != old:
            theta[i] = new
            factor = sigma * weight * (old - new)
            for j in range(k):
                point[j] += factor * (X[i, j] - (center[j] if centred else 0.0)) * shrink[j]
            point[k] += factor * shrink[k]
    return gap
