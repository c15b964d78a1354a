"""Multinomial loss: one pass over rows with a predictor for each class.

``l(z, y) = log sum_c exp(z_c) - z_y``, ``theta = softmax(z) - e_y``. With the probabilities ``p = softmax(z)`` a
product of its Hessian with predictors ``t`` is ``p (t - p't)``: the probabilities of each row are all that is kept.
Dense rows have their products from BLAS, so that only the softmax is compiled for them.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels.compiled import kernel
from offbeat.kernels.intrinsics import add_row

ROWS_AT_ONCE = 512  # dense rows whose predictors are made together


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
def keep_probabilities(theta, y, v, probabilities):
    """Write ``softmax(z)`` of each row, given ``v (softmax(z) - e_y)``; rows without weight get zeros."""
    for i in range(theta.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        for c in range(theta.shape[1]):
            probabilities[i, c] = theta[i, c] / weight if weight > 0.0 else 0.0
        if weight > 0.0:
            probabilities[i, int(y[i])] += 1.0


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def sparse_evaluate(X, target, point, first, last, head, gradient, probabilities, each):
    """Add loss and gradient over CSR rows, about zero: one look at each row, in both directions.

    Parameters
    ----------
    X : CSR
    target : Targets
        Class indices, weights and offsets of all rows, each of shape (n,); the latter two may be empty.
    point : LinearPoint
    first, last : int
        Rows to visit.
    head : ndarray, shape (n_classes + 3,)
        As for `softmax_rows`.
    gradient : ndarray, shape (k, n_classes)
    probabilities : ndarray of float32, shape (n, n_classes) or (0, n_classes)
        Receives ``softmax(z)``.
    each : tuple of n_classes zeros
        Its length is the number of classes, which is known when this is compiled.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    y, v, offset = target.y, target.weight, target.offset
    coef, intercept = point.coef, point.intercept
    n_classes = len(each)
    t = np.empty((1, n_classes))
    for i in range(first, last):
        start = offset[i] if offset.shape[0] > 0 else 0.0
        for c in range(n_classes):
            t[0, c] = intercept[c] + start
        for p in range(indptr[i], indptr[i + 1]):
            add_row(t, 0, np.float64(data[p]), coef, indices[p], each)
        own = v[i : i + 1] if v.shape[0] > 0 else v
        softmax_rows(t, y[i : i + 1], own, head)
        if probabilities.shape[0] > 0:
            keep_probabilities(t, y[i : i + 1], own, probabilities[i : i + 1])
        for p in range(indptr[i], indptr[i + 1]):
            add_row(gradient, indices[p], np.float64(data[p]), t, 0, each)


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def sparse_product(X, probabilities, v, w, b, out, total, each):
    """Add the product of the Hessian over a CSR block, about zero, with a direction.

    Parameters
    ----------
    X : CSR
    probabilities : ndarray, shape (n, n_classes)
    v : ndarray of float64, shape (n,) or (0,)
        Weights.
    w : ndarray of float32 or float64, shape (k, n_classes)
        All is computed in its precision.
    b : ndarray, shape (n_classes,)
    out : ndarray, shape (k, n_classes)
    total : ndarray of float64, shape (n_classes,)
        Receives the part of the intercepts.
    each : tuple of n_classes zeros
        Its length is the number of classes, which is known when this is compiled.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    n_classes, real = len(each), w.dtype.type
    t = np.empty((1, n_classes), w.dtype)
    for i in range(indptr.shape[0] - 1):
        for c in range(n_classes):
            t[0, c] = b[c]
        for p in range(indptr[i], indptr[i + 1]):
            add_row(t, 0, real(data[p]), w, indices[p], each)
        mean = real(0.0)
        for c in range(n_classes):
            mean += probabilities[i, c] * t[0, c]
        weight = real(v[i] if v.shape[0] > 0 else 1.0)
        for c in range(n_classes):
            t[0, c] = weight * probabilities[i, c] * (t[0, c] - mean)
            total[c] += t[0, c]
        for p in range(indptr[i], indptr[i + 1]):
            add_row(out, indices[p], real(data[p]), t, 0, each)


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def sparse_diagonal(X, probabilities, v, first, second, total):
    """Add ``sum d x``, ``sum d x^2`` and ``sum d`` over a CSR block, with ``d = v p (1 - p)`` of each class."""
    indptr, indices, data = X.indptr, X.indices, X.data
    n_classes = probabilities.shape[1]
    d = np.empty(n_classes)
    for i in range(indptr.shape[0] - 1):
        weight = v[i] if v.shape[0] > 0 else 1.0
        for c in range(n_classes):
            d[c] = weight * probabilities[i, c] * (1.0 - probabilities[i, c])
            total[c] += d[c]
        for p in range(indptr[i], indptr[i + 1]):
            x, j = data[p], np.uint64(indices[p])
            for c in range(n_classes):
                first[j, c] += x * d[c]
                second[j, c] += x * x * d[c]
