"""Coordinate descent on a quadratic model with a known matrix: its sweeps read no rows."""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of penalties)
from offbeat.kernels.arguments import PenaltyScaling, Sweeps
from offbeat.kernels.compiled import REASSOCIATE, kernel

INNER_SHARE = 0.3  # of the move at which to stop, that sweeps of the active coordinates may leave


@kernel(error_model="numpy")
def add_rows(X, first_row, place, h, known, gram, sums):
    """Add ``h x x'`` over the rows of a CSR block to the lower triangle of a Gram matrix of some columns.

    Parameters
    ----------
    X : CSR
    first_row : int
        Row of the shard that the block begins with.
    place : ndarray of int32, shape (k,)
        Where each column of the data is in the matrix, -1 for those that are left out.
    h : ndarray, shape (n,) or (0,)
        Length 0: ones.
    known : int
        The first so many rows and columns of the matrix are complete: nothing is added where they meet.
    gram : ndarray, shape (m, m)
    sums : ndarray, shape (m,)
        Receives the sums of ``h x``.
    """
    indptr, indices, data = X.indptr, X.indices, X.data
    at = np.empty(64, np.int64)
    x = np.empty(64)
    for i in range(indptr.shape[0] - 1):
        if indptr[i + 1] - indptr[i] > at.shape[0]:
            at = np.empty(2 * (indptr[i + 1] - indptr[i]), np.int64)
            x = np.empty(at.shape[0])
        count = 0
        for p in range(indptr[i], indptr[i + 1]):
            c = place[np.uint64(indices[p])]
            at[count] = c  # without a branch: the processor cannot predict whether a column has a place
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
    """Turn sums into means, eliminate the intercept, and mirror the lower triangle, but for the known rows."""
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


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def _add(slope, row, d):
    """Add a row of the matrix, times a change of its coordinate, to the slopes."""
    for i in range(slope.shape[0]):
        slope[i] += row[i] * d


@kernel(error_model="numpy")
def _sweep(penalty, gram, slope, w, scaling, order):
    """Move each of the ordered coordinates to its minimum; return the largest move."""
    factor, weight = scaling.factor, scaling.weight
    largest = 0.0
    for a in range(order.shape[0]):
        j = order[a]
        bend = gram[j, j]
        if bend <= 0.0:
            continue
        new = w[j] - slope[j] / bend
        if j < factor.shape[0]:
            c = factor[j]
            new = penalty.prox(c * new, c * c / bend, weight[j]) / c
        d = new - w[j]
        if d != 0.0:
            w[j] = new
            _add(slope, gram[j], d)
            largest = max(largest, np.sqrt(bend) * abs(d))
    return largest


@kernel(error_model="numpy")
def descend(penalty, gram, slope, w, scaling, limits):
    """Minimise ``slope.d + d' gram d / 2`` plus the penalty at ``w + d`` by cyclic coordinate descent.

    A sweep over all coordinates; then sweeps over the active ones, those away from a kink of the penalty, on their own
    part of the matrix, until they settle; and again (Friedman, Hastie & Tibshirani 2010, J. Stat. Softw. 33(1)).

    Parameters
    ----------
    penalty : NamedTuple
        Without its own weights.
    gram : ndarray, shape (m, m)
        Symmetric. A coordinate whose diagonal is not positive stays.
    slope, w : ndarray, shape (m,)
        Overwritten by those at the minimum.
    scaling : PenaltyScaling
        Of the first coordinates; those beyond its length have no penalty (intercepts).
    limits : SweepLimits

    Returns
    -------
    sweeps : Sweeps
        Moves of sweeps over all coordinates; the number of all sweeps.
    """
    m = w.shape[0]
    every = np.arange(m)
    first = 0.0
    largest = 0.0
    used = 0
    while used < limits.max_sweeps:
        before = w.copy()
        largest = _sweep(penalty, gram, slope, w, scaling, every)
        if used == 0:
            first = largest
        used += 1
        goal = max(limits.relative * first, limits.absolute)
        if largest <= goal:
            break
        active = np.flatnonzero((w != 0.0) | (w != before))
        used += _descend_active(penalty, gram, slope, w, scaling, active, goal, limits.max_sweeps - used)
    return Sweeps(first, largest, used)


@kernel(error_model="numpy")
def _descend_active(penalty, gram, slope, w, scaling, active, goal, max_sweeps):
    """Sweep some coordinates until they settle, on their part of the matrix; return the number of sweeps."""
    count = active.shape[0]
    part = np.empty((count, count))
    for a in range(count):
        for b in range(count):
            part[a, b] = gram[active[a], active[b]]
    own_w, own_slope = w[active], slope[active]
    penalised = active[active < scaling.factor.shape[0]]
    own_scaling = PenaltyScaling(scaling.factor[penalised], scaling.weight[penalised])
    order = np.arange(count)
    last = np.inf
    used = 0
    while used < max_sweeps:
        used += 1
        move = _sweep(penalty, part, own_slope, own_w, own_scaling, order)
        ratio = min(move / last, 1.0 - 1e-6)  # moves shrink like a geometric series, which tells what is left
        last = move
        if move <= INNER_SHARE * goal * (1.0 - ratio):
            break
    for a in range(count):
        d = own_w[a] - w[active[a]]
        if d != 0.0:
            w[active[a]] = own_w[a]
            _add(slope, gram[active[a]], d)
    return used


@kernel(error_model="numpy")
def smooth_part(penalty, w, scaling, slopes, bends):
    """Write the first two derivatives of the penalty at ``w``; return whether it has them there.

    Penalties have no method for the derivative. The distance of a slope of zero from optimality is its size.
    """
    factor, weight = scaling.factor, scaling.weight
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
