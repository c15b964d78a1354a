"""Coordinate descent on columns: what `ProximalNewton` does between two looks at all the data.

Some columns of the data lie compressed by column: ``Columns = (starts, ends, rows, data)``, column ``c`` in
``data[starts[c]:ends[c]]`` and the rows of its entries beside them. Dense columns have no ``rows`` (length 0): each is
whole, one after the other.

The model of the loss around a point is ``theta.s + s'diag(h) s / 2`` in the change ``s`` of the predictors. Its
intercept is eliminated: whatever moves a column moves the intercept along so that the residuals ``theta + h s`` always
sum to zero. That takes one number for all rows, ``shift``: the residual of row ``i`` is ``residual[i] + h[i] shift``.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.compiled import kernel

LEAST = 1e-12  # of a column's square, that its curvature about its mean has
FAR = 1e100  # step of a column that is zero in all rows
FLAT = {"reassoc", "contract", "nsz", "arcp"}  # NaN and infinity keep their meaning


@kernel(error_model="numpy")
def gather(X, first_row, place, into):
    """Append the entries of a CSR block in the wanted columns; entries that repeat within a row are added up.

    Parameters
    ----------
    X : tuple
        ``indptr, indices, data``.
    first_row : int
        Row of the shard that the block begins with.
    place : ndarray of int32, shape (k,)
        Where each column goes, -1 for those that are not wanted.
    into : tuple
        ``starts, ends, rows, data``: ``ends`` moves on.
    """
    indptr, indices, values = X
    starts, ends, rows, data = into
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            c = place[np.uint64(indices[p])]
            if c < 0:
                continue
            at = ends[c]
            if at > starts[c] and rows[at - 1] == first_row + i:
                data[at - 1] += values[p]
            else:
                rows[at] = first_row + i
                data[at] = values[p]
                ends[c] = at + 1


@kernel(error_model="numpy")
def count(X, place, counts):
    """Add the number of entries of a CSR block in each wanted column."""
    indptr, indices, _ = X
    for p in range(indptr[0], indptr[-1]):
        c = place[np.uint64(indices[p])]
        if c >= 0:
            counts[c] += 1


@kernel(error_model="numpy")
def stored(X, v, ranges, counts, squares):
    """Add the number of entries and the weighted sum of squares of each column over some rows of a CSR block."""
    indptr, indices, data = X
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            weight = v[i] if v.shape[0] > 0 else 1.0
            for p in range(indptr[i], indptr[i + 1]):
                counts[indices[p]] += 1.0
                squares[indices[p]] += weight * data[p] * data[p]


@kernel(error_model="numpy")
def violations(penalty, w, gradient, scaling):
    """Return the distance of each ``-gradient`` from the subdifferential at ``w``."""
    factor, weight = scaling
    out = np.empty(w.shape[0])
    for j in range(w.shape[0]):
        c = factor[j]
        out[j] = c * penalty.subgradient_distance(c * w[j], gradient[j] / c, weight[j])
    return out


@kernel(error_model="numpy")
def expand(loss, z, target, floor, theta, h):
    """Write the first two derivatives of ``v loss`` at the predictors ``z``; the second is at least ``v floor``."""
    y, v = target
    for i in range(z.shape[0]):
        weight = v[i] if v.shape[0] > 0 else 1.0
        slope, bend = loss.derivative(z[i], y[i]), loss.second_derivative(z[i], y[i])  # both before any store
        theta[i] = weight * slope
        h[i] = weight * max(bend, floor)


@kernel(error_model="numpy")
def change(loss, z, move, length, target):
    """Return by how much the sum of ``v loss`` changes from ``z`` to ``z + length move``."""
    y, v = target
    total = 0.0
    for i in range(z.shape[0]):
        if move[i] != 0.0:
            weight = v[i] if v.shape[0] > 0 else 1.0
            total += weight * (loss.value(z[i] + length * move[i], y[i]) - loss.value(z[i], y[i]))
    return total


@kernel(error_model="numpy")
def penalty_change(penalty, old, new, scaling):
    """Return by how much the penalty changes from ``old`` to ``new``."""
    factor, weight = scaling
    total = 0.0
    for j in range(old.shape[0]):
        if old[j] != new[j]:
            total += penalty.value(factor[j] * new[j], weight[j]) - penalty.value(factor[j] * old[j], weight[j])
    return total


@kernel(error_model="numpy")
def predict(columns, chosen, coef, z):
    """Add the columns times their coefficients to ``z``."""
    starts, ends, rows, data = columns
    for a in range(chosen.shape[0]):
        d = coef[a]
        if d == 0.0:
            continue
        first, last = starts[chosen[a]], ends[chosen[a]]
        if rows.shape[0] > 0:
            for p in range(first, last):
                z[rows[p]] += data[p] * d
        else:
            for i in range(last - first):
                z[i] += data[first + i] * d


@kernel(fastmath=FLAT, error_model="numpy")
def _sparse_slope(rows, data, residual):
    """Return the sum of ``data * residual[rows]``, in four parts so that no addition waits for the last."""
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    n = rows.shape[0]
    for p in range(0, n - 3, 4):
        a += data[p] * residual[rows[p]]
        b += data[p + 1] * residual[rows[p + 1]]
        c += data[p + 2] * residual[rows[p + 2]]
        d += data[p + 3] * residual[rows[p + 3]]
    for p in range(n - n % 4, n):
        a += data[p] * residual[rows[p]]
    return (a + b) + (c + d)


@kernel(fastmath=FLAT, error_model="numpy")
def _dense_slope(data, residual):
    """Return the sum of ``data * residual``."""
    total = 0.0
    for i in range(data.shape[0]):
        total += data[i] * residual[i]
    return total


@kernel(error_model="numpy")
def slopes(columns, chosen, residual):
    """Return the product of each chosen column with the residuals."""
    starts, ends, rows, data = columns
    out = np.empty(chosen.shape[0])
    for a in range(chosen.shape[0]):
        first, last = starts[chosen[a]], ends[chosen[a]]
        if rows.shape[0] > 0:
            out[a] = _sparse_slope(rows[first:last], data[first:last], residual)
        else:
            out[a] = _dense_slope(data[first:last], residual)
    return out


@kernel(fastmath=FLAT, error_model="numpy")
def weigh(columns, chosen, h, weighted, squares, sums):
    """Write ``h x`` for each entry of the chosen columns, and the sums of ``h x^2`` and ``h x`` of each.

    ``h`` of length 0 stands for ones: then ``weighted`` is left alone; so it is if its own length is 0.
    """
    starts, ends, rows, data = columns
    for a in range(chosen.shape[0]):
        first, last = starts[chosen[a]], ends[chosen[a]]
        square = 0.0
        total = 0.0
        for p in range(first, last):
            x = float(data[p])
            if h.shape[0] > 0:
                hx = x * h[rows[p] if rows.shape[0] > 0 else p - first]
                if weighted.shape[0] > 0:
                    weighted[p] = hx
            else:
                hx = x
            total += hx
            square += x * hx
        squares[a] = square
        sums[a] = total


@kernel(error_model="numpy")
def descend(penalty, columns, weighted, chosen, w, residual, model, scaling, limits):
    """Minimise the model plus the penalty over some columns by cyclic coordinate descent.

    Sweeps all of them, then those away from a kink until they settle, then all again (Friedman, Hastie & Tibshirani
    2010, J. Stat. Softw. 33(1)).

    Parameters
    ----------
    columns : tuple
    weighted : ndarray
        ``h x`` beside ``data``; ``data`` itself where ``h`` is one.
    chosen : ndarray of int64, shape (m,)
        Positions of the columns.
    w : ndarray, shape (m,)
        Coefficients, overwritten.
    residual : ndarray, shape (n,)
        Derivatives of the loss; overwritten, up to ``h shift``.
    model : tuple
        Sums of ``h x^2`` and ``h x``, shape (m,); sum of ``h`` (0: no intercept); rows; the ``shift`` to begin with.
    scaling : tuple
        ``factor`` and ``weight`` of the penalty, shape (m,).
    limits : tuple
        Largest number of sweeps; share of the first sweep's largest move at which to stop; least move that counts.

    Returns
    -------
    first, last : float
        Largest move of the first and the last sweep, as the root of twice the mean objective that it won.
    shift : float
        Change of the intercept.
    sweeps : int
    """
    starts, ends, rows, data = columns
    squares, sums, mass, n, shift = model
    factor, weight = scaling
    most, share, least = limits
    m = chosen.shape[0]
    order = np.arange(m)
    count = m
    everything = True
    first = 0.0
    largest = 0.0
    for sweep in range(most):
        largest = 0.0
        kept = 0
        for a in range(count):
            j = order[a]
            begin, end = starts[chosen[j]], ends[chosen[j]]
            old = w[j]
            c = factor[j]
            if squares[j] <= 0.0:
                new = penalty.prox(c * old, FAR, weight[j]) / c
                bend = 0.0
            else:
                bend = squares[j]
                if rows.shape[0] > 0:
                    slope = _sparse_slope(rows[begin:end], data[begin:end], residual)
                else:
                    slope = _dense_slope(data[begin:end], residual)
                if mass > 0.0:
                    slope += shift * sums[j]
                    bend = max(bend - sums[j] * (sums[j] / mass), LEAST * bend)
                bend /= n
                new = penalty.prox(c * (old - slope / n / bend), c * c / bend, weight[j]) / c
            d = new - old
            if d != 0.0:
                w[j] = new
                if rows.shape[0] > 0:
                    for p in range(begin, end):
                        residual[rows[p]] += weighted[p] * d
                else:
                    for i in range(end - begin):
                        residual[i] += weighted[begin + i] * d
                if mass > 0.0:
                    shift -= d * (sums[j] / mass)
                largest = max(largest, np.sqrt(bend) * abs(d))
            if everything and (d != 0.0 or new != 0.0):
                order[kept] = j
                kept += 1
        if sweep == 0:
            first = largest
        if largest <= max(share * first, least):
            if everything:
                return first, largest, shift, sweep + 1
            everything = True
            order = np.arange(m)
            count = m
        elif everything:
            everything = False
            count = kept
    return first, largest, shift, most
