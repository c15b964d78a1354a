"""The shard's side of `NewtonCG`: evaluations that keep the curvature of each row, and products made of it.

All is in the units of the columns, about their centres, with the intercept last.
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
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step
from offbeat.solvers._common import class_products

EVALUATE, PRODUCT, DIAGONAL, BLOCK = "gradient", "product", "diagonal", "block of the Hessian"
HEAD = 4
CHUNK = 512  # dense rows to weight at once
NOWHERE: NDArray[np.int64] = np.empty(0, np.int64)
BLOCK_ROWS = 120  # rows for each column of a block: with 30, rows in order of a column say too little of the others


class Query(NamedTuple):
    """What a shard is asked: to evaluate ``at``, or for a product, the diagonal or a block of the Hessian there.

    ``number`` says which evaluation the Hessian is of; a shard that does not hold it evaluates ``at`` again.
    ``direction`` has shape (k + 1,), flat over columns and classes with one intercept a class where there are several;
    ``columns`` are those of the block.
    """

    what: str
    at: Point
    number: int
    direction: Floats
    columns: NDArray[np.int64]


class Local(NamedTuple):
    """Curvature of each row at the evaluation with this number: ``v l''(z)``; of several classes, their shares."""

    workspace: Workspace
    number: int = -1
    bend: NDArray[Any] | None = None


def local_step(problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
    """Answer a query."""
    if query.what == EVALUATE:
        payload, bend = evaluate(problem, shard, local.workspace, query.at)
        return Step(Local(local.workspace, query.number, bend), payload, 1.0, query.what)
    work = 1.0
    if local.number != query.number or local.bend is None:
        _, bend = evaluate(problem, shard, local.workspace, query.at)
        local, work = Local(local.workspace, query.number, bend), 2.0
    assert local.bend is not None
    answer = {PRODUCT: _product, DIAGONAL: _diagonal, BLOCK: _block}[query.what]
    return Step(local, answer(shard, local.workspace, local.bend, query), work, query.what)


def evaluate(problem: Problem, shard: Shard, workspace: Workspace, at: Point) -> tuple[Floats, NDArray[Any]]:
    """Return the sums of `Shard.evaluate`, flat, and the curvature of each row."""
    if problem.n_outputs > 1:
        return class_products.evaluate(shard, workspace, at)
    sums, bends = zip(*map_on_threads(lambda part: _evaluate(problem, part, workspace, at), shard), strict=True)
    return (sums[0], bends[0]) if len(sums) == 1 else (sum(sums[1:], sums[0]), np.concatenate(bends))


def _evaluate(problem: Problem, shard: Shard, workspace: Workspace, at: Point) -> tuple[Floats, NDArray[Any]]:
    from offbeat.kernels import products

    k = at.coef.size
    head, gradient, repair = np.zeros(HEAD), np.zeros(k), np.zeros(k if at.repair else 0)
    out, bend, done = (head, gradient, repair), np.empty(shard.n_rows), 0
    inner, how = conditioned_point(shard, at)
    for block, targets, ranges in conditioned_blocks(shard, 1.0, workspace, how):
        rows = int(ranges[-1, 1])
        part, goal = bend[done : done + rows], tuple(targets)
        if isinstance(block, CSR):
            point = (inner.coef, float(inner.intercept[0] - inner.center @ inner.coef))
            products.sparse_evaluate(problem.loss, tuple(block), goal, point, part, out)
        else:
            point = (at.coef, float(at.intercept[0]))
            products.dense_evaluate(problem.loss, block, goal, point, at.center, part, out)
        done += rows
    if shard.source.sparse:
        gradient -= head[1] * inner.center
        if at.repair:
            repair -= head[2] * inner.center
    if how is not None:
        how.restore(gradient)
        if at.repair:
            how.restore(repair)
    return Sums(head, gradient, repair if at.repair else None, None).flat(), bend


def _diagonal(shard: Shard, workspace: Workspace, bend: NDArray[Any], query: Query) -> Floats:
    """Return the diagonal of the Hessian, the intercept last; then the number of stored entries."""
    from offbeat.kernels import products

    if query.at.intercept.size > 1:
        return class_products.diagonal(shard, workspace, bend, query.at)
    inner, how = conditioned_point(shard, query.at)
    center, done, stored = inner.center, 0, 0
    out, total = np.zeros((center.size, 2)), float(bend.sum())
    for block, _, ranges in conditioned_blocks(shard, 1.0, workspace, how):
        rows = int(ranges[-1, 1])
        part = bend[done : done + rows]
        if isinstance(block, CSR):
            products.sparse_diagonal(tuple(block), part, out)
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


def _product(shard: Shard, workspace: Workspace, bend: NDArray[Any], query: Query) -> Floats:
    from offbeat.kernels import products

    if query.at.intercept.size > 1:
        return class_products.product(shard, workspace, bend, query.at, query.direction)
    inner, how = conditioned_point(shard, query.at)
    center, w, b = inner.center, query.direction[:-1], float(query.direction[-1])
    w = w if how is None else w / how.units()
    out, done = np.zeros(query.direction.size), 0
    for block, _, ranges in conditioned_blocks(shard, 1.0, workspace, how):
        rows = int(ranges[-1, 1])
        part = bend[done : done + rows]
        if isinstance(block, CSR):
            products.sparse_product(tuple(block), part, w, b - float(center @ w), out)
        else:
            products.dense_product(block, part, w, b, center, out)
        done += rows
    if shard.source.sparse:
        out[:-1] -= out[-1] * center
    if how is not None:
        how.restore(out[:-1])
    return out


def _block(shard: Shard, workspace: Workspace, bend: Floats, query: Query) -> Floats:
    """Return the Hessian of some columns and the intercept, over enough rows, flat; then the share of the rows."""
    from offbeat.kernels import products

    columns = query.columns[:-1]
    inner, how = conditioned_point(shard, query.at)
    m, center = columns.size, inner.center[columns]
    out, seen = np.zeros((m + 1, m + 1)), 0
    place = np.full(query.at.coef.size, -1)
    place[columns] = np.arange(m)
    fraction = min(1.0, BLOCK_ROWS * (m + 1) / shard.n_rows) if shard.source.resident else 1.0
    for block, targets, ranges in conditioned_blocks(replace(shard, y=bend), fraction, workspace, how):
        if isinstance(block, CSR):
            products.sparse_block(tuple(block), targets.y, place, ranges, out)
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
    block: Any, bend: Floats, columns: NDArray[np.int64], center: Floats, ranges: NDArray[np.int64], out: Floats
) -> None:
    for first, last in ranges:
        for a in range(int(first), int(last), CHUNK):
            b = min(a + CHUNK, int(last))
            weighted = np.empty((b - a, columns.size + 1))
            weighted[:, :-1] = block[a:b, columns] - center
            weighted[:, -1] = 1.0
            weighted *= np.sqrt(bend[a:b])[:, None]
            out += weighted.T @ weighted
