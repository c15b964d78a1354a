"""Mini-batch gradient steps on a shard's loss plus a pull towards a point: the local solves of ASIP-ADMM."""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel


@kernel(error_model="numpy")
def _move(x, gradient, pull, size, rate):
    """Step against the mean gradient plus the pull; return the length of the step."""
    linear, center, rho = pull.linear, pull.center, pull.rho
    length = 0.0
    for j in range(x.shape[0]):
        d = rate * (gradient[j] / size + linear[j] + rho * (x[j] - center[j]))
        x[j] -= d
        length += d * d
    return np.sqrt(length)


@kernel(error_model="numpy")
def dense_sgd(loss, X, target, x, columns, pull, batches):
    """Take one step a batch on ``mean v l(a'x + o) + linear.x + rho ||x - center||^2 / 2``; return how many.

    Parameters
    ----------
    loss : NamedTuple
    X : ndarray, shape (n, k)
    target : Targets
        Float64 arrays of shape (n,): ``y``, weights (length 0: ones), offsets (length 0: zeros).
    x : ndarray, shape (k + 1,)
        Internal coordinates, the intercept last; updated.
    columns : ScaledColumns
    pull : Pull
    batches : Batches
    """
    y, v, offset = target.y, target.weight, target.offset
    shift, unit, bias = columns.center, columns.unit, columns.intercept
    starts, size, step, tolerance = batches.starts, batches.size, batches.step, batches.tolerance
    k = X.shape[1]
    gradient = np.empty(k + 1)
    for t in range(starts.shape[0]):
        gradient[:] = 0.0
        for i in range(starts[t], starts[t] + size):
            z = x[k] + (offset[i] if offset.shape[0] > 0 else 0.0)
            for j in range(k):
                z += (X[i, j] - shift[j]) * unit[j] * x[j]
            theta = (v[i] if v.shape[0] > 0 else 1.0) * loss.derivative(z, y[i])
            for j in range(k):
                gradient[j] += theta * (X[i, j] - shift[j]) * unit[j]
            gradient[k] += theta * bias
        if _move(x, gradient, pull, size, step / np.sqrt(t + 1.0)) <= tolerance:
            return t + 1
    return starts.shape[0]


@kernel(error_model="numpy")
def sparse_sgd(loss, X, target, x, columns, pull, batches):
    """Do as `dense_sgd` for the rows of a CSR block."""
    indptr, indices, data = X.indptr, X.indices, X.data
    y, v, offset = target.y, target.weight, target.offset
    shift, unit, bias = columns.center, columns.unit, columns.intercept
    starts, size, step, tolerance = batches.starts, batches.size, batches.step, batches.tolerance
    k = x.shape[0] - 1
    gradient = np.empty(k + 1)
    for t in range(starts.shape[0]):
        gradient[:] = 0.0
        along = 0.0
        total = 0.0
        for j in range(k):
            along += shift[j] * unit[j] * x[j]
        for i in range(starts[t], starts[t] + size):
            z = x[k] - along + (offset[i] if offset.shape[0] > 0 else 0.0)
            for p in range(indptr[i], indptr[i + 1]):
                z += data[p] * unit[indices[p]] * x[indices[p]]
            theta = (v[i] if v.shape[0] > 0 else 1.0) * loss.derivative(z, y[i])
            for p in range(indptr[i], indptr[i + 1]):
                gradient[indices[p]] += theta * data[p] * unit[indices[p]]
            total += theta
        for j in range(k):
            gradient[j] -= total * shift[j] * unit[j]
        gradient[k] = total * bias
        if _move(x, gradient, pull, size, step / np.sqrt(t + 1.0)) <= tolerance:
            return t + 1
    return starts.shape[0]
