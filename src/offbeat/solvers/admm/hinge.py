"""Local solves of consensus ADMM for the hinge: dual coordinate ascent, warm-started.

The primal point follows exactly from the dual variables: ``x = c - y / rho`` with ``y = sum v theta a / n``, where
``c`` is the centre of the proximal term. The conjugate at ``theta`` is exact too. So the lower bound of a fit is valid
even if its local solves are inexact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Shard
from offbeat.data.source import CSR
from offbeat.problem import Floats
from offbeat.solvers.admm.local_prox import AdmmLocal, AdmmQuery, LocalSolution, least_curvature, own_rho, prox_center

SOLVE_ACCURACY = 0.5  # square root of the local gap, over the movement in a solve


@dataclass(frozen=True)
class HingeDuals:
    """Dual variables of a shard's rows, each in [0, 1]."""

    alpha: Floats


@dataclass(frozen=True)
class _DualSums:
    """Sums over a shard's rows: gradient and conjugate of all rows and of those of class 0; total weight."""

    gradient: Floats
    conjugate: float
    gradient_zero: Floats
    conjugate_zero: float
    weight: float


def evaluate_start(shard: Shard, query: AdmmQuery, local: AdmmLocal) -> LocalSolution:
    """Return the first local solution: dual variables set to a subgradient at the consensus."""
    alpha = np.zeros(shard.n_rows)
    sums = _dual_sums(shard, query, local, alpha, query.z)
    curvature = max(sums.weight, least_curvature(query))
    local = replace(_local_at(local, query.z.copy(), sums, HingeDuals(alpha)), curvature=curvature)
    return LocalSolution(local, 1.0, 1.0, "start")


def solve_local(shard: Shard, query: AdmmQuery, local: AdmmLocal) -> LocalSolution:
    """Solve the proximal problem of a shard inexactly, by epochs of dual coordinate ascent.

    Parameters
    ----------
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
        alpha = np.zeros(shard.n_rows)
        y, reads = _dual_sums(shard, query, local, alpha, local.x).gradient, 1.0
    else:
        alpha = local.memory.alpha.copy()
    rng = np.random.default_rng((query.seed, shard.start, int(local.steps)))
    x = center - y / rho
    for _ in range(query.inner):
        share = min(query.allowance - reads - 1.0, 1.0)
        if share <= 0.0 and reads > 0.0:
            break
        share = max(share, 0.1)
        x, gap = _epoch(shard, query, local, alpha, x, rho, (rng, share))
        reads += share
        moved = float(np.linalg.norm(x - query.z)) + float(np.linalg.norm(x - local.x))
        if gap <= 0.5 * rho * (SOLVE_ACCURACY * moved) ** 2:
            break
    sums = _dual_sums(shard, query, local, alpha)
    x = center - sums.gradient / rho
    reads += 1.0
    return LocalSolution(_local_at(local, x, sums, HingeDuals(alpha)), reads, reads, f"prox, {reads:.2g} passes")


def _local_at(local: AdmmLocal, x: Floats, sums: _DualSums, memory: HingeDuals) -> AdmmLocal:
    """Return the local state at a new point."""
    return replace(
        local, x=x, y=sums.gradient, repair=sums.gradient_zero, conjugate=sums.conjugate,
        along=sums.conjugate_zero, memory=memory,
    )  # fmt: skip


def _epoch(
    shard: Shard, query: AdmmQuery, local: AdmmLocal, alpha: Floats, x: Floats, rho: float, how: tuple[Any, float]
) -> tuple[Floats, float]:
    """Visit a share of the rows in random order. Update ``alpha`` in place; return the new point and its local gap."""
    from offbeat.kernels import ascent

    rng, share = how
    point = np.append(x[:-1] / query.scale, x[-1])
    columns, strength = (query.center, query.scale**-2.0), (rho * query.n_rows, float(query.intercept))
    gap, done = 0.0, 0
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        rows = int(ranges[-1, 1])
        order = rng.permutation(rows)[: int(np.ceil(share * rows))]
        part = alpha[done : done + rows]
        if isinstance(block, CSR):
            gap += ascent.sparse_ascent(tuple(block), tuple(targets), part, point, columns, strength, order)
        else:
            gap += ascent.dense_ascent(block, tuple(targets), part, point, columns, strength, order)
        done += rows
    return np.append(point[:-1] * query.scale, point[-1]), gap / share / query.n_rows


def _dual_sums(shard: Shard, query: AdmmQuery, local: AdmmLocal, alpha: Floats, at: Floats | None = None) -> _DualSums:
    """Return the sums of the dual variables. If a point is given, set these to a subgradient there first."""
    from offbeat.kernels import ascent

    k = len(query.scale)
    out = np.zeros((2, k + 3))
    point = np.empty(0) if at is None else np.append(at[:-1] / query.scale, at[-1])
    done = 0
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        rows = int(ranges[-1, 1])
        part = alpha[done : done + rows]
        if isinstance(block, CSR):
            ascent.sparse_hinge(tuple(block), tuple(targets), part, point, query.center, out)
        else:
            ascent.dense_hinge(block, tuple(targets), part, point, query.center, out)
        done += rows
    out /= query.n_rows
    out[:, : k + 1] *= np.append(1.0 / query.scale, float(query.intercept))
    return _DualSums(
        out.sum(axis=0)[: k + 1], float(out[:, k + 1].sum()), out[0, : k + 1].copy(), float(out[0, k + 1]),
        float(out[:, k + 2].sum()),
    )  # fmt: skip
