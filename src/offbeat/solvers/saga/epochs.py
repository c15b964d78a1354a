"""Epochs of steps along single rows, with three kinds of variance reduction.

The derivative of a row is compared with its last one, from a table (SAGA), with that at an anchor (SVRG), or with
nothing (plain SGD).
"""

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
from offbeat.kernels.arguments import (
    DenseMetric,
    DenseState,
    FixedPoints,
    PenaltyStep,
    RowParts,
    SparseMetric,
    SparseState,
)
from offbeat.losses.questions import smooth
from offbeat.penalties import questions
from offbeat.problem import Floats, Loss, Penalty, Problem
from offbeat.solvers._common.constants import ROWS_PER_RUN
from offbeat.solvers.saga.messages import SagaContribution, SagaQuery, SagaScalars

MAX_CURVATURE_CHANGE = 10.0  # ratio of the largest row curvatures of two successive epochs


class EpochPlan(NamedTuple):
    """Arguments of the kernels that are the same in every epoch of a step."""

    loss: Loss
    penalty: Penalty
    metric: DenseMetric | SparseMetric
    rule: PenaltyStep
    length: float


class EpochResult(NamedTuple):
    """Result of epochs: the point, the gradient, the scalars, the table."""

    x: Floats
    gradient: Floats
    facts: SagaScalars
    table: Floats


def curvature_bound(loss: Loss) -> float:
    """Return the bound of the second derivative; 1 for a loss with a kink, as a scale of steps."""
    return float(loss.smoothness) if smooth(loss) else 1.0


def epoch_plan(problem: Problem, shard: Shard, length: float, query: SagaQuery) -> EpochPlan:
    """Return the arguments of the kernels, for steps of this length."""
    loss, penalty = problem.loss, problem.penalty._replace(weights=None)
    rate, shrink = length * query.metric, np.empty(0)
    if questions.smooth(penalty):
        lengths = rate[:-1] * (query.copies if query.copies.size else 1.0)
        shrink = 1.0 / (1.0 + lengths * query.factor**2 * questions.curvature(penalty) * query.strength)
    unbounded = not math.isfinite(curvature_bound(loss))
    metric: DenseMetric | SparseMetric = DenseMetric(query.center, rate, unbounded)
    if shard.source.sparse:
        drift = rate[:-1] * query.center
        about = float(drift @ query.center)
        metric = SparseMetric(rate, query.copies, np.append(drift, about), query.center, about if unbounded else -1.0)
    return EpochPlan(loss, penalty, metric, PenaltyStep(shrink, query.factor, query.strength), length)


def with_table(
    plan: EpochPlan, shard: Shard, workspace: Workspace, query: SagaQuery, last: SagaContribution
) -> EpochResult:
    """Run SAGA epochs, with a table of derivatives. Rows are drawn from the whole shard."""
    point, table, facts, average, gradient = query.point, last.table.copy(), last.facts, query.average, last.gradient
    visitor = _RowVisitor(plan, *_all_blocks(shard, workspace), query.threads)
    for epoch in range(round(facts.steps), round(facts.steps) + query.epochs):
        moving = _EpochPoint(shard, plan, query, point)
        fresh, sums = visitor.visit(_rng(shard, query, epoch), table, moving, average)
        point, gradient = moving.point(), moving.centred(fresh)
        average = gradient / shard.n_rows
        facts = _updated_scalars(plan, facts, sums, facts.conjugate)
    return EpochResult(point, gradient, facts, table)


def with_anchor(
    plan: EpochPlan, shard: Shard, workspace: Workspace, query: SagaQuery, last: SagaContribution
) -> EpochResult:
    """Run epochs that compare each derivative with that at the anchor (SVRG).

    The first epoch also evaluates the gradient at the point of the query, which the shard contributes.
    """
    from offbeat.kernels import saga, saga_sparse

    point, facts, gradient, first = query.point, last.facts, last.gradient, round(last.facts.steps)
    fixed = FixedPoints(query.anchor, query.point)
    if shard.source.sparse:
        fixed = FixedPoints(about_zero(query, query.anchor), about_zero(query))
    for epoch in range(first, first + query.epochs):
        rng, moving = _rng(shard, query, epoch), _EpochPoint(shard, plan, query, point)
        fresh, sums = np.zeros_like(point), np.zeros(saga.N_SUMS)
        for block, targets, _ in shard.blocks(1.0, workspace):
            visit: Any = saga_sparse.sparse_visit if isinstance(block, CSR) else saga.dense_visit
            rows, state = order(len(targets.y), rng), moving.state(query.average, fresh)
            visit(plan.loss, plan.penalty, block, targets, fixed, rows, state, plan.metric, plan.rule, sums)
        point = moving.point()
        if epoch == first:
            gradient = moving.centred(fresh)
            facts = _updated_scalars(plan, facts, sums, float(sums[saga.CONJUGATE]))
    return EpochResult(point, gradient, facts, last.table)


def plain_sgd(
    plan: EpochPlan, shard: Shard, workspace: Workspace, query: SagaQuery, last: SagaContribution
) -> EpochResult:
    """Run epochs of stochastic gradient descent, without variance reduction.

    The kernels are those of SAGA with a table and an average of zeros. Rows are drawn from the whole shard if it is in
    memory, else from one block of the file after another.
    """
    from offbeat.kernels.saga import N_SUMS

    point, facts, gradient = query.point, last.facts, last.gradient
    nothing = np.zeros_like(point)
    for epoch in range(round(facts.steps), round(facts.steps) + query.epochs):
        moving, rng = _EpochPoint(shard, plan, query, point), _rng(shard, query, epoch)
        fresh, sums = np.zeros_like(point), np.zeros(N_SUMS)
        for blocks, targets in _row_groups(shard, workspace):
            visitor = _RowVisitor(plan, blocks, targets, query.threads)
            parts = visitor.visit(rng, np.zeros(len(targets.y)), moving, nothing)
            fresh, sums = fresh + parts[0], sums + parts[1]
        point, gradient = moving.point(), moving.centred(fresh)
        facts = _updated_scalars(plan, facts, sums, 0.0)._replace(excess=0.0)
    return EpochResult(point, gradient, facts, last.table)


def _all_blocks(shard: Shard, workspace: Workspace) -> tuple[list[Block], Targets]:
    """Return all blocks of a shard that is in memory."""
    blocks = [block for block, _, _ in shard.blocks(1.0, workspace)]
    return blocks, Targets(shard.y, shard.weight, shard.offset)


def _row_groups(shard: Shard, workspace: Workspace) -> Iterator[tuple[list[Block], Targets]]:
    """Yield groups of rows to draw from: the whole shard if it is in memory, else one block after another."""
    if in_memory(shard.source):
        yield _all_blocks(shard, workspace)
        return
    for block, targets, _ in shard.blocks(1.0, workspace):
        yield [block], targets


class _EpochPoint:
    """The point that an epoch moves, in the form of the kernels: see `offbeat.kernels.saga_sparse` for sparse rows."""

    def __init__(self, shard: Shard, plan: EpochPlan, query: SagaQuery, point: Floats) -> None:
        self._sparse, self._center = shard.source.sparse, query.center
        self._drift = plan.metric.drift[:-1] if isinstance(plan.metric, SparseMetric) else None
        self._x = point[:-1].copy() if self._sparse else point.copy()
        self._numbers = np.array([point[-1], 0.0, float(query.center @ point[:-1])])

    def state(self, average: Floats, fresh: Floats) -> DenseState | SparseState:
        """Return the arguments of the kernels."""
        if self._sparse:
            return SparseState(self._x, average, fresh, self._numbers)
        return DenseState(self._x, average, fresh)

    def point(self) -> Floats:
        """Return the current point."""
        if self._drift is None:
            return self._x
        return np.append(self._x + self._numbers[1] * self._drift, self._numbers[0])

    def centred(self, gradient: Floats) -> Floats:
        """Return a gradient for centred columns."""
        if self._sparse:
            gradient[:-1] -= self._center * gradient[-1]
        return gradient


def about_zero(query: SagaQuery, point: Floats | None = None) -> Floats:
    """Return a point (by default that of the query), with the predictor of a row of zeros as the last entry."""
    out = (query.point if point is None else point).copy()
    out[-1] -= float(query.center @ out[:-1])
    return out


class _RowVisitor:
    """Visits the rows of one array, on one or several threads, or of several arrays, on one thread."""

    def __init__(self, plan: EpochPlan, blocks: list[Block], targets: Targets, threads: int) -> None:
        from offbeat.kernels import saga, saga_sparse

        self._blocks = blocks  # kept alive: kernels have their addresses
        alone, first = len(blocks) == 1, blocks[0]
        choices: tuple[Any, ...] = (saga.dense_parts, saga.dense_epoch, saga.dense_shared)
        if isinstance(first, CSR):
            choices = (saga_sparse.sparse_parts, saga_sparse.sparse_epoch, saga_sparse.sparse_shared)
        self._threads = threads if alone else 1
        self._kernel = choices[alone + (self._threads > 1)]
        self._data: Any = first if alone else _block_addresses(blocks)
        self._plan, self._targets = plan, targets

    def visit(
        self, rng: np.random.Generator, table: Floats, moving: _EpochPoint, average: Floats
    ) -> tuple[Floats, Floats]:
        """Visit all rows once and update the table. Return the gradient and the other sums of the epoch."""
        from offbeat.kernels.saga import N_SUMS

        def run(rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
            plan, fresh, sums = self._plan, np.zeros_like(average), np.zeros(N_SUMS)
            self._kernel(
                plan.loss, plan.penalty, self._data, self._targets, table, rows, moving.state(average, fresh),
                plan.metric, plan.rule, sums,
            )  # fmt: skip
            return fresh, sums

        parts = _on_threads(run, np.array_split(order(len(table), rng), self._threads))
        fresh, sums = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
        return fresh, sums


def _block_addresses(blocks: list[Block]) -> RowParts:
    """Return several blocks as one array in parts: the first block (for its type), addresses and row offsets."""
    if isinstance(blocks[0], CSR):
        sparse = [block for block in blocks if isinstance(block, CSR)]
        known = [[*(part.ctypes.data for part in block), len(block.indices)] for block in sparse]
        lengths = [block.n_rows for block in sparse]
        return RowParts(sparse[0], np.array(known, np.int64), np.cumsum([0, *lengths]))
    dense = [block for block in blocks if not isinstance(block, CSR)]
    addresses = [block.ctypes.data for block in dense]
    return RowParts(dense[0], np.array(addresses, np.int64), np.cumsum([0, *(len(block) for block in dense)]))


def _on_threads(run: Callable[[NDArray[np.int64]], Any], parts: list[NDArray[np.int64]]) -> list[Any]:
    """Call a function for each part of the rows, on one thread a part."""
    if len(parts) == 1:
        return [run(parts[0])]
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(run, parts))


def _rng(shard: Shard, query: SagaQuery, epoch: int) -> np.random.Generator:
    """Return the random generator of an epoch, the same on every worker."""
    return np.random.default_rng((query.seed, shard.first_row, epoch))


def _updated_scalars(plan: EpochPlan, facts: SagaScalars, sums: Floats, conjugate: float) -> SagaScalars:
    """Return the scalars after an epoch. ``conjugate`` is that of the tangents that the loss is compared with."""
    from offbeat.kernels import saga

    loss, cross, new, bad = (float(sums[i]) for i in (saga.LOSS, saga.CROSS, saga.CONJUGATE, saga.NOT_FINITE))
    level = facts.level
    if sums[saga.CURVATURE] > 0.0:  # if the second derivative is unbounded: the largest one of this epoch
        level = min(
            max(float(sums[saga.CURVATURE]) / plan.length, level / MAX_CURVATURE_CHANGE), level * MAX_CURVATURE_CHANGE
        )
    return facts._replace(conjugate=new, loss=loss, excess=loss + conjugate - cross, bad=bad, level=level)


def order(rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random order of rows. Rows of a short run stay together; the runs are shuffled.

    Examples
    --------
    >>> sorted(order(10, np.random.default_rng(0)).tolist()) == list(range(10))
    True
    """
    starts = ROWS_PER_RUN * rng.permutation(-(-rows // ROWS_PER_RUN))
    every = (starts[:, None] + np.arange(ROWS_PER_RUN)).ravel()
    return every[every < rows] if rows % ROWS_PER_RUN else every
