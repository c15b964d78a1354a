"""Sums of loss, gradient and Hessian over a shard: dense and sparse rows, one or several outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards.blocks import Float64s, Ranges, Rows, Targets, Workspace, split_ranges
from offbeat.data.shards.conditioning import Conditioning, conditioned_blocks, conditioned_point
from offbeat.data.shards.point import Point, Sums, head_size
from offbeat.data.source import CSR, Block
from offbeat.kernels import evaluation
from offbeat.kernels.arguments import CentredPoint, EvaluationSums, LinearPoint
from offbeat.losses import questions

NO_BUFFER_SHAPE = (0, 1)


def evaluate(shard: Rows, loss: Any, point: Point, workspace: Workspace) -> Sums:
    """Return the sums at the point; see `Shard.evaluate`."""
    size, n_outputs = point.coef.size, point.intercept.size
    out = Sums(
        np.zeros(head_size(n_outputs)),
        np.zeros(size),
        np.zeros(size) if point.repair else None,
        np.zeros((size + n_outputs, size + n_outputs)) if point.hessian else None,
    )
    inner, how = conditioned_point(shard, point)
    for block, targets, ranges in conditioned_blocks(shard, point.fraction, workspace, how):
        if questions.n_outputs(loss) > 1:
            add_classes(block, targets, inner, ranges, out)
        elif isinstance(block, CSR):
            _add_sparse(loss, block, targets, inner, ranges, out)
        else:
            _add_dense(loss, block, targets, point, ranges, out, workspace)
    if shard.source.sparse:
        centre(out, inner.center)
        _rescale(out, point, how)
    return out


def _add_dense(
    loss: Any,
    block: NDArray[Any],
    targets: Targets,
    point: Point,
    ranges: Ranges,
    out: Sums,
    workspace: Workspace,
) -> None:
    dtype = np.dtype(np.float64) if point.exact else block.dtype
    unit = np.ones(block.shape[1]) if point.scale is None else 1.0 / point.scale
    at = CentredPoint(point.coef, point.center, float(point.intercept[0]), unit)
    repair = np.empty(0) if out.repair is None else out.repair
    totals, no_bend = EvaluationSums(out.head, out.gradient, repair), np.empty(0)
    if out.hessian is None:
        evaluation.dense_evaluate(loss, block, targets, at, ranges, np.empty(NO_BUFFER_SHAPE, dtype), no_bend, totals)
        return
    buffer = workspace.weighted(block.shape[1] + 1, dtype)
    for group in split_ranges(ranges, len(buffer)):
        filled = int((group[:, 1] - group[:, 0]).sum())
        evaluation.dense_evaluate(loss, block, targets, at, group, buffer[:filled], no_bend, totals)
        out.hessian[...] += buffer[:filled].T @ buffer[:filled]


def _add_sparse(loss: Any, block: CSR, targets: Targets, point: Point, ranges: Ranges, out: Sums) -> None:
    at = LinearPoint(point.coef, float(point.intercept[0] - point.center @ point.coef))
    repair = np.empty(0) if out.repair is None else out.repair
    hessian = np.empty((0, 0)) if out.hessian is None else out.hessian
    totals = EvaluationSums(out.head, out.gradient, repair)
    evaluation.sparse_evaluate(loss, block, targets, at, ranges, hessian, np.empty(0), totals)


def add_classes(
    block: Block, targets: Targets, point: Point, ranges: Ranges, out: Sums,
    shares: NDArray[np.float32] | None = None,
) -> None:  # fmt: skip
    """Add the sums of a loss of several classes over a block.

    Parameters
    ----------
    block : ndarray or CSR
    targets : Targets
        Class numbers.
    point : Point
    ranges : ndarray of int64, shape (n_ranges, 2)
        Rows of the block to visit.
    out : Sums
        Where to add.
    shares : ndarray of float32, shape (n_rows, n_classes), optional
        Receives the probability of each class in each row of the block.
    """
    from offbeat.kernels import classes

    gradient, before = out.gradient.reshape(point.coef.shape), out.head[1:-2].copy()
    kept = np.empty((0, point.intercept.size), np.float32) if shares is None else shares
    if isinstance(block, CSR):
        at = LinearPoint(point.coef, point.intercept - point.center @ point.coef)
        each = (0,) * point.intercept.size
        for first, last in ranges:
            classes.sparse_evaluate(block, targets, at, first, last, out.head, gradient, kept, each)
    else:
        dtype = np.dtype(np.float64) if point.exact else block.dtype
        coef, center = point.coef.astype(dtype), point.center.astype(dtype)
        rest = point.center - center  # what is lost by rounding the centre: added to intercepts and gradient
        intercept = (point.intercept - rest @ point.coef).astype(dtype)
        for first, last in ranges:
            for a in range(first, last, classes.ROWS_AT_ONCE):
                part = slice(a, min(a + classes.ROWS_AT_ONCE, last))
                y, v, offset = targets.rows(part.start, part.stop)
                centred = block[part] - center
                z = centred @ coef + intercept
                if offset.size:
                    z += offset[:, None].astype(dtype)
                classes.softmax_rows(z, y, v, out.head)
                if shares is not None:
                    classes.keep_probabilities(z, y, v, kept[part])
                gradient += centred.T @ z
        gradient -= np.outer(rest, out.head[1:-2] - before)
    out.head[-1] += int((ranges[:, 1] - ranges[:, 0]).sum())


def centre(out: Sums, center: Float64s) -> None:
    """Turn sums over columns into sums over columns minus their centres."""
    theta, direction = out.head[1:-2], out.head[-2]
    out.gradient[...] -= np.outer(center, theta).ravel()
    if out.repair is not None:
        out.repair[...] -= direction * center
    if out.hessian is not None:
        column, total = out.hessian[:-1, -1].copy(), out.hessian[-1, -1]
        out.hessian[:-1, :-1] += total * np.outer(center, center) - np.outer(column, center) - np.outer(center, column)
        out.hessian[:-1, -1] -= total * center
        out.hessian[-1, :-1] = out.hessian[:-1, -1]


def _rescale(out: Sums, point: Point, how: Conditioning | None) -> None:
    """Turn sums over rewritten columns into sums over the columns themselves, and divide the Hessian by the scale."""
    k = len(point.center)
    if how is not None:
        for sums in (out.gradient, out.repair):
            if sums is not None:
                how.restore(sums.reshape(k, -1))
    if out.hessian is not None and point.scale is not None:
        unit = 1.0 / point.scale
        if how is not None:
            unit[how.columns] = 1.0 / (point.scale[how.columns] * how.unit)
        unit = np.append(unit, 1.0)
        out.hessian[...] *= unit[:, None]
        out.hessian[...] *= unit
