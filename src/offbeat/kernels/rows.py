"""One pass over rows: loss, gradient, what the certificate needs, and rows weighted for the Hessian.

Every kernel adds into its outputs, so that blocks of one shard accumulate. Sums over rows are taken in the type of
the data for at most `FLUSH` rows and in float64 beyond: float32 data keeps its speed without losing small terms.

``head`` holds, in this order, the sums over rows of ``v * loss``, ``v * theta``, ``v * h`` (see
``losses``: ``dual_direction``), and the number of rows.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel

FLUSH = 128
REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}  # NaN and infinity keep their meaning


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_rows(loss, X, target, point, ranges, buffer, out):
    """Add the sums over the given rows of a dense block; write weighted rows if there is a buffer.

    Parameters
    ----------
    loss : NamedTuple
        Scalar loss.
    X : ndarray, shape (n, k)
        C-ordered block.
    target : tuple of three float64 arrays, shape (n,)
        ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    point : tuple
        Coefficients (k,) and centre (k,), both in the type of X, and the intercept.
    ranges : ndarray of int64, shape (r, 2)
        Rows to visit.
    buffer : ndarray, shape (rows visited or 0, k + 1)
        Receives ``sqrt(v l'') (x - centre, 1)``.
    out : tuple
        ``head`` (4,), gradient (k,), repair (k,): float64; the last of length 0 when not wanted.
    """
    y, v, offset = target
    w, center, b = point
    head, gradient, repair = out
    k = X.shape[1]
    kind = X.dtype.type
    g = np.zeros(k, X.dtype)
    h = np.zeros(k, X.dtype)
    repairing = repair.shape[0] > 0
    row = 0
    pending = 0
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            s = kind(0)
            for j in range(k):
                s += (X[i, j] - center[j]) * w[j]
            z = float(s) + b
            if offset.shape[0] > 0:
                z += offset[i]
            weight = v[i] if v.shape[0] > 0 else 1.0
            theta = weight * loss.derivative(z, y[i])
            direction = weight * loss.dual_direction(z, y[i])
            head[0] += weight * loss.value(z, y[i])
            head[1] += theta
            head[2] += direction
            t = kind(theta)
            if repairing:
                d = kind(direction)
                for j in range(k):
                    x = X[i, j] - center[j]
                    g[j] += t * x
                    h[j] += d * x
            else:
                for j in range(k):
                    g[j] += t * (X[i, j] - center[j])
            if buffer.shape[0] > 0:
                root = kind(np.sqrt(weight * loss.second_derivative(z, y[i])))
                for j in range(k):
                    buffer[row, j] = root * (X[i, j] - center[j])
                buffer[row, k] = root
                row += 1
            pending += 1
            if pending == FLUSH:
                pending = 0
                for j in range(k):
                    gradient[j] += g[j]
                    g[j] = 0
                if repairing:
                    for j in range(k):
                        repair[j] += h[j]
                        h[j] = 0
        head[3] += ranges[r, 1] - ranges[r, 0]
    for j in range(k):
        gradient[j] += g[j]
    if repairing:
        for j in range(k):
            repair[j] += h[j]


@kernel(error_model="numpy")
def sparse_rows(loss, X, target, point, ranges, hessian, out):
    """Add the sums over the given rows of a CSR block, and its outer products to the Hessian.

    As `dense_rows`, with ``X = (indptr, indices, data)``, the point ``(w, b)`` in float64 and nothing centred:
    the caller corrects for the centre.

    Parameters
    ----------
    hessian : ndarray, shape (k + 1, k + 1) or (0, 0)
        Receives ``sum v l'' (x, 1) (x, 1)'``.
    """
    indptr, indices, data = X
    y, v, offset = target
    w, b = point
    head, gradient, repair = out
    k = w.shape[0]
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            z = b
            for p in range(indptr[i], indptr[i + 1]):
                z += float(data[p]) * w[indices[p]]
            if offset.shape[0] > 0:
                z += offset[i]
            weight = v[i] if v.shape[0] > 0 else 1.0
            theta = weight * loss.derivative(z, y[i])
            direction = weight * loss.dual_direction(z, y[i])
            head[0] += weight * loss.value(z, y[i])
            head[1] += theta
            head[2] += direction
            for p in range(indptr[i], indptr[i + 1]):
                gradient[indices[p]] += theta * data[p]
            if repair.shape[0] > 0:
                for p in range(indptr[i], indptr[i + 1]):
                    repair[indices[p]] += direction * data[p]
            if hessian.shape[0] > 0:
                d = weight * loss.second_derivative(z, y[i])
                hessian[k, k] += d
                for p in range(indptr[i], indptr[i + 1]):
                    dx = d * data[p]
                    column = indices[p]
                    hessian[column, k] += dx
                    hessian[k, column] += dx
                    for q in range(indptr[i], indptr[i + 1]):
                        hessian[column, indices[q]] += dx * data[q]
        head[3] += ranges[r, 1] - ranges[r, 0]


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_moments(X, v, ranges, shift, out, largest):
    """Add ``sum v (x - shift)``, ``sum v (x - shift)^2`` and ``sum v`` over the given rows of a dense block.

    Parameters
    ----------
    shift : ndarray, shape (k,)
        Any point near the mean: keeps the variance free of cancellation.
    out : ndarray, shape (2 k + 1,)
        First moments, second moments, total weight.
    largest : ndarray, shape (k,)
        Receives the largest ``abs(x - shift)``.
    """
    k = X.shape[1]
    first = np.zeros(k)
    second = np.zeros(k)
    extreme = np.zeros(k)
    total = 0.0
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            weight = v[i] if v.shape[0] > 0 else 1.0
            total += weight
            for j in range(k):
                x = float(X[i, j]) - shift[j]
                size = abs(x)
                first[j] += weight * x
                second[j] += weight * x * x
                extreme[j] = size if size > extreme[j] else extreme[j]
    for j in range(k):
        out[j] += first[j]
        out[k + j] += second[j]
        largest[j] = max(largest[j], extreme[j])
    out[2 * k] += total


@kernel(error_model="numpy")
def sparse_moments(X, v, ranges, out, largest):
    """Add the moments of a CSR block about zero; as `dense_moments`, repeated entries of a row taken apart."""
    indptr, indices, data = X
    k = (out.shape[0] - 1) // 2
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            weight = v[i] if v.shape[0] > 0 else 1.0
            out[2 * k] += weight
            for p in range(indptr[i], indptr[i + 1]):
                x = float(data[p])
                out[indices[p]] += weight * x
                out[k + indices[p]] += weight * x * x
                largest[indices[p]] = max(largest[indices[p]], abs(x))


@kernel(error_model="numpy")
def loss_sum(loss, z, y, v):
    """Return sums of ``v l(z)``, ``v l'(z)``, ``v l''(z)``, ``v l*(0)``; ``z`` of length 1 is a constant."""
    total = 0.0
    slope = 0.0
    bend = 0.0
    at_zero = 0.0
    for i in range(y.shape[0]):
        zi = z[i] if z.shape[0] > 1 else z[0]
        weight = v[i] if v.shape[0] > 0 else 1.0
        total += weight * loss.value(zi, y[i])
        slope += weight * loss.derivative(zi, y[i])
        bend += weight * loss.second_derivative(zi, y[i])
        at_zero += weight * loss.conjugate(0.0, y[i])
    return total, slope, bend, at_zero
