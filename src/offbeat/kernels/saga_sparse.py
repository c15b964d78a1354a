"""The epochs of `offbeat.kernels.saga` for CSR blocks: a row touches the coordinates of its entries, and three numbers.

Rows are centred, or the intercept would depend on all columns together and settle slowly; and yet only their entries
are visited. A step along ``x - center`` is one along ``x`` and one along ``center``, and the latter all go the same
way: the point is ``v + turn * drift`` with ``drift = rate * center``, and a step along the centre adds to ``turn``.
With ``v.center`` at hand as well, the predictor takes nothing but the row's entries.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.compiled import kernel
from offbeat.kernels.pointers import pointer
from offbeat.kernels.saga import MERGE, STEEP, compared, implicit, seen

INTERCEPT, TURN, ALONG = 0, 1, 2
"""Three numbers that belong to the point: the intercept, ``turn``, and ``v.center``."""


@kernel(error_model="numpy", inline="always")
def sparse_dot(X, i, x):
    """Return the product of a row as it is stored, not centred, with a vector."""
    indptr, indices, data = X
    z = 0.0
    for p in range(indptr[i], indptr[i + 1]):
        z += float(data[p]) * x[indices[p]]
    return z


@kernel(error_model="numpy", inline="always")
def _predict(X, i, state, metric):
    """Return the predictor of a row at the moving point."""
    indptr, indices, data = X
    v, numbers = state[0], state[3]
    drift, turn = metric[2], numbers[TURN]
    z = numbers[INTERCEPT] - numbers[ALONG] - turn * drift[-1]
    for p in range(indptr[i], indptr[i + 1]):
        j = indices[p]
        z += float(data[p]) * (v[j] + turn * drift[j])
    return z


@kernel(error_model="numpy", inline="always")
def sparse_length(X, i, rate, center, about):
    """Return the squared length of a centred row, intercept included, in a metric; ``about`` is that of the centre."""
    indptr, indices, data = X
    length = rate[-1] + about
    for p in range(indptr[i], indptr[i + 1]):
        d = float(data[p])
        length += rate[indices[p]] * d * (d - 2.0 * center[indices[p]])
    return max(length, rate[-1])  # entries that repeat a column make it too small


@kernel(error_model="numpy", inline="always")
def _move(penalty, X, i, changes, state, metric, rule):
    """Take a step along a row; add the row, times its slope, to the gradient that is gathered (about zero)."""
    indptr, indices, data = X
    v, average, fresh, numbers = state
    rate, copies, drift, center, _ = metric
    shrink, factor, strength = rule
    change, slope = changes
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
    y, weights, offset = target
    weight = weights[i] if weights.shape[0] > 0 else 1.0
    base = offset[i] if offset.shape[0] > 0 else 0.0
    z = _predict(X, row, state, metric) + base
    old = table[i]
    at = z
    if metric[4] >= 0.0:
        reach = sparse_length(X, row, metric[0], metric[3], metric[4])
        sums[STEEP] = max(sums[STEEP], reach * weight * loss.second_derivative(z, y[i]))
        at = implicit(loss, z, y[i], weight, old, reach)
    new = seen(loss, (z, at), base, y[i], weight, old, sums)
    table[i] = new
    _move(penalty, X, row, (new - old, new), state, metric, rule)


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
    X : tuple
        ``indptr, indices, data``. A repeated entry counts as another occurrence of its column.
    state : tuple
        ``v`` (k,); the average gradient (k + 1,), about the centre; the gradient that is gathered, about zero; the
        three numbers named above.
    metric : tuple
        ``rate`` (k + 1,); ``copies`` (k,): rows for each entry of a column, so that a column that occurs in few rows
        takes long steps along its average gradient, and all the fewer of them; ``drift`` (k + 1,), its product with the
        centre last; ``center`` (k,); the squared length of the centre where steps along rows are to be implicit, or -1.
    """
    _rows(loss, penalty, X, 0, target, table, order, state, metric, rule, sums)


@kernel(error_model="numpy")
def sparse_shared(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Do as `sparse_epoch` beside other threads that move the same point: see `dense_shared`.

    ``v`` is written to as it is: two rows seldom have many columns in common. The three numbers, which every row
    changes, are the thread's own for `MERGE` rows. A lost change of ``v.center`` shifts predictors, and so the slopes
    that the table remembers, until the epoch ends; the gradient is gathered from the same slopes, so the two agree.
    """
    v, average, fresh, shared = state
    numbers, base = shared.copy(), shared.copy()
    for first in range(0, order.shape[0], MERGE):
        for j in range(3):
            base[j] = shared[j]
            numbers[j] = base[j]
        rows = order[first : first + MERGE]
        _rows(loss, penalty, X, 0, target, table, rows, (v, average, fresh, numbers), metric, rule, sums)
        for j in range(3):
            shared[j] += numbers[j] - base[j]


@kernel(error_model="numpy", inline="always")
def _piece(like, addresses, rows):
    """Return the CSR block at these addresses."""
    indptr, indices, data = like
    return (
        carray(pointer(addresses[0], indptr), (rows + 1,)),
        carray(pointer(addresses[1], indices), (addresses[3],)),
        carray(pointer(addresses[2], data), (addresses[3],)),
    )


@kernel(error_model="numpy")
def sparse_pieces(loss, penalty, pieces, target, table, order, state, metric, rule, sums):
    """Do as `dense_pieces` for CSR blocks: ``like`` is one of them, and three addresses and a length describe each."""
    like, addresses, edges = pieces
    r = 0
    while r < order.shape[0]:
        piece = np.searchsorted(edges, order[r], side="right") - 1
        start, stop, first = edges[piece], edges[piece + 1], r
        while r < order.shape[0] and start <= order[r] < stop:
            r += 1
        X = _piece(like, addresses[piece], stop - start)
        _rows(loss, penalty, X, start, target, table, order[first:r], state, metric, rule, sums)


@kernel(error_model="numpy")
def sparse_visit(loss, penalty, X, target, points, order, state, metric, rule, sums):
    """Do as `dense_visit` for a CSR block; the last numbers of the points are their predictors of a row of zeros."""
    y, weights, offset = target
    anchor, point = points
    for r in range(order.shape[0]):
        i = order[r]
        weight = weights[i] if weights.shape[0] > 0 else 1.0
        base = offset[i] if offset.shape[0] > 0 else 0.0
        z = _predict(X, i, state, metric) + base
        fixed, here = sparse_dot(X, i, anchor) + anchor[-1] + base, sparse_dot(X, i, point) + point[-1] + base
        reach = sparse_length(X, i, metric[0], metric[3], metric[4]) if metric[4] >= 0.0 else 0.0
        changes = compared(loss, (z, fixed, here), base, y[i], weight, reach, sums)
        _move(penalty, X, i, changes, state, metric, rule)
