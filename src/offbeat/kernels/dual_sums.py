"""What dual ascent needs to know of all rows at once: norms, sums of dual variables, where it starts."""

from __future__ import annotations

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel


@kernel(error_model="numpy")
def copied(X, rows, out):
    """Copy some rows of a CSR block to ``indptr, indices, data`` of the right size; data of length 0 stays so."""
    indptr, indices, data = X
    starts, columns, values = out
    starts[0] = 0
    for r in range(rows.shape[0]):
        first = indptr[rows[r]]
        start = starts[r]
        count = indptr[rows[r] + 1] - first
        starts[r + 1] = start + count
        for p in range(count):
            columns[start + p] = indices[first + p]
            if data.shape[0] > 0:
                values[start + p] = data[first + p]


@kernel(error_model="numpy")
def sparse_norms(X, shrink, row, out):
    """Set the squared norms of rows that may repeat columns, in units of ``shrink``; ``row`` (k,) is zeros."""
    indptr, indices, data = X
    for i in range(out.shape[0]):
        first, last = indptr[i], indptr[i + 1]
        for p in range(first, last):
            row[indices[p]] += data[p]
        norm = 0.0
        for p in range(first, last):
            j = indices[p]
            norm += row[j] * row[j] * shrink[j]
            row[j] = 0.0
        out[i] = norm


@kernel(error_model="numpy")
def dense_norms(X, shrink, row, out):
    """Do as `sparse_norms` for the rows of a dense block; ``row`` is not used."""
    for i in range(out.shape[0]):
        norm = 0.0
        for j in range(X.shape[1]):
            norm += X[i, j] * X[i, j] * shrink[j]
        out[i] = norm


@kernel(error_model="numpy")
def conjugates(loss, target, theta, out):
    """Add ``v (l*(theta) - theta o)`` and ``v theta`` of all rows to ``out[0]``, where ``theta > 0`` to ``out[1]``."""
    y, v, offset = target
    for i in range(theta.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        if weight > 0.0:
            o = offset[i] if offset.shape[0] > 0 else 0.0
            term = weight * (loss.conjugate(theta[i], y[i]) - theta[i] * o)
            for c in range(2 if theta[i] > 0.0 else 1):
                out[c, 0] += term
                out[c, 1] += weight * theta[i]


@kernel(error_model="numpy")
def sparse_gradient(X, target, theta, out):
    """Add ``sum v theta x`` over a CSR block to ``out[0]``, and that of ``theta > 0`` to ``out[1]``."""
    indptr, indices, data = X
    v = target[1]
    for i in range(indptr.shape[0] - 1):
        t = theta[i] * (v[i] if v.shape[0] > 0 else 1.0)
        if t == 0.0:
            continue
        for c in range(2 if theta[i] > 0.0 else 1):
            for p in range(indptr[i], indptr[i + 1]):
                out[c, indices[p]] += t * data[p]


@kernel(error_model="numpy")
def dense_gradient(X, target, theta, out):
    """Do as `sparse_gradient` for a dense block."""
    v = target[1]
    for i in range(X.shape[0]):
        t = theta[i] * (v[i] if v.shape[0] > 0 else 1.0)
        if t == 0.0:
            continue
        for c in range(2 if theta[i] > 0.0 else 1):
            for j in range(X.shape[1]):
                out[c, j] += t * X[i, j]


@kernel(error_model="numpy")
def sparse_start(loss, X, target, w, b, shrink, theta, out):
    """Set dual variables to the slopes at a point, and add up what they stand for.

    Parameters
    ----------
    out : tuple
        ``head`` (4,): loss, theta, h, ``v ||x||^2 shrink``; sums (3, k + 1): of ``v theta x``, of the same where
        ``theta > 0``, of ``v h x``, with the intercept last.
    """
    indptr, indices, data = X
    y, v, offset = target
    head, sums = out
    k = w.shape[0]
    for i in range(indptr.shape[0] - 1):
        weight = v[i] if v.shape[0] > 0 else 1.0
        z = b + (offset[i] if offset.shape[0] > 0 else 0.0)
        for p in range(indptr[i], indptr[i + 1]):
            z += data[p] * w[indices[p]]
        slope, value = loss.derivative(z, y[i]), loss.value(z, y[i])  # before anything is stored
        t = weight * slope
        h = weight * loss.dual_direction(z, y[i])
        own = max(t, 0.0)
        theta[i] = slope
        head[0] += weight * value
        head[1] += t
        head[2] += h
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            x = float(data[p])
            sums[0, j] += t * x
            head[3] += weight * x * x * shrink[j]
            if own != 0.0:
                sums[1, j] += own * x
            if h != 0.0:
                sums[2, j] += h * x
        sums[0, k] += t
        sums[1, k] += own
        sums[2, k] += h


@kernel(error_model="numpy")
def dense_start(loss, X, target, w, b, shrink, theta, out):
    """Do as `sparse_start` for a dense block."""
    y, v, offset = target
    head, sums = out
    k = w.shape[0]
    for i in range(X.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        z = b + (offset[i] if offset.shape[0] > 0 else 0.0)
        for j in range(k):
            z += X[i, j] * w[j]
        slope, value = loss.derivative(z, y[i]), loss.value(z, y[i])  # before anything is stored
        t = weight * slope
        h = weight * loss.dual_direction(z, y[i])
        own = max(t, 0.0)
        theta[i] = slope
        head[0] += weight * value
        head[1] += t
        head[2] += h
        for j in range(k):
            x = float(X[i, j])
            sums[0, j] += t * x
            head[3] += weight * x * x * shrink[j]
            if own != 0.0:
                sums[1, j] += own * x
            if h != 0.0:
                sums[2, j] += h * x
        sums[0, k] += t
        sums[1, k] += own
        sums[2, k] += h
