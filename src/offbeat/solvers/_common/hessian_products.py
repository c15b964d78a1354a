"""Hessian-vector products of a shard, from the stored curvature of each row. `NewtonCG` uses them.

The curvature of a row is ``v l''(z)``, its weight times the second derivative of the loss. Vectors are in the units of
the centred columns, with the intercept last. `class_products` has the same for several classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Point, Shard, Sums, Workspace
from offbeat.data.shards.conditioning import conditioned_blocks, conditioned_point
from offbeat.data.shards.threads import map_on_threads
from offbeat.data.source import CSR
from offbeat.kernels.arguments import CentredPoint, EvaluationSums, LinearPoint
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step
from offbeat.solvers._common import class_products

EVALUATE, PRODUCT, DIAGONAL, BLOCK = "gradient", "product", "diagonal", "block of the Hessian"
HEAD_SIZE = 4
CHUNK_ROWS = 512  # dense rows that are weighted at a time
NO_COLUMNS: NDArray[np.int64] = np.empty(0, np.int64)
ROWS_PER_BLOCK_COLUMN = 120  # sampled rows; 30 are too few if the rows are sorted by a column


class HessianQuery(NamedTuple):
    """A request to evaluate ``at``, or for a product with, the diagonal of, or a block of the Hessian there.

    ``number`` identifies the evaluation. A shard that does not have its curvatures evaluates ``at`` again.
    ``direction`` has shape (k + 1,); with several classes it is flat over columns and classes, with one intercept a
    class. ``columns`` are those of the block.
    """

    what: str
    at: Point
    number: int
    direction: Floats
    columns: NDArray[np.int64]


class HessianLocal(NamedTuple):
    """Local state: curvature of each row at the evaluation ``number``; with several classes, their probabilities."""

    workspace: Workspace
    number: int = -1
    bend: NDArray[Any] | None = None


def local_step(problem: Problem, shard: Shard, local: HessianLocal, query: HessianQuery) -> Step:
    """Return the evaluation, product, diagonal or block that a query asks for."""
    if query.what == EVALUATE:
        payload, curvature = evaluate(problem, shard, local.workspace, query.at)
        return Step(HessianLocal(local.workspace, query.number, curvature), payload, 1.0, query.what)
    work = 1.0
    if local.number != query.number or local.bend is None:
        _, curvature = evaluate(problem, shard, local.workspace, query.at)
        local, work = HessianLocal(local.workspace, query.number, curvature), 2.0
    assert local.bend is not None
    answer = {PRODUCT: _product, DIAGONAL: _diagonal, BLOCK: _block}[query.what]
    return Step(local, answer(shard, local.workspace, local.bend, query), work, query.what)


def evaluate(problem: Problem, shard: Shard, workspace: Workspace, at: Point) -> tuple[Floats, NDArray[Any]]:
    """Return the flat sums of `Shard.evaluate`, and the curvature of each row."""
    if problem.n_outputs > 1:
        return class_products.evaluate(shard, workspace, at)
    sums, curvatures = zip(*map_on_threads(lambda part: _evaluate(problem, part, workspace, at), shard), strict=True)
    return (sums[0], curvatures[0]) if len(sums) == 1 else (sum(sums[1:], sums[0]), np.concatenate(curvatures))


def _evaluate(problem: Problem, shard: Shard, workspace: Workspace, at: Point) -> tuple[Floats, NDArray[Any]]:
    """Return the flat sums and the curvatures of the rows of a part of a shard, for one output."""
    from offbeat.kernels import evaluation

    k, nothing = at.coef.size, np.empty((0, 1))
    head, gradient, repair = np.zeros(HEAD_SIZE), np.zeros(k), np.zeros(k if at.repair else 0)
    out, curvature, done = EvaluationSums(head, gradient, repair), np.empty(shard.n_rows), 0
    inner, how = conditioned_point(shard, at)
    for block, targets, ranges in conditioned_blocks(shard, 1.0, workspace, how):
        rows = int(ranges[-1, 1])
        part = curvature[done : done + rows]
        if isinstance(block, CSR):
            point = LinearPoint(inner.coef, float(inner.intercept[0] - inner.center @ inner.coef))
            evaluation.sparse_evaluate(problem.loss, block, targets, point, ranges, nothing, part, out)
        else:
            centred = CentredPoint(at.coef, at.center, float(at.intercept[0]), np.ones(k))
            evaluation.dense_evaluate(problem.loss, block, targets, centred, ranges, nothing, part, out)
        done += rows
    if shard.source.sparse:
        gradient -= head[1] * inner.center
        if at.repair:
            repair -= head[2] * inner.center
    if how is not None:
        how.restore(gradient)
        if at.repair:
            how.restore(repair)
    return Sums(head, gradient, repair if at.repair else None, None).flat(), curvature


def _diagonal(shard: Shard, workspace: Workspace, curvature: NDArray[Any], query: HessianQuery) -> Floats:
    """Return the diagonal of the Hessian (intercept last), followed by the number of stored entries."""
    from offbeat.kernels import products

    if query.at.intercept.size > 1:
        return class_products.diagonal(shard, workspace, curvature, query.at)
    inner, how = conditioned_point(shard, query.at)
    center, done, stored = inner.center, 0, 0
    out, total = np.zeros((center.size, 2)), float(curvature.sum())
    for block, _, ranges in conditioned_blocks(shard, 1.0, workspace, how):
        rows = int(ranges[-1, 1])
        part = curvature[done : done + rows]
        if isinstance(block, CSR):
            products.sparse_diagonal(block, part, out)
            stored += block.n_stored
        else:
            products.dense_diagonal(block, part, center, out)
            stored += block.size
        done += rows
    if shard.source.sparse:
        out[:, 1] += center * (center * total - 2.0 * out[:, 0])
    if how is not None:
        out[:, 1] = out[:, 1] / how.units() / how.units()
    return np.concatenate([out[:, 1], [total, stored]])


def _product(shard: Shard, workspace: Workspace, curvature: NDArray[Any], query: HessianQuery) -> Floats:
    """Return the product of the Hessian with the direction of the query."""
    from offbeat.kernels import products

    if query.at.intercept.size > 1:
        return class_products.product(shard, workspace, curvature, query.at, query.direction)
    inner, how = conditioned_point(shard, query.at)
    center, w, b = inner.center, query.direction[:-1], float(query.direction[-1])
    w = w if how is None else w / how.units()
    out, done = np.zeros(query.direction.size), 0
    for block, _, ranges in conditioned_blocks(shard, 1.0, workspace, how):
        rows = int(ranges[-1, 1])
        part = curvature[done : done + rows]
        if isinstance(block, CSR):
            products.sparse_product(block, part, w, b - float(center @ w), out)
        else:
            products.dense_product(block, part, w, b, center, out)
        done += rows
    if shard.source.sparse:
        out[:-1] -= out[-1] * center
    if how is not None:
        how.restore(out[:-1])
    return out


def _block(shard: Shard, workspace: Workspace, curvature: Floats, query: HessianQuery) -> Floats:
    """Return the flat block of the Hessian for some columns and the intercept, estimated from a sample of rows."""
    from offbeat.kernels import products

    columns = query.columns[:-1]
    inner, how = conditioned_point(shard, query.at)
    m, center = columns.size, inner.center[columns]
    out, seen = np.zeros((m + 1, m + 1)), 0
    place = np.full(query.at.coef.size, -1)
    place[columns] = np.arange(m)
    fraction = min(1.0, ROWS_PER_BLOCK_COLUMN * (m + 1) / shard.n_rows) if shard.source.resident else 1.0
    for block, targets, ranges in conditioned_blocks(replace(shard, y=curvature), fraction, workspace, how):
        if isinstance(block, CSR):
            products.sparse_block(block, targets.y, place, ranges, out)
        else:
            _dense_block(block, targets.y, columns, center, ranges, out)
        seen += int((ranges[:, 1] - ranges[:, 0]).sum())
    if shard.source.sparse:
        total, first = out[-1, -1], out[-1, :-1].copy()
        if center.any():
            out[:-1, :-1] -= np.outer(first - total * center, center)
            out[:-1, :-1] -= np.outer(center, first)
            out[-1, :-1] -= total * center
    if how is not None:
        unit = np.append(how.units()[columns], 1.0)
        out = out / unit / unit[:, None]
    out *= shard.n_rows / seen
    return out.ravel()


def _dense_block(
    block: Any, curvature: Floats, columns: NDArray[np.int64], center: Floats, ranges: NDArray[np.int64], out: Floats
) -> None:
    """Add the weighted Gram matrix of some dense columns and a column of ones to ``out``, over ranges of rows."""
    for first, last in ranges:
        for a in range(int(first), int(last), CHUNK_ROWS):
            b = min(a + CHUNK_ROWS, int(last))
            weighted = np.empty((b - a, columns.size + 1))
            weighted[:, :-1] = block[a:b, columns] - center
            weighted[:, -1] = 1.0
            weighted *= np.sqrt(curvature[a:b])[:, None]
            out += weighted.T @ weighted
