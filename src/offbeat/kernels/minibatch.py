"""Stochastic proximal gradient over the rows of a block, in one call: what local epochs are made of.

Rows are visited in runs of a given length, in the order given; after each run the coefficients take a proximal step.
All is in internal coordinates: ``z = ((x - center) / scale)'u + b + offset``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)


@njit(cache=True, nogil=True, error_model="numpy")
def _step(penalty, x, sums, gradient, columns, step):
    """Take the proximal step of one run; empty the gradient; add the new point to the sum of all."""
    center, scale, factor, weight, intercept = columns
    k = center.shape[0]
    for j in range(k):
        g = gradient[j] / scale[j]
        c = factor[j]
        v = x[j] - step * g
        x[j] = penalty.prox(c * v, step * c * c, weight[j]) / c
        gradient[j] = 0.0
        sums[j] += x[j]
    if intercept > 0.0:
        x[k] -= step * gradient[k]
    gradient[k] = 0.0
    sums[k] += x[k]


@njit(cache=True, nogil=True, error_model="numpy")
def dense_epoch(loss, penalty, X, target, x, sums, columns, plan):
    """Visit runs of rows of a dense block, with a step after each.

    Parameters
    ----------
    loss, penalty : NamedTuple
    X : ndarray, shape (n, k)
    target : tuple of three float64 arrays
        ``y``, weights (length 0: ones), offsets (length 0: zeros).
    x : ndarray, shape (k + 1,)
        Coefficients and intercept; overwritten.
    sums : ndarray, shape (k + 1,)
        Receives the sum of the points after each step.
    columns : tuple
        ``center``, ``scale``, ``factor`` and ``weight`` of the penalty, shape (k,); 1.0 with an intercept, 0.0 without.
    plan : tuple
        First rows of the runs; rows of a run; first step; its decay a step; steps taken before.
    """
    y, v, offset = target
    starts, run, first, decay, before = plan
    center, scale = columns[0], columns[1]
    n, k = X.shape
    gradient = np.zeros(k + 1)
    w = np.empty(k)
    for r in range(starts.shape[0]):
        last = min(starts[r] + run, n)
        share = 1.0 / (last - starts[r])
        for j in range(k):
            w[j] = x[j] / scale[j]
        for i in range(starts[r], last):
            z = x[k]
            for j in range(k):
                z += (float(X[i, j]) - center[j]) * w[j]
            if offset.shape[0] > 0:
                z += offset[i]
            theta = share * loss.derivative(z, y[i]) * (v[i] if v.shape[0] > 0 else 1.0)
            for j in range(k):
                gradient[j] += theta * (float(X[i, j]) - center[j])
            gradient[k] += theta
        _step(penalty, x, sums, gradient, columns, first / (1.0 + decay * (before + r)) ** 0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def sparse_epoch(loss, penalty, X, target, x, sums, columns, plan):
    """Visit runs of rows of a CSR block: as `dense_epoch`, with ``X = (indptr, indices, data)``."""
    indptr, indices, data = X
    y, v, offset = target
    starts, run, first, decay, before = plan
    center, scale = columns[0], columns[1]
    n, k = indptr.shape[0] - 1, center.shape[0]
    gradient = np.zeros(k + 1)
    for r in range(starts.shape[0]):
        last = min(starts[r] + run, n)
        share = 1.0 / (last - starts[r])
        base = x[k]
        for j in range(k):
            base -= center[j] * x[j] / scale[j]
        for i in range(starts[r], last):
            z = base
            for p in range(indptr[i], indptr[i + 1]):
                z += float(data[p]) * x[indices[p]] / scale[indices[p]]
            if offset.shape[0] > 0:
                z += offset[i]
            theta = share * loss.derivative(z, y[i]) * (v[i] if v.shape[0] > 0 else 1.0)
            for p in range(indptr[i], indptr[i + 1]):
                gradient[indices[p]] += theta * data[p]
            gradient[k] += theta
        for j in range(k):
            gradient[j] -= center[j] * gradient[k]
        _step(penalty, x, sums, gradient, columns, first / (1.0 + decay * (before + r)) ** 0.5)
