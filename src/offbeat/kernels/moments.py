"""Means and deviations of columns, and columns stored about their centres."""

from __future__ import annotations

import numpy as np

from offbeat.kernels.compiled import REASSOCIATE, kernel


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_moments(X, v, ranges, shift, unit, out, largest):
    """Add ``sum v d``, ``sum v d^2`` and ``sum v`` over the given rows of a dense block, ``d = (x - shift) unit``.

    Parameters
    ----------
    shift, unit : ndarray, shape (k,)
        A shift near the mean keeps the variance free of cancellation; the unit keeps squares finite.
    out : ndarray, shape (2 k + 1,)
        First moments, second moments, total weight.
    largest : ndarray, shape (k,)
        Receives the largest ``abs(d)``.
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
def sparse_moments(X, v, ranges, shift, unit, place, out, extremes):
    """Add moments of some columns of a CSR block, over the rows that store an entry of the column.

    Entries that repeat a column of their row are added up first.

    Parameters
    ----------
    X : CSR
    shift, unit : ndarray, shape (m,)
        As for `dense_moments`; a shift that is NaN becomes the first value met.
    place : ndarray of int64, shape (k,)
        Which of the m a column is, -1 for none.
    out : ndarray, shape (m, 4)
        Sums of ``v d``, ``v d^2``, ``v`` over the rows that store the column, and the number of these rows.
    extremes : ndarray, shape (m, 2)
        Receives the smallest and the largest ``d`` that is stored.

    Returns
    -------
    weight : float
        Sum of ``v`` over all rows.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
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
def store_centred(X, ranges, columns, out):
    """Write the given rows of a CSR block with some of their columns centred, and in other units.

    These columns are then stored in every row.

    Parameters
    ----------
    X : CSR
    ranges : ndarray of int64, shape (r, 2)
    columns : CentredColumns
    out : CSR
        Arrays of the right size, which are overwritten.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    place, center, unit = columns.place, columns.center, columns.unit
    starts, names, values = out.indptr, out.indices, out.data
    m = columns.numbers.shape[0]
    row = 0
    end = 0
    starts[0] = 0
    for r in range(ranges.shape[0]):
        for i in range(ranges[r, 0], ranges[r, 1]):
            first = end
            for a in range(m):
                names[first + a] = columns.numbers[a]
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
