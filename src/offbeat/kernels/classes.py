"""Multinomial loss: one pass over rows with a predictor per class. Products through BLAS, the softmax compiled.

``l(z, y) = log sum_c exp(z_c) - z_y``, ``theta = softmax(z) - e_y``. With ``p = softmax(z)`` a product of its Hessian
with predictors ``t`` is ``p (t - p't)``, so that the shares ``p`` of each row are all that has to be kept.
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


@kernel(error_model="numpy")
def keep_shares(theta, y, v, shares):
    """Write ``softmax(z)`` of each row, given ``v (softmax(z) - e_y)``; rows without weight get zeros."""
    for i in range(theta.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        for c in range(theta.shape[1]):
            shares[i, c] = theta[i, c] / weight if weight > 0.0 else 0.0
        if weight > 0.0:
            shares[i, int(y[i])] += 1.0


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def sparse_product(X, shares, v, w, b, out, total):
    """Add the product of the Hessian over a CSR block, about zero, with a direction.

    Parameters
    ----------
    X : tuple
        ``indptr, indices, data``.
    shares : ndarray, shape (n, n_classes)
    v : ndarray of float64, shape (n,) or (0,)
        Weights.
    w : ndarray, shape (k, n_classes)
    b : ndarray, shape (n_classes,)
    out : ndarray, shape (k, n_classes)
    total : ndarray, shape (n_classes,)
        Receives the part of the intercepts.
    """
    indptr, indices, data = X
    n_classes = w.shape[1]
    t = np.empty(n_classes)
    for i in range(indptr.shape[0] - 1):
        for c in range(n_classes):
            t[c] = b[c]
        for p in range(indptr[i], indptr[i + 1]):
            x, j = data[p], np.uint64(indices[p])
            for c in range(n_classes):
                t[c] += x * w[j, c]
        mean = 0.0
        for c in range(n_classes):
            mean += shares[i, c] * t[c]
        weight = v[i] if v.shape[0] > 0 else 1.0
        for c in range(n_classes):
            t[c] = weight * shares[i, c] * (t[c] - mean)
            total[c] += t[c]
        for p in range(indptr[i], indptr[i + 1]):
            x, j = data[p], np.uint64(indices[p])
            for c in range(n_classes):
                out[j, c] += x * t[c]


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def sparse_diagonal(X, shares, v, first, second, total):
    """Add ``sum d x``, ``sum d x^2`` and ``sum d`` over a CSR block, with ``d = v p (1 - p)`` of each class."""
    indptr, indices, data = X
    n_classes = shares.shape[1]
    d = np.empty(n_classes)
    for i in range(indptr.shape[0] - 1):
        weight = v[i] if v.shape[0] > 0 else 1.0
        for c in range(n_classes):
            d[c] = weight * shares[i, c] * (1.0 - shares[i, c])
            total[c] += d[c]
        for p in range(indptr[i], indptr[i + 1]):
            x, j = data[p], np.uint64(indices[p])
            for c in range(n_classes):
                first[j, c] += x * d[c]
                second[j, c] += x * x * d[c]
