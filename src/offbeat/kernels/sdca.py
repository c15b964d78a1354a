"""Dual coordinate ascent, row by row, for any loss with a derivative, and for those with kinks that have a `dual_step`.

With ``theta`` the dual variable of a row, all else fixed, the best one is ``theta' = l'(z')`` at the ``z'`` that
solves ``z' + q l'(z') = c``, ``c = z + q theta``, ``q = v sigma ||x||^2 / (n l2)``: a proximal step of the loss. Many
losses know it (``dual_step``). For others: as ``l'`` increases, ``z'`` is between ``c`` and ``c - q l'(c)``. Newton's
method finds it within that bracket, with bisections; without them it fails on short rows (Shalev-Shwartz & Zhang 2013,
J. Mach. Learn. Res. 14:567; Ma et al. 2015, arXiv 1502.03508, eq. 9 for ``sigma``).

``point`` moves by ``-v (theta' - theta) x / (n l2)``: coefficients are its soft thresholds. The intercept is last, as a
column of ones.
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel
from offbeat.kernels.scalar_root import root

CLOSE = (1e-6, 1e-3)  # of the last step, relative: the error after it is about the square


@kernel(error_model="numpy")
def _soft(value, threshold):
    """Return the soft threshold."""
    if value > threshold:
        return value - threshold
    if value < -threshold:
        return value + threshold
    return 0.0


@kernel(error_model="numpy")
def _newton(loss, z, c, q, y):
    """Return the slope where ``at + q slope = c``, looked for from ``z``, for a loss that has no `dual_step`."""
    slope = loss.derivative(c, y)
    low, high = (c - q * slope, c) if slope > 0.0 else (c, c - q * slope)
    return loss.derivative(root(loss, min(max(z, low), high), c, q, y, (low, high), CLOSE), y)


def best(loss, z, theta, y, q):
    """Return the best dual variable of a row, all else fixed: `_newton`, unless the loss has a ``dual_step``."""
    if q <= 0.0:
        return loss.derivative(z, y)
    c = z + q * theta
    return loss.dual_step(c, q, y) if hasattr(loss, "dual_step") else _newton(loss, z, c, q, y)


@overload(best, jit_options={"error_model": "numpy"})
def _compiled_best(loss, z, theta, y, q):
    """Choose by the class of the loss while compiling."""
    if hasattr(loss.instance_class, "dual_step"):

        def known(loss, z, theta, y, q):
            return loss.derivative(z, y) if q <= 0.0 else loss.dual_step(z + q * theta, q, y)

        return known

    def found(loss, z, theta, y, q):
        return loss.derivative(z, y) if q <= 0.0 else _newton(loss, z, z + q * theta, q, y)

    return found


@kernel(error_model="numpy", fastmath={"reassoc", "contract"})
def _predictor(indices, data, first, last, point, threshold):
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
def _add(indices, data, first, last, point, factor, shrink, even):
    """Add a row, times ``factor`` and ``shrink`` (``even`` where that is the same everywhere), to ``point``."""
    if even == 0.0:
        for p in range(first, last):
            j = np.uintp(indices[p])
            point[j] += factor * (data[p] if data.shape[0] > 0 else 1.0) * shrink[j]
    elif data.shape[0] > 0:
        for p in range(first, last):
            point[np.uintp(indices[p])] += factor * even * data[p]
    else:
        for p in range(first, last):
            point[np.uintp(indices[p])] += factor * even


@kernel(error_model="numpy")
def sparse_ascent(loss, X, target, theta, point, scaling, order, moved):
    """Visit rows of a CSR block in the given order; return the duality gap that they had on the way.

    Parameters
    ----------
    loss : NamedTuple
    X : tuple
        ``indptr, indices, data``; data of length 0: ones.
    target : tuple of three float64 arrays, shape (n,)
        ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    theta : ndarray, shape (n,)
        Dual variables, updated.
    point : ndarray, shape (k + 1,)
        Updated.
    scaling : tuple
        ``shrink`` (k + 1,), ``1 / (n l2)``; ``threshold`` (k,) or (0,), ``l1 / l2``; ``sigma``; ``norms`` (n,) of the
        rows, without the intercept; ``even``, the ``shrink`` of all columns, or 0 where they differ.
    order : ndarray of int64
    moved : ndarray of bool, shape (n,) or (0,)
        Receives whether the dual variables of the rows visited have changed. Of length 0: neither that nor the gap is
        wanted.
    """
    indptr, indices, data = X
    y, v, offset = target
    shrink, threshold, sigma, norms, even = scaling
    k = shrink.shape[0] - 1
    gap = 0.0
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight <= 0.0:
            continue
        first, last = indptr[i], indptr[i + 1]
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        z += _predictor(indices, data, first, last, point, threshold)
        old = theta[i]
        new = best(loss, z, old, y[i], sigma * weight * (norms[i] + shrink[k]))
        if moved.shape[0] > 0:
            gap += weight * (loss.value(z, y[i]) + loss.conjugate(old, y[i]) - z * old)
            moved[i] = new != old
        if new != old:
            theta[i] = new
            factor = sigma * weight * (old - new)
            _add(indices, data, first, last, point, factor, shrink, even)
            point[k] += factor * shrink[k]
    return gap


@kernel(error_model="numpy")
def dense_ascent(loss, X, target, theta, point, scaling, order, moved):
    """Do as `sparse_ascent` for the rows of a dense block."""
    y, v, offset = target
    shrink, threshold, sigma, norms, _ = scaling
    k = X.shape[1]
    gap = 0.0
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight <= 0.0:
            continue
        z = point[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
        for j in range(k):
            z += X[i, j] * (_soft(point[j], threshold[j]) if threshold.shape[0] > 0 else point[j])
        old = theta[i]
        new = best(loss, z, old, y[i], sigma * weight * (norms[i] + shrink[k]))
        if moved.shape[0] > 0:
            gap += weight * (loss.value(z, y[i]) + loss.conjugate(old, y[i]) - z * old)
            moved[i] = new != old
        if new != old:
            theta[i] = new
            factor = sigma * weight * (old - new)
            for j in range(k):
                point[j] += factor * X[i, j] * shrink[j]
            point[k] += factor * shrink[k]
    return gap
