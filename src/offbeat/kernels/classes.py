"""Multinomial loss: one pass over rows with a predictor per class. Products through BLAS, the softmax compiled.

``l(z, y) = log sum_c exp(z_c) - z_y``, ``theta = softmax(z) - e_y``.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels.compiled import kernel

ROWS = 512


@kernel(error_model="numpy")
def softmax_rows(z, y, v, head):
    """Replace predictors by ``v (softmax(z) - e_y)``; add the loss and the sums of theta to ``head``.

    Parameters
    ----------
    z : ndarray, shape (n, n_classes)
        Overwritten.
    y : ndarray of float64, shape (n,)
        Class indices.
    v : ndarray of float64, shape (n,) or (0,)
        Weights.
    head : ndarray of float64, shape (n_classes + 3,)
        Loss, theta of each class, h (unused), rows.
    """
    n_classes = z.shape[1]
    for i in range(z.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        largest = z[i, 0]
        for c in range(1, n_classes):
            largest = max(largest, z[i, c])
        label = int(y[i])
        at_label = float(z[i, label] - largest)
        total = 0.0
        for c in range(n_classes):
            e = np.exp(z[i, c] - largest)
            z[i, c] = e
            total += e
        for c in range(n_classes):
            theta = weight * (z[i, c] / total - (1.0 if c == label else 0.0))
            z[i, c] = theta
            head[1 + c] += theta
        head[0] += weight * (np.log(total) - at_label)


@kernel(error_model="numpy")
def sparse_predict(X, coef, intercept, start, z):
    """Write the predictors of ``z.shape[0]`` CSR rows from ``start`` on."""
    indptr, indices, data = X
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            z[i, c] = intercept[c]
        for p in range(indptr[start + i], indptr[start + i + 1]):
            for c in range(z.shape[1]):
                z[i, c] += data[p] * coef[indices[p], c]


@kernel(error_model="numpy")
def sparse_gradient(X, theta, start, gradient):
    """Add ``X'theta`` of CSR rows from ``start`` on."""
    indptr, indices, data = X
    for i in range(theta.shape[0]):
        for p in range(indptr[start + i], indptr[start + i + 1]):
            for c in range(theta.shape[1]):
                gradient[indices[p], c] += data[p] * theta[i, c]
