"""One pass over rows: loss, gradient, what the certificate needs, and rows weighted for the Hessian.

Every kernel adds into its outputs, so that blocks of one shard accumulate. All arithmetic is in float64, whatever the
type of the data (a pass over float32 rows takes about 1.2 times as long as in single precision): a certificate knows no
more than its sums do. Only the rows weighted for a Hessian are in the type of their buffer.

``head`` holds, in this order, the sums over rows of ``v * loss``, ``v * theta``, ``v * h`` (see
``losses``: ``dual_direction``), and the number of rows.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel

FLUSH = 128  # rows whose sums are added up apart, so that rounding does not grow with their number
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
        Coefficients (k,) and centre (k,) in float64, the intercept, and ``unit`` (k,).
    ranges : ndarray of int64, shape (r, 2)
        Rows to visit.
    buffer : ndarray, shape (rows visited or 0, k + 1)
        Receives ``sqrt(v l'') ((x - centre) unit, 1)``.
    out : tuple
        ``head`` (4,), gradient (k,), repair (k,): float64; the last of length 0 when not wanted.
    """
    y, v, offset = target
    w, center, b, unit = point
    head, gradient, repair = out
    k = X.shape[1]
    g = np.zeros(k)
    h = np.zeros(k)
    repairing = repair.shape[0] > 0
    row = 0
    pending = 0
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            z = 0.0
            for j in range(k):
                z += (X[i, j] - center[j]) * w[j]
            z += b
            if offset.shape[0] > 0:
                z += offset[i]
            weight = v[i] if v.shape[0] > 0 else 1.0
            theta = weight * loss.derivative(z, y[i])
            direction = weight * loss.dual_direction(z, y[i])
            head[0] += weight * loss.value(z, y[i])
            head[1] += theta
            head[2] += direction
            if repairing:
                for j in range(k):
                    x = X[i, j] - center[j]
                    g[j] += theta * x
                    h[j] += direction * x
            else:
                for j in range(k):
                    g[j] += theta * (X[i, j] - center[j])
            if buffer.shape[0] > 0:
                root = np.sqrt(weight * loss.second_derivative(z, y[i]))
                for j in range(k):
                    buffer[row, j] = root * (X[i, j] - center[j]) * unit[j]
                buffer[row, k] = root
                row += 1
            pending += 1
            if pending == FLUSH:
                pending = 0
                for j in range(k):
                    gradient[j] += g[j]
                    g[j] = 0.0
                if repairing:
                    for j in range(k):
                        repair[j] += h[j]
                        h[j] = 0.0
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
def dense_moments(X, v, ranges, about, out, largest):
    """Add ``sum v d``, ``sum v d^2`` and ``sum v`` over the given rows of a dense block, ``d = (x - shift) unit``.

    Parameters
    ----------
    about : tuple of two arrays, shape (k,)
        ``shift``, any point near the mean, keeps the variance free of cancellation; ``unit`` keeps squares finite.
    out : ndarray, shape (2 k + 1,)
        First moments, second moments, total weight.
    largest : ndarray, shape (k,)
        Receives the largest ``abs(d)``.
    """
    shift, unit = about
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
                x = (float(X[i, j]) - shift[j]) * unit[j]
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
def sparse_moments(X, v, ranges, about, out, extremes):
    """Add moments over the rows that store an entry, of some columns of a CSR block; entries that repeat are one.

    Parameters
    ----------
    about : tuple
        ``shift`` and ``unit`` of `dense_moments`, shape (m,): a shift that is NaN becomes the first value met.
        ``place``, shape (k,): which of the m a column is, -1 for none.
    out : ndarray, shape (m, 4)
        Sums of ``v d``, ``v d^2``, ``v`` over the rows that store the column, and the number of these rows.
    extremes : ndarray, shape (m, 2)
        Receives the smallest and the largest ``d`` that is stored.

    Returns
    -------
    weight : float
        Sum of ``v`` over all rows.
    """
    indptr, indices, data = X
    shift, unit, place = about
    m = shift.shape[0]
    row = np.zeros(m)
    last = np.full(m, -1)
    total = 0.0
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            weight = v[i] if v.shape[0] > 0 else 1.0
            total += weight
            for p in range(indptr[i], indptr[i + 1]):
                j = place[indices[p]]
                if j >= 0:
                    row[j] = data[p] if last[j] != i else row[j] + data[p]
                    last[j] = i
            for p in range(indptr[i], indptr[i + 1]):
                j = place[indices[p]]
                if j >= 0 and last[j] == i:
                    last[j] = -1
                    if np.isnan(shift[j]):
                        shift[j] = row[j]
                    d = (row[j] - shift[j]) * unit[j]
                    out[j, 0] += weight * d
                    out[j, 1] += weight * d * d
                    out[j, 2] += weight
                    out[j, 3] += 1.0
                    extremes[j, 0] = min(extremes[j, 0], d)
                    extremes[j, 1] = max(extremes[j, 1], d)
    return total


@kernel(error_model="numpy")
def condition(X, ranges, columns, out):
    """Write the given rows of a CSR block with some of their columns centred, and in other units.

    These columns are then stored in every row.

    Parameters
    ----------
    X : tuple
        ``indptr, indices, data``.
    ranges : ndarray of int64, shape (r, 2)
    columns : tuple
        Their numbers, shape (m,) and of the type of ``indices``; where each is among them, -1 elsewhere, shape (k,);
        their centres and units, shape (m,): values become ``(x - centre) unit``.
    out : tuple
        ``indptr, indices, data`` of the right size.
    """
    indptr, indices, data = X
    chosen, place, center, unit = columns
    starts, names, values = out
    m = chosen.shape[0]
    row = 0
    end = 0
    starts[0] = 0
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            first = end
            for a in range(m):
                names[first + a] = chosen[a]
                values[first + a] = -center[a]
            end += m
            for p in range(indptr[i], indptr[i + 1]):
                a = place[indices[p]]
                if a >= 0:
                    values[first + a] += data[p]
                else:
                    names[end] = indices[p]
                    values[end] = data[p]
                    end += 1
            for a in range(m):
                values[first + a] *= unit[a]
            row += 1
            starts[row] = end


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
