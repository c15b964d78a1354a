"""SAGA on dense rows: steps along single rows whose variance vanishes; and what sparse rows share with them.

A row ``a`` moves the point along ``(l' - m) a + g``: ``m`` is the slope that the row had in the epoch before (Defazio,
Bach & Lacoste-Julien 2014, NIPS, eq. 1-3) or has at a fixed point, the anchor (Johnson & Zhang 2013, NIPS), and ``g``
is the mean of these ``m a``. As rows are visited without replacement, ``g`` is kept for an epoch: to follow the changes
of rows that will not be visited again would count them twice (De & Goldstein 2016, ICDM, algorithm 1).

All is in the units of the columns, about a centre, the intercept last. A step in scaled coordinates is a step with a
rate for each coordinate. A weight is a part of its row's loss: slopes are ``v l'(z)``.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.arguments import DenseState
from offbeat.kernels.compiled import REASSOCIATE, kernel
from offbeat.kernels.intrinsics import pointer
from offbeat.kernels.scalar_root import root

MAX_DOUBLINGS = 60  # of the search for a bracket of an implicit step
LAST_STEP = 1e-9  # of the search for an implicit step, relative to the predictor and one
ROWS_PER_MERGE = 32  # rows after which a thread adds its move to the shared point
LOSS, CROSS, CONJUGATE, NOT_FINITE, CURVATURE = 0, 1, 2, 3, 4
"""Places of the sums of an epoch: ``v l(z)`` at the moving point; slope of the tangent times ``z`` there; ``t z - v
l(z)`` of the new tangents ``t`` (both without offsets); rows whose slope is not finite; and the largest ``v l''`` times
the squared length of a row in the metric of the step, where steps are implicit."""
N_SUMS = 5


@kernel(error_model="numpy")
def implicit(loss, z, y, weight, old, reach):
    """Return the predictor of a row after a step along it from ``z``, for losses whose slope may grow without bound.

    A step that is taken with the slope where it ends cannot overshoot, however long (Defazio 2016, NIPS, Point-SAGA):
    ``z' + reach (v l'(z') - old) = z``. ``reach`` is the squared length of the row in the metric of the step.
    """
    slope = weight * loss.derivative(z, y)
    if slope == old or not slope == slope:
        return z
    low, high, width = z, z, 1.0
    for _ in range(MAX_DOUBLINGS):
        if slope > old:
            high, low = low, low - width
            if low + reach * (weight * loss.derivative(low, y) - old) <= z:
                break
        else:
            low, high = high, high + width
            if high + reach * (weight * loss.derivative(high, y) - old) >= z:
                break
        width *= 2.0
    at = low if slope > old else high
    return root(loss, at, z + reach * old, reach * weight, y, low, high, LAST_STEP, 1.0)


@kernel(error_model="numpy", inline="always")
def new_slope(loss, z, at, base, y, weight, old, sums):
    """Return the new slope of a row, or the old one where it is not finite; add what the estimate of the gap needs.

    ``z`` is the predictor before the step, ``at`` the one at which the slope is taken, ``base`` the offset in both.
    """
    new = weight * loss.derivative(at, y)
    if not abs(new) < np.inf:
        sums[NOT_FINITE] += 1.0
        return old
    sums[LOSS] += weight * loss.value(z, y)
    sums[CROSS] += old * (z - base)
    sums[CONJUGATE] += new * (at - base) - weight * loss.value(at, y)
    return new


@kernel(fastmath=REASSOCIATE, error_model="numpy", inline="always")
def dense_predict(X, i, center, x):
    """Return the predictor of a dense row."""
    z = 0.0
    for j in range(X.shape[1]):
        z += (float(X[i, j]) - center[j]) * x[j]
    return z + x[X.shape[1]]


@kernel(fastmath=REASSOCIATE, error_model="numpy", inline="always")
def dense_length(X, i, center, rate):
    """Return the squared length of a dense row, intercept included, in a metric."""
    length = 0.0
    for j in range(X.shape[1]):
        d = float(X[i, j]) - center[j]
        length += rate[j] * d * d
    return length + rate[X.shape[1]]


@kernel(fastmath=REASSOCIATE, error_model="numpy", inline="always")
def _dense_move(penalty, X, i, change, slope, state, metric, rule):
    """Take a step along a dense row, times ``change``; add the row, times ``slope``, to the gradient of the epoch."""
    x, average, fresh = state.point, state.average, state.gradient
    center, rate = metric.center, metric.rate
    shrink, factor, strength = rule.shrink, rule.factor, rule.weight
    k = X.shape[1]
    if shrink.shape[0] > 0:
        for j in range(k):
            d = float(X[i, j]) - center[j]
            x[j] = shrink[j] * (x[j] - rate[j] * (change * d + average[j]))
    else:
        for j in range(k):
            d = float(X[i, j]) - center[j]
            f = factor[j]
            v = x[j] - rate[j] * (change * d + average[j])
            x[j] = penalty.prox(f * v, rate[j] * f * f, strength[j]) / f
    for j in range(k):  # a loop of its own: fewer arrays in one, or they are not vectorised
        fresh[j] += slope * (float(X[i, j]) - center[j])
    x[k] -= rate[k] * (change + average[k])
    fresh[k] += slope


@kernel(fastmath=REASSOCIATE, error_model="numpy", inline="always")
def _dense_row(loss, penalty, X, row, target, table, i, state, metric, rule, sums):
    """Visit a row; ``i`` is where its target and slope are."""
    y, v, offset = target.y, target.weight, target.offset
    weight = v[i] if v.shape[0] > 0 else 1.0
    base = offset[i] if offset.shape[0] > 0 else 0.0
    z = dense_predict(X, row, metric.center, state.point) + base
    old = table[i]
    at = z
    if metric.implicit:
        reach = dense_length(X, row, metric.center, metric.rate)
        sums[CURVATURE] = max(sums[CURVATURE], reach * weight * loss.second_derivative(z, y[i]))
        at = implicit(loss, z, y[i], weight, old, reach)
    new = new_slope(loss, z, at, base, y[i], weight, old, sums)
    table[i] = new
    _dense_move(penalty, X, row, new - old, new, state, metric, rule)


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def _dense_rows(loss, penalty, X, start, target, table, order, state, metric, rule, sums):
    """Visit rows of an array whose first row has this number among targets and slopes."""
    for r in range(order.shape[0]):
        i = order[r]
        _dense_row(loss, penalty, X, i - start, target, table, i, state, metric, rule, sums)


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_epoch(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Visit rows of a dense block in the given order, with a step after each.

    Parameters
    ----------
    loss, penalty : NamedTuple
    X : ndarray, shape (n, k)
    target : Targets
        Float64 arrays of shape (n,): ``y``, weights ``v`` (length 0: ones), offsets (length 0: zeros).
    table : ndarray, shape (n,)
        Slopes ``v l'(z)`` as last seen; updated.
    order : ndarray of int64
    state : DenseState
    metric : DenseMetric
    rule : PenaltyStep
    sums : ndarray, shape (5,)
        Receives the sums whose places are named above.
    """
    _dense_rows(loss, penalty, X, 0, target, table, order, state, metric, rule, sums)


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_parts(loss, penalty, parts, target, table, order, state, metric, rule, sums):
    """Do as `dense_epoch` for an array that lies in several parts.

    Parameters
    ----------
    parts : RowParts
    """
    like, addresses, edges = parts.like, parts.addresses, parts.edges
    r = 0
    while r < order.shape[0]:
        part = np.searchsorted(edges, order[r], side="right") - 1
        start, stop, first = edges[part], edges[part + 1], r
        while r < order.shape[0] and start <= order[r] < stop:
            r += 1
        X = carray(pointer(addresses[part], like), (stop - start, like.shape[1]))
        _dense_rows(loss, penalty, X, start, target, table, order[first:r], state, metric, rule, sums)


@kernel(error_model="numpy")
def dense_shared(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Do as `dense_epoch` beside other threads that move the same point.

    A thread moves a copy, and adds the move to the shared point after every `ROWS_PER_MERGE` rows: were all to write to
    the same few cache lines after every row, they would wait for each other's memory. Nothing locks the point. An
    addition that comes between reading and writing of another thread's is lost: the point is then a little behind, and
    goes on from where it is. The table has one writer a row, the gradient of the epoch is the thread's own,
    and the average does not change during an epoch: nothing that the certificate or the next epoch rest on is ever
    lost.
    """
    shared = state.point
    x, base = shared.copy(), shared.copy()
    own = DenseState(x, state.average, state.gradient)
    for first in range(0, order.shape[0], ROWS_PER_MERGE):
        for j in range(shared.shape[0]):
            base[j] = shared[j]
            x[j] = base[j]
        rows = order[first : first + ROWS_PER_MERGE]
        dense_epoch(loss, penalty, X, target, table, rows, own, metric, rule, sums)
        for j in range(shared.shape[0]):
            shared[j] += x[j] - base[j]


@kernel(fastmath=REASSOCIATE, error_model="numpy")
def dense_visit(loss, penalty, X, target, points, order, state, metric, rule, sums):
    """Do as `dense_epoch` with slopes at two fixed points, and no table.

    Parameters
    ----------
    points : FixedPoints
    """
    y, v, offset = target.y, target.weight, target.offset
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        base = offset[i] if offset.shape[0] > 0 else 0.0
        z = dense_predict(X, i, metric.center, state.point) + base
        fixed = dense_predict(X, i, metric.center, points.anchor) + base
        here = dense_predict(X, i, metric.center, points.point) + base
        reach = dense_length(X, i, metric.center, metric.rate) if metric.implicit else 0.0
        change, slope = compared(loss, z, fixed, here, base, y[i], weight, reach, sums)
        _dense_move(penalty, X, i, change, slope, state, metric, rule)


@kernel(error_model="numpy")
def compared(loss, z, fixed, here, base, y, weight, reach, sums):
    """Return the slope at the moving point less that at the anchor, and the slope at the point of the new tangents.

    The predictors there are ``z``, ``fixed`` and ``here``, with the offset ``base``. With a ``reach`` above zero, the
    step is that of `implicit`.
    """
    old = weight * loss.derivative(fixed, y)
    at = z
    if reach > 0.0:
        sums[CURVATURE] = max(sums[CURVATURE], reach * weight * loss.second_derivative(z, y))
        at = implicit(loss, z, y, weight, old, reach)
    slope = weight * loss.derivative(here, y)
    change = weight * loss.derivative(at, y) - old
    if not (abs(change) < np.inf and abs(slope) < np.inf):
        sums[NOT_FINITE] += 1.0
        return 0.0, 0.0
    sums[LOSS] += weight * loss.value(z, y)
    sums[CROSS] += slope * (z - base)
    sums[CONJUGATE] += slope * (here - base) - weight * loss.value(here, y)
    return change, slope
