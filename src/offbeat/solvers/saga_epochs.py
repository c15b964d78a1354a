"""The epochs of `SAGA` over one shard: with a table of slopes, or held against the slopes at an anchor."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shard import Shard, Workspace
from offbeat.data.source import CSR, Block
from offbeat.problem import Floats, Loss, Penalty, Problem
from offbeat.solvers.saga_messages import Contribution, Facts, Query

RUN = 8  # rows that are drawn together: reading them one after another is twice as fast


class Plan(NamedTuple):
    """Arguments that the kernels take in every epoch of a step."""

    loss: Loss
    penalty: Penalty
    metric: tuple[Floats, Floats, bool]
    rule: tuple[Floats, Floats, Floats]
    step: float


class Done(NamedTuple):
    """What epochs end with: the point, the gradient and what else there is to tell, the table."""

    x: Floats
    gradient: Floats
    facts: Facts
    table: Floats


def plan(problem: Problem, shard: Shard, step: float, query: Query) -> Plan:
    """Return what the kernels need for steps of this length."""
    loss, penalty = problem.loss, problem.penalty._replace(weights=None)
    rate, shrink = step * query.metric, np.empty(0)
    if penalty.name in ("none", "l2"):
        length = rate[:-1] * (query.copies if query.copies.size else 1.0)
        shrink = 1.0 / (1.0 + length * query.factor**2 * penalty.alpha * query.strength)
    about = query.copies if shard.source.sparse else query.center
    metric = (about, rate, not math.isfinite(loss.smoothness))
    return Plan(loss, penalty, metric, (shrink, query.factor, query.strength), step)


def with_table(plan: Plan, shard: Shard, workspace: Workspace, query: Query, last: Contribution) -> Done:
    """Run epochs that compare slopes with those of the epoch before. Rows are drawn from all over the shard."""
    x, table, facts, average, gradient = query.point.copy(), last.table.copy(), last.facts, query.average, last.gradient
    visit = _visitor(plan, shard, workspace, query)
    for epoch in range(round(facts.steps), round(facts.steps) + query.epochs):
        rows, shown, frozen = order(shard.n_rows, _rng(shard, query, epoch)), x, average

        def run(part: NDArray[np.int64], x: Floats = shown, average: Floats = frozen) -> tuple[Floats, Floats]:
            fresh, sums = np.zeros_like(x), np.zeros(4)
            visit(part, table, (x, average, fresh), sums)
            return fresh, sums

        parts = _each(run, np.array_split(rows, query.threads))
        gradient, sums = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
        average = gradient / shard.n_rows
        facts = _facts(facts, sums, facts.conjugate, plan.step * shard.n_rows)
    return Done(x, gradient, facts, table)


def anchored(plan: Plan, shard: Shard, workspace: Workspace, query: Query, last: Contribution) -> Done:
    """Run epochs that compare slopes with those at the anchor.

    The first takes the gradient at the query's point: what the shard tells the others.
    """
    from offbeat.kernels import saga, saga_sparse

    x, facts, gradient = query.point.copy(), last.facts, last.gradient
    first = round(facts.steps)
    for epoch in range(first, first + query.epochs):
        rng, fresh, sums = _rng(shard, query, epoch), np.zeros_like(x), np.zeros(4)
        for block, targets, _ in shard.blocks(1.0, workspace):
            visit: Any = saga_sparse.sparse_visit if isinstance(block, CSR) else saga.dense_visit
            visit(
                plan.loss, plan.penalty, tuple(block) if isinstance(block, CSR) else block, tuple(targets),
                (query.anchor, query.point), order(len(targets.y), rng), (x, query.average, fresh), plan.metric,
                plan.rule, sums,
            )  # fmt: skip
        if epoch == first:
            gradient, facts = fresh, _facts(facts, sums, float(sums[saga.CONJUGATE]), plan.step * shard.n_rows)
    return Done(x, gradient, facts, last.table)


def _visitor(plan: Plan, shard: Shard, workspace: Workspace, query: Query) -> Callable[..., None]:
    """Return what visits rows of the shard: in one array or in several, alone or beside other threads."""
    from offbeat.kernels import saga, saga_sparse

    blocks = [block for block, _, _ in shard.blocks(1.0, workspace)]
    alone = len(blocks) == 1
    kernel: Any = saga.dense_epoch if alone else saga.dense_pieces
    if shard.source.sparse:
        kernel = saga_sparse.sparse_epoch if alone else saga_sparse.sparse_pieces
    elif query.threads > 1 and alone:
        kernel = saga.dense_shared
    data = (tuple(blocks[0]) if shard.source.sparse else blocks[0]) if alone else _pieces(blocks)
    targets = (shard.y, shard.weight, shard.offset)

    def visit(rows: NDArray[np.int64], table: Floats, state: tuple[Floats, Floats, Floats], sums: Floats) -> None:
        kernel(plan.loss, plan.penalty, data, targets, table, rows, state, plan.metric, plan.rule, sums)

    visit.blocks = blocks  # type: ignore[attr-defined]  # kernels know pieces by their addresses: they must stay
    return visit


def _pieces(blocks: list[Block]) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
    """Return one of several blocks, the addresses of all, and their first rows with the number of rows last."""
    if isinstance(blocks[0], CSR):
        sparse = [block for block in blocks if isinstance(block, CSR)]
        known = [[*(part.ctypes.data for part in block), len(block.indices)] for block in sparse]
        lengths = [block.n_rows for block in sparse]
        return tuple(sparse[0]), np.array(known, np.int64), np.cumsum([0, *lengths])
    dense = [block for block in blocks if not isinstance(block, CSR)]
    addresses = [block.ctypes.data for block in dense]
    return dense[0], np.array(addresses, np.int64), np.cumsum([0, *(len(block) for block in dense)])


def _each(run: Callable[[NDArray[np.int64]], Any], parts: list[NDArray[np.int64]]) -> list[Any]:
    """Run something on parts of the rows, each on a thread of its own if there are several."""
    if len(parts) == 1:
        return [run(parts[0])]
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(run, parts))


def _rng(shard: Shard, query: Query, epoch: int) -> np.random.Generator:
    return np.random.default_rng((query.seed, shard.start, epoch))


def _facts(facts: Facts, sums: Floats, conjugate: float, step: float) -> Facts:
    """Return facts with those of an epoch; ``conjugate`` is that of the tangents that the loss is held against."""
    from offbeat.kernels import saga

    loss, cross, new, bad = (float(sums[i]) for i in (saga.LOSS, saga.CROSS, saga.CONJUGATE, saga.BAD))
    return facts._replace(
        conjugate=new, loss=loss, excess=loss + conjugate - cross, bad=bad, weight=0.0, bend=0.0, step=step
    )


def order(rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the order in which rows are visited: short runs of neighbours, the runs in random order.

    Examples
    --------
    >>> sorted(order(10, np.random.default_rng(0)).tolist()) == list(range(10))
    True
    """
    starts = RUN * rng.permutation(-(-rows // RUN))
    every = (starts[:, None] + np.arange(RUN)).ravel()
    return every[every < rows] if rows % RUN else every
