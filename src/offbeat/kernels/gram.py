"""Coordinate descent on the Gram matrix of a working set: no look at the rows between its sweeps."""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of penalties)
from offbeat.kernels.compiled import kernel

FAST = {"reassoc", "contract", "nsz", "arcp"}


@kernel(error_model="numpy")
def add_rows(X, first_row, place, h, known, gram, sums):
    """Add ``h x x'`` of the rows of a CSR block to the lower triangle, for the columns that have a place.

    Parameters
    ----------
    X : tuple
        ``indptr, indices, data``.
    first_row : int
        Row of the shard that the block begins with.
    place : ndarray of int32, shape (k,)
        Row and column of each column of the data, -1 for those that are left out.
    h : ndarray, shape (n,) or (0,)
        Length 0: ones.
    known : int
        Rows and columns of the matrix that are right already: nothing is added to their product.
    gram : ndarray, shape (m, m)
    sums : ndarray, shape (m,)
        Receives the sums of ``h x``.
    """
    indptr, indices, data = X
    at = np.empty(64, np.int64)
    x = np.empty(64)
    for i in range(indptr.shape[0] - 1):
        if indptr[i + 1] - indptr[i] > at.shape[0]:
            at = np.empty(2 * (indptr[i + 1] - indptr[i]), np.int64)
            x = np.empty(at.shape[0])
        count = 0
        for p in range(indptr[i], indptr[i + 1]):
            c = place[np.uint64(indices[p])]
            at[count] = c  # without a branch: whether a column has a place is hard to foretell
            x[count] = data[p]
            count += c >= 0
        weight = h[first_row + i] if h.shape[0] > 0 else 1.0
        if weight == 0.0:
            continue
        for a in range(count if known > 0 else 0):
            if at[a] < known:
                continue
            row, scaled = gram[at[a]], weight * x[a]
            sums[at[a]] += scaled
            for b in range(count):
                if at[b] <= at[a]:
                    row[at[b]] += scaled * x[b]
        for a in range(count if known == 0 else 0):
            row, scaled = gram[at[a]], weight * x[a]
            sums[at[a]] += scaled
            for b in range(a + 1):
                if at[b] <= at[a]:
                    row[at[b]] += scaled * x[b]
                else:
                    gram[at[b], at[a]] += scaled * x[b]
                if at[b] == at[a] and a != b:  # an entry that repeats counts on both sides
                    row[at[b]] += scaled * x[b]


@kernel(error_model="numpy")
def finish(gram, known, sums, mass, n):
    """Take means in all but the known rows of the lower triangle, eliminate the intercept, and mirror them."""
    m = gram.shape[0]
    for i in range(known, m):
        for j in range(i + 1):
            value = gram[i, j]
            if mass > 0.0:
                value -= sums[i] * (sums[j] / mass)
            gram[i, j] = value / n
    for i in range(0, m, 32):
        for j in range(i, m, 32):
            for a in range(i, min(i + 32, m)):
                for b in range(max(j, a + 1, known), min(j + 32, m)):
                    gram[a, b] = gram[b, a]


@kernel(fastmath=FAST, error_model="numpy")
def _add(slope, row, d):
    for i in range(slope.shape[0]):
        slope[i] += row[i] * d


@kernel(error_model="numpy")
def _sweep(penalty, gram, slope, w, scaling, order):
    """Move each of the ordered coordinates to its minimum; return the largest move."""
    factor, weight = scaling
    largest = 0.0
    for a in range(order.shape[0]):
        j = order[a]
        bend = gram[j, j]
        c = factor[j]
        new = penalty.prox(c * (w[j] - slope[j] / bend), c * c / bend, weight[j]) / c
        d = new - w[j]
        if d != 0.0:
            w[j] = new
            _add(slope, gram[j], d)
            largest = max(largest, np.sqrt(bend) * abs(d))
    return largest


@kernel(error_model="numpy")
def descend(penalty, gram, slope, w, scaling, limits):
    """Minimise ``slope.d + d' gram d / 2`` plus the penalty at ``w + d``.

    A sweep over all coordinates; then only those away from a kink, on their own part of the matrix, until they settle;
    and again.

    Parameters
    ----------
    gram : ndarray, shape (m, m)
        With a positive diagonal.
    slope, w : ndarray, shape (m,)
        Overwritten by those at the minimum.
    scaling : tuple
        ``factor`` and ``weight`` of the penalty, shape (m,).
    limits : tuple
        Largest number of sweeps; share of the first sweep's largest move at which to stop; least move that counts.

    Returns
    -------
    first, last : float
        Largest move of the first and the last full sweep.
    used : int
        Sweeps.
    """
    most, share, least = limits
    factor, weight = scaling
    m = w.shape[0]
    every = np.arange(m)
    first = 0.0
    largest = 0.0
    used = 0
    while used < most:
        before = w.copy()
        largest = _sweep(penalty, gram, slope, w, scaling, every)
        if used == 0:
            first = largest
        used += 1
        goal = max(share * first, least)
        if largest <= goal:
            break
        active = np.flatnonzero((w != 0.0) | (w != before))
        part = np.empty((active.shape[0], active.shape[0]))
        for a in range(active.shape[0]):
            for b in range(active.shape[0]):
                part[a, b] = gram[active[a], active[b]]
        some, own = w[active], slope[active]
        own_scaling = (factor[active], weight[active])
        numbers = np.arange(active.shape[0])
        last = np.inf
        while used < most:
            used += 1
            move = _sweep(penalty, part, own, some, own_scaling, numbers)
            creep = min(move / last, 1.0 - 1e-6)  # what is left is a geometric series
            last = move
            if move <= 0.3 * goal * (1.0 - creep):
                break
        for a in range(active.shape[0]):
            d = some[a] - w[active[a]]
            if d != 0.0:
                w[active[a]] = some[a]
                _add(slope, gram[active[a]], d)
    return first, largest, used


@kernel(error_model="numpy")
def smooth_part(penalty, w, scaling, slopes, bends):
    """Write the penalty's derivatives at ``w``; return whether it has them there.

    The protocol knows only how far a slope is from being optimal: from zero, that is the size of the derivative.
    """
    factor, weight = scaling
    smooth = True
    for j in range(w.shape[0]):
        c = factor[j]
        size = penalty.subgradient_distance(c * w[j], 0.0, weight[j])
        above = penalty.subgradient_distance(c * w[j], size, weight[j])
        below = penalty.subgradient_distance(c * w[j], -size, weight[j])
        slopes[j] = c * size if below <= above else -c * size
        bends[j] = c * c * penalty.curvature(weight[j])
        smooth = smooth and abs(max(above, below) - 2.0 * size) <= 1e-9 * size
    return smooth
