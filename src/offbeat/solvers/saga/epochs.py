"""Epochs of steps along single rows of a shard: held against a table of slopes, those at an anchor, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import in_memory
from offbeat.data.shards import Shard, Targets, Workspace
from offbeat.data.source import CSR, Block
from offbeat.losses.questions import smooth
from offbeat.penalties import questions
from offbeat.problem import Floats, Loss, Penalty, Problem
from offbeat.solvers.saga.messages import Contribution, Facts, Query

FOLLOW = 10.0  # by how much the largest curvature may change from one epoch to the next
RUN = 8  # rows that are drawn together: reading them one after another is twice as fast


class Plan(NamedTuple):
    """Arguments that the kernels take in every epoch of a step."""

    loss: Loss
    penalty: Penalty
    metric: tuple[Any, ...]
    rule: tuple[Floats, Floats, Floats]
    length: float


class Done(NamedTuple):
    """What epochs end with: the point, the gradient and what else there is to tell, the table."""

    x: Floats
    gradient: Floats
    facts: Facts
    table: Floats


def bound(loss: Loss) -> float:
    """Return the largest second derivative that steps reckon with; of a loss with a kink, that of one rounded off."""
    return float(loss.smoothness) if smooth(loss) else 1.0


def plan(problem: Problem, shard: Shard, length: float, query: Query) -> Plan:
    """Return what the kernels need for steps of this length."""
    loss, penalty = problem.loss, problem.penalty._replace(weights=None)
    rate, shrink = length * query.metric, np.empty(0)
    if questions.smooth(penalty):
        lengths = rate[:-1] * (query.copies if query.copies.size else 1.0)
        shrink = 1.0 / (1.0 + lengths * query.factor**2 * questions.curvature(penalty) * query.strength)
    unbounded = not math.isfinite(bound(loss))
    metric: tuple[Any, ...] = (query.center, rate, unbounded)
    if shard.source.sparse:
        drift = rate[:-1] * query.center
        about = float(drift @ query.center)
        metric = (rate, query.copies, np.append(drift, about), query.center, about if unbounded else -1.0)
    return Plan(loss, penalty, metric, (shrink, query.factor, query.strength), length)


def with_table(plan: Plan, shard: Shard, workspace: Workspace, query: Query, last: Contribution) -> Done:
    """Run epochs that compare slopes with those of the epoch before. Rows are drawn from all over the shard."""
    point, table, facts, average, gradient = query.point, last.table.copy(), last.facts, query.average, last.gradient
    visitor = _Visitor(plan, *_whole(shard, workspace), query.threads)
    for epoch in range(round(facts.steps), round(facts.steps) + query.epochs):
        moving = _Moving(shard, plan, query, point)
        fresh, sums = visitor.visit(_rng(shard, query, epoch), table, moving, average)
        point, gradient = moving.point(), moving.centred(fresh)
        average = gradient / shard.n_rows
        facts = _facts(plan, facts, sums, facts.conjugate)
    return Done(point, gradient, facts, table)


def anchored(plan: Plan, shard: Shard, workspace: Workspace, query: Query, last: Contribution) -> Done:
    """Run epochs that compare slopes with those at the anchor.

    The first takes the gradient at the query's point: what the shard tells the others.
    """
    from offbeat.kernels import saga, saga_sparse

    point, facts, gradient, first = query.point, last.facts, last.gradient, round(last.facts.steps)
    fixed = (query.anchor, query.point)
    if shard.source.sparse:
        fixed = (about_zero(query, query.anchor), about_zero(query))
    for epoch in range(first, first + query.epochs):
        rng, moving = _rng(shard, query, epoch), _Moving(shard, plan, query, point)
        fresh, sums = np.zeros_like(point), np.zeros(5)
        for block, targets, _ in shard.blocks(1.0, workspace):
            visit: Any = saga_sparse.sparse_visit if isinstance(block, CSR) else saga.dense_visit
            visit(
                plan.loss, plan.penalty, tuple(block) if isinstance(block, CSR) else block, tuple(targets), fixed,
                order(len(targets.y), rng), moving.state(query.average, fresh), plan.metric, plan.rule, sums,
            )  # fmt: skip
        point = moving.point()
        if epoch == first:
            gradient = moving.centred(fresh)
            facts = _facts(plan, facts, sums, float(sums[saga.CONJUGATE]))
    return Done(point, gradient, facts, last.table)


def plain(plan: Plan, shard: Shard, workspace: Workspace, query: Query, last: Contribution) -> Done:
    """Run epochs that compare slopes with nothing: stochastic gradient descent.

    Compared with a table and an average of zeros, a row moves the point along its own gradient. Rows are drawn from all
    over data that is in memory, and from block after block of a file.
    """
    point, facts, gradient = query.point, last.facts, last.gradient
    nothing = np.zeros_like(point)
    for epoch in range(round(facts.steps), round(facts.steps) + query.epochs):
        moving, rng = _Moving(shard, plan, query, point), _rng(shard, query, epoch)
        fresh, sums = np.zeros_like(point), np.zeros(5)
        for blocks, targets in _read(shard, workspace):
            visitor = _Visitor(plan, blocks, targets, query.threads)
            parts = visitor.visit(rng, np.zeros(len(targets.y)), moving, nothing)
            fresh, sums = fresh + parts[0], sums + parts[1]
        point, gradient = moving.point(), moving.centred(fresh)
        facts = _facts(plan, facts, sums, 0.0)._replace(excess=0.0)
    return Done(point, gradient, facts, last.table)


def _whole(shard: Shard, workspace: Workspace) -> tuple[list[Block], Targets]:
    """Return all blocks of a shard that is in memory."""
    blocks = [block for block, _, _ in shard.blocks(1.0, workspace)]
    return blocks, Targets(shard.y, shard.weight, shard.offset)


def _read(shard: Shard, workspace: Workspace) -> Iterator[tuple[list[Block], Targets]]:
    """Yield what rows can be drawn from at a time: all of the shard where it is in memory, else block after block."""
    if in_memory(shard.source):
        yield _whole(shard, workspace)
        return
    for block, targets, _ in shard.blocks(1.0, workspace):
        yield [block], targets


class _Moving:
    """The point that an epoch moves, as kernels hold it: see `offbeat.kernels.saga_sparse` for sparse rows."""

    def __init__(self, shard: Shard, plan: Plan, query: Query, point: Floats) -> None:
        self._sparse, self._center = shard.source.sparse, query.center
        self._drift = plan.metric[2][:-1] if self._sparse else None
        self._x = point[:-1].copy() if self._sparse else point.copy()
        self._numbers = np.array([point[-1], 0.0, float(query.center @ point[:-1])])

    def state(self, average: Floats, fresh: Floats) -> tuple[Floats, ...]:
        """Return what kernels take."""
        return (self._x, average, fresh, self._numbers) if self._sparse else (self._x, average, fresh)

    def point(self) -> Floats:
        """Return the point as it is now."""
        if self._drift is None:
            return self._x
        return np.append(self._x + self._numbers[1] * self._drift, self._numbers[0])

    def centred(self, gradient: Floats) -> Floats:
        """Return a gradient about the centre."""
        if self._sparse:
            gradient[:-1] -= self._center * gradient[-1]
        return gradient


def about_zero(query: Query, point: Floats | None = None) -> Floats:
    """Return a point, that of the query unless another is given, with its predictor of a row of zeros last."""
    out = (query.point if point is None else point).copy()
    out[-1] -= float(query.center @ out[:-1])
    return out


class _Visitor:
    """Visits rows that lie in one array or in several, alone or beside other threads."""

    def __init__(self, plan: Plan, blocks: list[Block], targets: Targets, threads: int) -> None:
        from offbeat.kernels import saga, saga_sparse

        self._blocks = blocks  # kernels know them by their addresses
        alone, first = len(blocks) == 1, blocks[0]
        choices: tuple[Any, ...] = (saga.dense_pieces, saga.dense_epoch, saga.dense_shared)
        if isinstance(first, CSR):
            choices = (saga_sparse.sparse_pieces, saga_sparse.sparse_epoch, saga_sparse.sparse_shared)
        self._threads = threads if alone else 1
        self._kernel = choices[alone + (self._threads > 1)]
        own: Any = tuple(first) if isinstance(first, CSR) else first
        self._data = own if alone else _pieces(blocks)
        self._plan, self._targets = plan, tuple(targets)

    def visit(self, rng: np.random.Generator, table: Floats, moving: _Moving, average: Floats) -> tuple[Floats, Floats]:
        """Visit all rows once; return their gradient, and what else epochs add up. The table is updated."""

        def run(rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
            plan, fresh, sums = self._plan, np.zeros_like(average), np.zeros(5)
            self._kernel(
                plan.loss, plan.penalty, self._data, self._targets, table, rows, moving.state(average, fresh),
                plan.metric, plan.rule, sums,
            )  # fmt: skip
            return fresh, sums

        parts = _each(run, np.array_split(order(len(table), rng), self._threads))
        fresh, sums = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
        return fresh, sums


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


def _facts(plan: Plan, facts: Facts, sums: Floats, conjugate: float) -> Facts:
    """Return facts with those of an epoch; ``conjugate`` is that of the tangents that the loss is held against."""
    from offbeat.kernels import saga

    loss, cross, new, bad = (float(sums[i]) for i in (saga.LOSS, saga.CROSS, saga.CONJUGATE, saga.BAD))
    level = facts.level
    if sums[saga.STEEP] > 0.0:  # no bound of the second derivative: what it was on the way
        level = min(max(float(sums[saga.STEEP]) / plan.length, level / FOLLOW), level * FOLLOW)
    return facts._replace(conjugate=new, loss=loss, excess=loss + conjugate - cross, bad=bad, level=level)


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
