"""Local solves of consensus ADMM for losses with kinks: dual coordinate ascent, warm-started.

The primal point follows exactly from the dual variables: ``x = c - y / rho`` with ``y = sum v theta a / n``, where
``c`` is the centre of the proximal term. The conjugate at ``theta`` is exact too. So the lower bound of a fit is valid
even if its local solves are inexact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Shard, Targets
from offbeat.data.source import CSR, Block
from offbeat.kernels.arguments import DualScaling
from offbeat.problem import Floats, Problem
from offbeat.solvers.admm.local_prox import AdmmLocal, AdmmQuery, LocalSolution, least_curvature, own_rho, prox_center

SOLVE_ACCURACY = 0.5  # square root of the local gap, over the movement in a solve


@dataclass(frozen=True)
class RowDuals:
    """Dual variables of a shard's rows, without weights, and the squared norms of the rows (internal coordinates)."""

    theta: Floats
    norms: Floats


@dataclass(frozen=True)
class _DualSums:
    """Sums over a shard's rows: gradient and conjugate of all rows, and of positive dual variables; total weight."""

    gradient: Floats
    conjugate: float
    gradient_above: Floats
    conjugate_above: float
    weight: float


def evaluate_start(problem: Problem, shard: Shard, query: AdmmQuery, local: AdmmLocal) -> LocalSolution:
    """Return the first local solution: dual variables set to a subgradient at the consensus."""
    duals = _no_duals(shard)
    sums = _dual_sums(problem, shard, query, local, duals, query.z)
    curvature = max(sums.weight, least_curvature(query))
    local = replace(_local_at(local, query.z.copy(), sums, duals), curvature=curvature)
    return LocalSolution(local, 1.0, 1.0, "start")


def solve_local(problem: Problem, shard: Shard, query: AdmmQuery, local: AdmmLocal) -> LocalSolution:
    """Solve the proximal problem of a shard inexactly, by epochs of dual coordinate ascent.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    query : AdmmQuery
    local : AdmmLocal

    Returns
    -------
    LocalSolution
    """
    rho = own_rho(query, local.curvature)
    center = prox_center(query, local, rho)
    reads, y = 0.0, local.y
    if local.memory is None:
        duals = _no_duals(shard)
        y, reads = _dual_sums(problem, shard, query, local, duals, local.x).gradient, 1.0
    else:
        duals = replace(local.memory, theta=local.memory.theta.copy())
    rng = np.random.default_rng((query.seed, shard.first_row, int(local.steps)))
    x = center - y / rho
    for _ in range(query.inner):
        share = min(query.allowance - reads - 1.0, 1.0)
        if share <= 0.0 and reads > 0.0:
            break
        share = max(share, 0.1)
        x, gap = _epoch(problem, shard, query, local, duals, x, rho, (rng, share))
        reads += share
        moved = float(np.linalg.norm(x - query.z)) + float(np.linalg.norm(x - local.x))
        if gap <= 0.5 * rho * (SOLVE_ACCURACY * moved) ** 2:
            break
    sums = _dual_sums(problem, shard, query, local, duals)
    x = center - sums.gradient / rho
    reads += 1.0
    return LocalSolution(_local_at(local, x, sums, duals), reads, reads, f"prox, {reads:.2g} passes")


def _no_duals(shard: Shard) -> RowDuals:
    """Return memory for the dual variables and norms of a shard."""
    return RowDuals(np.zeros(shard.n_rows), np.empty(shard.n_rows))


def _local_at(local: AdmmLocal, x: Floats, sums: _DualSums, memory: RowDuals) -> AdmmLocal:
    """Return the local state at a new point."""
    return replace(
        local, x=x, y=sums.gradient, repair=sums.gradient_above, conjugate=sums.conjugate,
        along=sums.conjugate_above, memory=memory,
    )  # fmt: skip


def _epoch(
    problem: Problem, shard: Shard, query: AdmmQuery, local: AdmmLocal, duals: RowDuals, x: Floats, rho: float,
    how: tuple[Any, float],
) -> tuple[Floats, float]:  # fmt: skip
    """Visit a share of the rows in random order. Update the dual variables; return the new point and its local gap."""
    from offbeat.kernels import sdca

    rng, share = how
    point = np.append(x[:-1] / query.scale, x[-1])
    shrink, sigma, none = _shrink(query), 1.0 / (rho * query.n_rows), np.empty(0)
    gap, done = 0.0, 0
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        rows = int(ranges[-1, 1])
        order = rng.permutation(rows)[: int(np.ceil(share * rows))]
        theta = duals.theta[done : done + rows]
        scaling = DualScaling(shrink, none, sigma, duals.norms[done : done + rows], 0.0, query.center)
        ascent: Any = sdca.sparse_ascent if isinstance(block, CSR) else sdca.dense_ascent
        gap += ascent(problem.loss, block, targets, theta, point, scaling, order, np.empty(rows, np.bool_))
        done += rows
    return np.append(point[:-1] * query.scale, point[-1]), gap / share / query.n_rows


def _shrink(query: AdmmQuery) -> Floats:
    """Return the reciprocal squares of the scales, the intercept last: what dual steps are multiplied with."""
    return np.append(query.scale**-2.0, float(query.intercept))


def _dual_sums(
    problem: Problem, shard: Shard, query: AdmmQuery, local: AdmmLocal, duals: RowDuals, at: Floats | None = None
) -> _DualSums:
    """Return the sums of the dual variables. If a point is given, set these to a subgradient there first."""
    from offbeat.kernels import row_sums

    k = len(query.scale)
    out, terms, done = np.zeros((2, k + 1)), np.zeros((2, 2)), 0
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        part = slice(done, done + int(ranges[-1, 1]))
        if at is not None:
            _start(problem, query, block, targets, at, RowDuals(duals.theta[part], duals.norms[part]))
        slopes = duals.theta[part] * targets.weight if targets.weight.size else duals.theta[part]
        if isinstance(block, CSR):
            row_sums.sparse_gradient(block, slopes, out)
        else:
            row_sums.dense_gradient(block, slopes, query.center, out)
        row_sums.conjugates(problem.loss, targets, duals.theta[part], terms)
        done = part.stop
    if shard.source.sparse:
        out[:, :k] -= np.outer(out[:, k], query.center)
    out *= np.append(1.0 / query.scale, float(query.intercept)) / query.n_rows
    terms /= query.n_rows
    weight = float(shard.weight.sum()) if shard.weight.size else float(shard.n_rows)
    return _DualSums(out[0], float(terms[0, 0]), out[1], float(terms[1, 0]), weight / query.n_rows)


def _start(problem: Problem, query: AdmmQuery, block: Block, targets: Targets, at: Floats, duals: RowDuals) -> None:
    """Set the dual variables of a block to the subgradients at a point, and the norms of the rows."""
    from offbeat.kernels import row_sums

    point, shrink, head = np.append(at[:-1] / query.scale, at[-1]), _shrink(query), np.zeros(4)
    plain = targets._replace(weight=targets.weight[:0])
    if isinstance(block, CSR):
        point[-1] -= query.center @ point[:-1]
        row_sums.sparse_slopes(problem.loss, block, plain, point, duals.theta, head)
        row_sums.sparse_norms(block, shrink, query.center, np.zeros(len(query.scale)), duals.norms)
    else:
        row_sums.dense_slopes(problem.loss, block, plain, point, query.center, duals.theta, head)
        row_sums.dense_norms(block, shrink, query.center, duals.norms)
