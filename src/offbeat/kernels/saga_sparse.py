"""The epochs of `offbeat.kernels.saga` for CSR blocks, about zero: a row moves the coordinates of its entries."""

from __future__ import annotations

import numpy as np
from numba import carray

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses and penalties)
from offbeat.kernels.compiled import kernel
from offbeat.kernels.pointers import pointer
from offbeat.kernels.saga import compared, seen, shortened


@kernel(error_model="numpy")
def sparse_predict(X, i, x):
    """Return the predictor of a sparse row."""
    indptr, indices, data = X
    z = x[-1]
    for p in range(indptr[i], indptr[i + 1]):
        z += float(data[p]) * x[indices[p]]
    return z


@kernel(error_model="numpy")
def sparse_length(X, i, rate):
    """Return the squared length of a sparse row, intercept included, in a metric; not of entries that repeat."""
    indptr, indices, data = X
    length = rate[-1]
    for p in range(indptr[i], indptr[i + 1]):
        length += rate[indices[p]] * float(data[p]) * float(data[p])
    return length


@kernel(error_model="numpy")
def _sparse_move(penalty, X, i, changes, state, metric, rule):
    """Take a step along a sparse row, and add it to the gradient that is gathered."""
    indptr, indices, data = X
    x, average, fresh = state
    copies, rate, _ = metric
    shrink, factor, strength = rule
    change, slope = changes
    k = x.shape[0] - 1
    if shrink.shape[0] > 0:
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            d = float(data[p])
            x[j] = shrink[j] * (x[j] - rate[j] * (change * d + copies[j] * average[j]))
            fresh[j] += slope * d
    else:
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            d = float(data[p])
            f = factor[j]
            moved = x[j] - rate[j] * (change * d + copies[j] * average[j])
            x[j] = penalty.prox(f * moved, rate[j] * copies[j] * f * f, strength[j]) / f
            fresh[j] += slope * d
    x[k] -= rate[k] * (change + average[k])
    fresh[k] += slope


@kernel(error_model="numpy", inline="always")
def _sparse_row(loss, penalty, X, row, target, table, i, state, metric, rule, sums):
    """Visit a row; ``i`` is where its target and slope are."""
    y, v, offset = target
    weight = v[i] if v.shape[0] > 0 else 1.0
    base = offset[i] if offset.shape[0] > 0 else 0.0
    z = sparse_predict(X, row, state[0]) + base
    old = table[i]
    new = seen(loss, z, base, y[i], weight, old, sums)
    table[i] = new
    change = new - old
    if metric[2]:
        change *= shortened(loss, z, y[i], weight, sparse_length(X, row, metric[1]))
    _sparse_move(penalty, X, row, (change, new), state, metric, rule)


@kernel(error_model="numpy")
def _sparse_rows(loss, penalty, X, start, target, table, order, state, metric, rule, sums):
    """Visit rows of a block whose first row has this number among targets and slopes."""
    for r in range(order.shape[0]):
        i = order[r]
        _sparse_row(loss, penalty, X, i - start, target, table, i, state, metric, rule, sums)


@kernel(error_model="numpy")
def sparse_epoch(loss, penalty, X, target, table, order, state, metric, rule, sums):
    """Do as `dense_epoch` for a CSR block: coordinates move only where the row has entries.

    ``metric`` has ``copies`` (k,) in place of ``center``: rows for each entry of a column, so that a column that occurs
    in few rows takes long steps along its average gradient, and all the fewer of them. A repeated entry counts as
    another occurrence.
    """
    _sparse_rows(loss, penalty, X, 0, target, table, order, state, metric, rule, sums)


@kernel(error_model="numpy", inline="always")
def _sparse_piece(like, addresses, rows):
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
        X = _sparse_piece(like, addresses[piece], stop - start)
        _sparse_rows(loss, penalty, X, start, target, table, order[first:r], state, metric, rule, sums)


@kernel(error_model="numpy")
def sparse_visit(loss, penalty, X, target, points, order, state, metric, rule, sums):
    """Do as `dense_visit` for a CSR block."""
    y, v, offset = target
    anchor, point = points
    for r in range(order.shape[0]):
        i = order[r]
        weight = v[i] if v.shape[0] > 0 else 1.0
        base = offset[i] if offset.shape[0] > 0 else 0.0
        z, fixed, here = (
            sparse_predict(X, i, state[0]) + base,
            sparse_predict(X, i, anchor) + base,
            sparse_predict(X, i, point) + base,
        )
        change, slope = compared(loss, (z, fixed, here), base, y[i], weight, sums)
        if metric[2]:
            change *= shortened(loss, z, y[i], weight, sparse_length(X, i, metric[1]))
        _sparse_move(penalty, X, i, (change, slope), state, metric, rule)
