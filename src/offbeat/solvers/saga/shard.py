"""The shard's side of `SAGA`: its local state and its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step
from offbeat.solvers.saga import epochs
from offbeat.solvers.saga.epochs import EpochResult
from offbeat.solvers.saga.messages import SagaContribution, SagaQuery, SagaScalars

# Step lengths, times the largest curvature of a row. Proofs need 1/3, which takes up to three times as many passes.
STEP_LENGTH = 1.0
QUADRATIC_STEP_LENGTH = 0.5  # with a quadratic loss every row has the largest curvature


RunEpochs = Callable[[epochs.EpochPlan, Shard, Workspace, SagaQuery, SagaContribution], EpochResult]


class SagaLocal(NamedTuple):
    """Local state of a shard: its last contribution, which holds all that it needs; None at first."""

    workspace: Workspace
    last: SagaContribution | None


def new_local(shard: Shard, contribution: Floats | None) -> SagaLocal:
    """Return a new local state, or the one that a contribution was made from."""
    if contribution is None:
        return SagaLocal(Workspace(), None)
    k = shard.source.shape[1]
    return SagaLocal(Workspace(), SagaContribution.unflat(contribution, k + 1, k if shard.source.sparse else 0))


def local_step(problem: Problem, shard: Shard, local: SagaLocal, query: SagaQuery, run: RunEpochs) -> Step:
    """Run epochs from the point of the query. The first step only evaluates the derivatives there."""
    last = local.last
    if last is None or query.number == 0:
        new = _start_contribution(problem, shard, local.workspace, query)
        return Step(SagaLocal(local.workspace, new), new.flat(), 1.0, "start")
    cost = 0.0
    if last.facts.level <= 0.0:
        cost, level = 1.0, _largest_row_curvature(problem, shard, local.workspace, query)
        last = last._replace(facts=last.facts._replace(level=level))
    length = query.damp * (QUADRATIC_STEP_LENGTH if problem.loss.quadratic else STEP_LENGTH) / last.facts.level
    done = run(epochs.epoch_plan(problem, shard, length, query), shard, local.workspace, query, last)
    facts = done.facts._replace(
        passes=last.facts.passes + (cost + query.epochs) * shard.n_rows, steps=last.facts.steps + query.epochs,
        weight=0.0, bend=0.0, step=length * shard.n_rows,
    )  # fmt: skip
    new = _contribution(shard, query, last, done._replace(facts=facts))
    return Step(SagaLocal(local.workspace, new), new.flat(), query.epochs + cost, "epoch")


def _contribution(shard: Shard, query: SagaQuery, last: SagaContribution, done: EpochResult) -> SagaContribution:
    """Return the contribution after epochs."""
    n = shard.n_rows
    position = last.position + (done.x - query.point) if query.through else n * done.x
    none = np.zeros_like(last.squares)  # sent once
    return SagaContribution(done.gradient, n * query.point, position, none, none, done.facts, done.table)


def _start_contribution(problem: Problem, shard: Shard, workspace: Workspace, query: SagaQuery) -> SagaContribution:
    """Return the first contribution: derivatives of all rows at the query, and sums over the columns."""
    from offbeat.kernels import row_sums

    k, loss = shard.source.shape[1], problem.loss
    table, head, done = np.zeros(shard.n_rows), np.zeros(4), 0
    gradient, squares, counts = np.zeros(k + 1), np.zeros(query.copies.size), np.zeros(query.copies.size)
    for block, targets, ranges in shard.blocks(1.0, workspace):
        rows = int(ranges[-1, 1])
        part = table[done : done + rows]
        if isinstance(block, CSR):
            row_sums.sparse_slopes(loss, block, targets, epochs.about_zero(query), part, head)
            row_sums.sparse_gradient(block, part, gradient[None])
            row_sums.sparse_columns(block, targets.weight, query.center, squares, counts)
        else:
            row_sums.dense_slopes(loss, block, targets, query.point, query.center, part, head)
            row_sums.dense_gradient(block, part, query.center, gradient[None])
        done += rows
    if shard.source.sparse:
        gradient[:-1] -= query.center * gradient[-1]
    position = np.zeros(k + 1) if query.through else shard.n_rows * query.point
    conjugate, weight, bend, bad = head.tolist()
    facts = SagaScalars(conjugate, 0.0, 0.0, weight, bend, 0.0, 0.0, bad, float(shard.n_rows), 0.0)
    table = table if query.room else np.empty(0)
    return SagaContribution(gradient, shard.n_rows * query.point, position, squares, counts, facts, table)


def _largest_row_curvature(problem: Problem, shard: Shard, workspace: Workspace, query: SagaQuery) -> float:
    """Return the largest curvature of a row of the shard."""
    from offbeat.kernels import row_sums

    loss, most = problem.loss, 0.0
    bound = epochs.curvature_bound(loss)
    for block, targets, _ in shard.blocks(1.0, workspace):
        if isinstance(block, CSR):
            at = epochs.about_zero(query)
            found = row_sums.sparse_steepest(loss, bound, block, targets, at, query.center, query.metric)
        else:
            found = row_sums.dense_steepest(loss, bound, block, targets, query.point, query.center, query.metric)
        most = max(most, found)
    return most if most > 0.0 else 1.0
