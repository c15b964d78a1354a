"""Products with the Hessian of the loss, which is never formed: one look at each row, in both directions.

The Hessian is ``X' diag(bend) X`` with ``bend = v l''(z)``, kept from the evaluation of the point. A row that was
just read for ``x'v`` is still in the first-level cache when ``bend (x'v) x`` is added: a product costs one read of
the rows, where one product with X and one with its transpose cost two.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels.compiled import kernel
from offbeat.kernels.evaluation import row_product


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_diagonal(X, bend, out):
    """Add ``sum bend x`` and ``sum bend x^2`` over a CSR block to ``out``, shape (k, 2)."""
    indptr, indices, data = X.indptr, X.indices, X.data
    for i in range(indptr.shape[0] - 1):
        d = bend[i]
        if d == 0.0:
            continue
        for p in range(indptr[i], indptr[i + 1]):
            j = np.uint64(indices[p])
            dx = d * data[p]
            out[j, 0] += dx
            out[j, 1] += dx * data[p]


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def dense_diagonal(X, bend, center, out):
    """Do as `sparse_diagonal` for a dense block, about ``center``; only the second sum."""
    for i in range(X.shape[0]):
        d = bend[i]
        for j in range(X.shape[1]):
            x = X[i, j] - center[j]
            out[j, 1] += d * x * x


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_product(X, bend, w, b, out):
    """Add ``sum bend (x'w + b) (x, 1)`` over a CSR block, about zero.

    Parameters
    ----------
    X : CSR
    bend : ndarray, shape (n,)
    w : ndarray, shape (k,)
    b : float
    out : ndarray, shape (k + 1,)
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    one = np.uint64(1)
    total = 0.0
    for i in range(indptr.shape[0] - 1):
        if bend[i] == 0.0:
            continue
        first, last = np.uint64(indptr[i]), np.uint64(indptr[i + 1])
        t = bend[i] * (b + row_product(indices, data, first, last, w))
        total += t
        p = first
        while p < last:
            out[np.uint64(indices[p])] += t * data[p]
            p += one
    out[w.shape[0]] += total


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def dense_product(X, bend, w, b, center, out):
    """Do as `sparse_product` for a dense block, about ``center``."""
    k = X.shape[1]
    for i in range(X.shape[0]):
        if bend[i] == 0.0:
            continue
        z = 0.0
        for j in range(k):
            z += (X[i, j] - center[j]) * w[j]
        t = bend[i] * (z + b)
        out[k] += t
        for j in range(k):
            out[j] += t * (X[i, j] - center[j])


@kernel(fastmath={"contract"}, error_model="numpy")
def sparse_block(X, bend, place, ranges, out):
    """Add the Hessian of some columns, and of the intercept, over the given rows of a CSR block, about zero.

    Parameters
    ----------
    X : CSR
    bend : ndarray, shape (n,)
    place : ndarray of int64, shape (k,)
        Where a column goes; -1: nowhere.
    ranges : ndarray of int64, shape (r, 2)
    out : ndarray, shape (m + 1, m + 1)
        Only the lower triangle is written; the intercept is last.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    m = out.shape[0] - 1
    capacity = 0
    for i in range(indptr.shape[0] - 1):
        capacity = max(capacity, indptr[i + 1] - indptr[i])
    where = np.empty(capacity, np.int64)
    values = np.empty(capacity)
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            d = bend[i]
            if d == 0.0:
                continue
            count = 0
            for p in range(indptr[i], indptr[i + 1]):
                spot = place[indices[p]]
                if spot >= 0:
                    where[count] = spot
                    values[count] = data[p]
                    count += 1
            out[m, m] += d
            for a in range(count):
                t = d * values[a]
                row = where[a]
                out[m, row] += t
                out[row, row] += t * values[a]
                for b in range(a):
                    column = where[b]
                    if column == row:  # an entry that is stored twice
                        out[row, row] += 2.0 * t * values[b]
                    else:
                        out[max(row, column), min(row, column)] += t * values[b]
