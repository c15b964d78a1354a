"""Stochastic proximal gradient steps on runs of rows: the local epochs of `offbeat.solvers.ModelAveraging`.

Rows are visited in runs of a given length, in the order given; after each run the coefficients take a proximal step.
All is in internal coordinates: ``z = ((x - center) / scale)'u + b + offset``.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.compiled import kernel


@kernel(error_model="numpy")
def _step(penalty, x, sums, gradient, columns, step):
    """Take the proximal step of one run; empty the gradient; add the new point to the sum of all."""
    center, scale, factor, weight = columns.center, columns.scale, columns.factor, columns.weight
    k = center.shape[0]
    for j in range(k):
        g = gradient[j] / scale[j]
        c = factor[j]
        v = x[j] - step * g
        x[j] = penalty.prox(c * v, step * c * c, weight[j]) / c
        gradient[j] = 0.0
        sums[j] += x[j]
    if columns.intercept > 0.0:
        x[k] -= step * gradient[k]
    gradient[k] = 0.0
    sums[k] += x[k]


@kernel(error_model="numpy")
def dense_epoch(loss, penalty, X, target, x, sums, columns, plan):
    """Visit runs of rows of a dense block, with a step after each.

    Parameters
    ----------
    loss, penalty : NamedTuple
    X : ndarray, shape (n, k)
    target : Targets
        Float64 arrays of shape (n,): ``y``, weights (length 0: ones), offsets (length 0: zeros).
    x : ndarray, shape (k + 1,)
        Coefficients and intercept; overwritten.
    sums : ndarray, shape (k + 1,)
        Receives the sum of the points after each step.
    columns : MinibatchColumns
    plan : MinibatchPlan
    """
    y, v, offset = target.y, target.weight, target.offset
    starts = plan.starts
    center, scale = columns.center, columns.scale
    n, k = X.shape
    gradient = np.zeros(k + 1)
    w = np.empty(k)
    for r in range(starts.shape[0]):
        last = min(starts[r] + plan.size, n)
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
        _step(penalty, x, sums, gradient, columns, plan.first / (1.0 + plan.decay * (plan.before + r)) ** 0.5)


@kernel(error_model="numpy")
def sparse_epoch(loss, penalty, X, target, x, sums, columns, plan):
    """Visit runs of rows of a CSR block: as `dense_epoch`."""
    indptr, indices, data = X.indptr, X.indices, X.data
    y, v, offset = target.y, target.weight, target.offset
    starts = plan.starts
    center, scale = columns.center, columns.scale
    n, k = indptr.shape[0] - 1, center.shape[0]
    gradient = np.zeros(k + 1)
    for r in range(starts.shape[0]):
        last = min(starts[r] + plan.size, n)
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
        _step(penalty, x, sums, gradient, columns, plan.first / (1.0 + plan.decay * (plan.before + r)) ** 0.5)
