"""SAGA on sparse rows: a row touches the coordinates of its entries, and three numbers.

Rows move the point on their support alone, along ``copies * g`` (Leblond, Pedregosa & Lacoste-Julien 2017, AISTATS,
eq. 4) and with a proximal step to match (Pedregosa, Leblond & Lacoste-Julien 2017, NIPS, algorithm 1).

Rows are centred, or the intercept would depend on all columns together and settle slowly; and yet only their entries
are visited. A step along ``x - center`` is one along ``x`` and one along ``center``, and the latter all have the same
direction: the point is ``v + turn * drift`` with ``drift = rate * center``, and a step along the centre adds to
``turn``. With ``v.center`` at hand as well, the predictor takes nothing but the row's entries.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import carray

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.arguments import SparseState
from offbeat.kernels.compiled import kernel
from offbeat.kernels.intrinsics import pointer
from offbeat.kernels.saga import CURVATURE, ROWS_PER_MERGE, compared, implicit, new_slope

INTERCEPT, TURN, ALONG = 0, 1, 2
"""Places of three numbers that belong to the point: the intercept, ``turn``, and ``v.center``."""


class _Rows(NamedTuple):
    """A CSR block in compiled code, where the record of the data layer is not known."""

    indptr: Any
    indices: Any
    data: Any


@kernel(error_model="numpy", inline="always")
def sparse_dot(X, i, x):
    """Return the product of a row as it is stored, not centred, with a vector."""
    indptr, indices, data = X.indptr, X.indices, X.data
    z = 0.0
    for p in range(indptr[i], indptr[i + 1]):
        z += float(data[p]) * x[indices[p]]
    return z


@kernel(error_model="numpy", inline="always")
def _predict(X, i, state, metric):
    """Return the predictor of a row at the moving point."""
    indptr, indices, data = X.indptr, X.indices, X.data
    v, numbers = state.point, state.numbers
    drift, turn = metric.drift, numbers[TURN]
    z = numbers[INTERCEPT] - numbers[ALONG] - turn * drift[-1]
    for p in range(indptr[i], indptr[i + 1]):
        j = indices[p]
        z += float(data[p]) * (v[j] + turn * drift[j])
    return z


@kernel(error_model="numpy", inline="always")
def sparse_length(X, i, rate, center, about):
    """Return the squared length of a centred row, intercept included, in a metric; ``about`` is that of the centre."""
    indptr, indices, data = X.indptr, X.indices, X.data
    length = rate[-1] + about
    for p in range(indptr[i], indptr[i + 1]):
        d = float(data[p])
        length += rate[indices[p]] * d * (d - 2.0 * center[indices[p]])
    return max(length, rate[-1])  # entries that repeat a column make it too small


@kernel(error_model="numpy", inline="always")
def _move(penalty, X, i, change, slope, state, metric, rule):
    """Take a step along a row, times ``change``; add the row, times ``slope``, to the gradient of the epoch."""
    indptr, indices, data = X.indptr, X.indices, X.data
    v, average, fresh, numbers = state.point, state.average, state.gradient, state.numbers
    rate, copies, drift, center = metric.rate, metric.copies, metric.drift, metric.center
    shrink, factor, strength = rule.shrink, rule.factor, rule.weight
    k = v.shape[0]
    turn = numbers[TURN]
    along = 0.0
    for p in range(indptr[i], indptr[i + 1]):
        j = indices[p]
        d = float(data[p])
        old = v[j]
        w = old + turn * drift[j] - rate[j] * (change * d + copies[j] * average[j])
        if shrink.shape[0] > 0:
            w *= shrink[j]
        else:
            f = factor[j]
            w = penalty.prox(f * w, rate[j] * copies[j] * f * f, strength[j]) / f
        new = w - turn * drift[j]
        v[j] = new
        along += center[j] * (new - old)
        fresh[j] += slope * d
    numbers[INTERCEPT] -= rate[k] * (change + average[k])
    numbers[TURN] = turn + change
    numbers[ALONG] += along
    fresh[k] += slope


@kernel(error_model="numpy", inline="always")
def _row(loss, penalty, X, row, target, table, i, state, metric, rule, sums):
    """Visit a row; ``i`` is where its target and slope are."""
    y, weights, offset = target.y, target.weight, target.offset
    weight = weights[i] if weights.shape[0] > 0 else 1.0
    base = offset[i] if offset.shape[0] > 0 else 0.0
    z = _predict(X, row, state, metric) + base
    old = table[i]
    at = z
    if metric.center_length >= 0.0:
        reach = sparse_length(X, row, metric.rate, metric.center, metric.center_length)
        sums[CURVATURE] = max(sums[CURVATURE], reach * weight * loss.second_derivative(z, y[i]))
        at = implicit(loss, z, y[i], weight, old, reach)
    new = new_slope(loss, z, at, base, y[i], weight, old, sums)
    table[i] = new
    _move(penalty, X, row, new - old, new, state, metric, rule)


@kernel(error_model="numpy")
def _rows(loss, penalty, X, start, target, table, order, state, metric, rule, sums):
    """Visit rows of a block whose first row has this number among targets and slopes."""
    for r in range(order.shape[0]):
        i = order[r]
        _row(loss, penalty, X, i - start, target, table, i, state, metric, rule, sums)


@kernel(error_model="numpy")
def sparse_epoch(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Do as `dense_epoch` for a CSR block.

    Parameters
    ----------
    X : CSR
        A repeated entry counts as another occurrence of its column.
    state : SparseState
    metric : SparseMetric
    """
    _rows(loss, penalty, X, 0, target, table, order, state, metric, rule, sums)


@kernel(error_model="numpy")
def sparse_shared(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Do as `sparse_epoch` beside other threads that move the same point: see `dense_shared`.

    ``v`` is written to as it is: two rows seldom have many columns in common. The three numbers, which every row
    changes, are the thread's own for `ROWS_PER_MERGE` rows. A lost change of ``v.center`` shifts predictors, and so the
    slopes that the table remembers, until the epoch ends; the gradient is made of the same slopes, so the two agree.
    """
    shared = state.numbers
    numbers, base = shared.copy(), shared.copy()
    own = SparseState(state.point, state.average, state.gradient, numbers)
    for first in range(0, order.shape[0], ROWS_PER_MERGE):
        for j in range(3):
            base[j] = shared[j]
            numbers[j] = base[j]
        rows = order[first : first + ROWS_PER_MERGE]
        _rows(loss, penalty, X, 0, target, table, rows, own, metric, rule, sums)
        for j in range(3):
            shared[j] += numbers[j] - base[j]


@kernel(error_model="numpy", inline="always")
def _part(like, addresses, rows):
    """Return the CSR block at these addresses."""
    return _Rows(
        carray(pointer(addresses[0], like.indptr), (rows + 1,)),
        carray(pointer(addresses[1], like.indices), (addresses[3],)),
        carray(pointer(addresses[2], like.data), (addresses[3],)),
    )


@kernel(error_model="numpy")
def sparse_parts(loss, penalty, parts, target, table, order, state, metric, rule, sums):
    """Do as `dense_parts` for CSR blocks."""
    like, addresses, edges = parts.like, parts.addresses, parts.edges
    r = 0
    while r < order.shape[0]:
        part = np.searchsorted(edges, order[r], side="right") - 1
        start, stop, first = edges[part], edges[part + 1], r
        while r < order.shape[0] and start <= order[r] < stop:
            r += 1
        X = _part(like, addresses[part], stop - start)
        _rows(loss, penalty, X, start, target, table, order[first:r], state, metric, rule, sums)


@kernel(error_model="numpy")
def sparse_visit(loss, penalty, X, target, points, order, state, metric, rule, sums):
    """Do as `dense_visit` for a CSR block."""
    y, weights, offset = target.y, target.weight, target.offset
    anchor, point = points.anchor, points.point
    for r in range(order.shape[0]):
        i = order[r]
        weight = weights[i] if weights.shape[0] > 0 else 1.0
        base = offset[i] if offset.shape[0] > 0 else 0.0
        z = _predict(X, i, state, metric) + base
        fixed, here = sparse_dot(X, i, anchor) + anchor[-1] + base, sparse_dot(X, i, point) + point[-1] + base
        reach = (
            sparse_length(X, i, metric.rate, metric.center, metric.center_length)
            if metric.center_length >= 0.0
            else 0.0
        )
        change, slope = compared(loss, z, fixed, here, base, y[i], weight, reach, sums)
        _move(penalty, X, i, change, slope, state, metric, rule)
