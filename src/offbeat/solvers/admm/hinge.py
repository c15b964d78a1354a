"""Local solves of consensus ADMM for the hinge: dual coordinate ascent, warm-started.

The dual variables of a shard make an exact pair: ``x = c - y / rho`` with ``y = sum v theta a / n``, and the conjugate
at ``theta`` is known to the last bit. So the dual bound of a fit holds however inexact its local solves are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.data.shard import Shard
from offbeat.data.source import CSR
from offbeat.problem import Floats
from offbeat.solvers.admm.local_prox import Local, Query, Solved, least_curvature, own_rho, target

ACCURACY = 0.5  # of a local solve: root of its gap over the movement


@dataclass(frozen=True)
class Duals:
    """Dual variables of a shard's rows, in [0, 1]."""

    alpha: Floats


@dataclass(frozen=True)
class _Sums:
    """What the dual variables stand for: gradient and conjugate, in all and of class 0; the weight of the rows."""

    gradient: Floats
    conjugate: float
    gradient_zero: Floats
    conjugate_zero: float
    weight: float


def begin(shard: Shard, query: Query, local: Local) -> Solved:
    """Return the first step of a shard: a subgradient at the consensus."""
    alpha = np.zeros(shard.n_rows)
    sums = _sums(shard, query, local, alpha, query.z)
    curvature = max(sums.weight, least_curvature(query))
    local = replace(_settled(local, query.z.copy(), sums, Duals(alpha)), curvature=curvature)
    return Solved(local, 1.0, 1.0, "start")


def solve(shard: Shard, query: Query, local: Local) -> Solved:
    """Return the shard after an inexact proximal step.

    Parameters
    ----------
    shard : Shard
    query : Query
    local : Local
    """
    rho = own_rho(query, local.curvature)
    center = target(query, local, rho)
    reads, y = 0.0, local.y
    if local.memory is None:
        alpha = np.zeros(shard.n_rows)
        y, reads = _sums(shard, query, local, alpha, local.x).gradient, 1.0
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
        if gap <= 0.5 * rho * (ACCURACY * moved) ** 2:
            break
    sums = _sums(shard, query, local, alpha)
    x = center - sums.gradient / rho
    reads += 1.0
    return Solved(_settled(local, x, sums, Duals(alpha)), reads, reads, f"prox, {reads:.2g} passes")


def _settled(local: Local, x: Floats, sums: _Sums, memory: Duals) -> Local:
    return replace(
        local, x=x, y=sums.gradient, repair=sums.gradient_zero, conjugate=sums.conjugate,
        along=sums.conjugate_zero, memory=memory,
    )  # fmt: skip


def _epoch(
    shard: Shard, query: Query, local: Local, alpha: Floats, x: Floats, rho: float, how: tuple[Any, float]
) -> tuple[Floats, float]:
    """Visit a share of the rows in random order; return the new point and the gap on the way."""
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


def _sums(shard: Shard, query: Query, local: Local, alpha: Floats, at: Floats | None = None) -> _Sums:
    """Return what the dual variables stand for; with a point, they are set to the subgradient there first."""
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
    return _Sums(
        out.sum(axis=0)[: k + 1], float(out[:, k + 1].sum()), out[0, : k + 1].copy(), float(out[0, k + 1]),
        float(out[:, k + 2].sum()),
    )  # fmt: skip
