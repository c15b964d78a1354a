"""What a shard does and sends in consensus ADMM: its proximal step, its contribution, its local state.

Shard ``i`` holds ``f_i``, its share of the mean loss. A contribution says where the shard stands without reference to
any penalty parameter but its own: ``pull = rho p - y`` with the relaxed position ``p`` and the gradient ``y`` of
``f_i`` at ``x``. In the notation of Douglas & Rachford ``s = p - y / rho``; the hub needs ``sum pull / sum rho``.
All vectors are in internal coordinates, with the intercept last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shard import Point, Shard, Workspace
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step

FLOOR = 1e-6  # of an even share of the curvature: what a shard without weight counts for


class Query(NamedTuple):
    """What a shard needs for its step: the consensus, the units, the strength of the proximal term.

    ``rho`` is the penalty parameter of every shard, or NaN: ``level`` times the curvature of the shard, then.
    ``seconds`` is the time that a local solve may take, ``allowance`` the same in gradient passes over the shard, as
    the engine converts it.
    """

    z: Floats
    center: Floats
    scale: Floats
    n_rows: float
    n_shards: float
    intercept: bool
    relaxation: float
    inner: int
    rho: float = math.nan
    level: float = 1.0
    seed: int = 0
    seconds: float = math.inf
    allowance: float = math.inf


class Facts(NamedTuple):
    """Numbers that a contribution carries besides vectors; all add up over shards.

    ``conjugate`` is ``sum v (l*(theta) - theta o) / n``; ``along`` is ``x . repair`` (smooth losses) or the part of
    the conjugate that is due to class 0 (hinge); ``primal``, ``size`` and ``spread`` are ``||x - z||^2`` times rho,
    ``||x||^2`` times rho, and ``||x||^2`` times the curvature; ``slope`` is ``||y||^2``; ``passes`` counts reads
    of the shard's share of the rows, ``steps`` the steps; ``lag`` is 2 to the power of minus the steps, so that the
    slowest shard rules the sum; ``first`` is 1 for the evaluation at the start.
    """

    rho: float
    conjugate: float
    along: float
    primal: float
    size: float
    spread: float
    slope: float
    curvature: float
    passes: float
    steps: float
    lag: float
    first: float
    present: float = 1.0


class Contribution(NamedTuple):
    """What a shard puts on the board; sums of contributions have the same form. ``place`` is the curvature times x."""

    pull: Floats
    dual: Floats
    place: Floats
    repair: Floats
    facts: Facts

    def flat(self) -> Floats:
        """Return all in one array."""
        return np.concatenate([*self[:4], self.facts])

    @classmethod
    def unflat(cls, flat: Floats) -> Contribution:
        """Return what `flat` packed."""
        n = len(Facts._fields)
        m = (flat.size - n) // 4
        pull, dual, place, repair = flat[: 4 * m].reshape(4, m)
        return cls(pull, dual, place, repair, Facts(*flat[4 * m :].tolist()))


@dataclass(frozen=True)
class Local:
    """Where a shard stands. ``memory`` is what the solver of its kind of loss keeps: it can be made again."""

    p: Floats
    x: Floats
    y: Floats
    repair: Floats
    conjugate: float
    along: float
    curvature: float
    passes: float = 0.0
    steps: float = 0.0
    memory: Any = None
    workspace: Workspace = field(default_factory=Workspace)

    @property
    def value(self) -> float:
        """The loss at ``x``, where ``y`` is the gradient there."""
        return float(self.x @ self.y) - self.conjugate


class Solved(NamedTuple):
    """A local solve: the shard at its new ``x``, the work it took, how often it read the rows, what it did."""

    local: Local
    work: float
    reads: float
    kind: str


def blank(shard: Shard) -> Local:
    """Return the local state of a shard that has done nothing yet."""
    zeros = np.zeros(shard.source.shape[1] + 1)
    return Local(zeros, zeros, zeros, zeros, 0.0, 0.0, 0.0)


def restored(contribution: Floats) -> Local:
    """Return the local state that goes with a contribution."""
    c = Contribution.unflat(np.array(contribution))
    facts = c.facts
    p = (c.pull + c.dual) / facts.rho
    x = c.place / facts.curvature
    known = (facts.conjugate, facts.along, facts.curvature, facts.passes, facts.steps)
    return Local(p, x, c.dual, c.repair, *known)


def own_rho(query: Query, curvature: float) -> float:
    """Return the penalty parameter of a shard."""
    return query.level * curvature if math.isnan(query.rho) else query.rho


def target(query: Query, local: Local, rho: float) -> Floats:
    """Return the point whose proximal point is sought: ``2 z - s``."""
    return 2.0 * query.z - local.p + local.y / rho


def sent(shard: Shard, query: Query, solved: Solved) -> Step:
    """Return the step with its contribution, after a local solve."""
    local, z, a = solved.local, query.z, query.relaxation
    rho = own_rho(query, local.curvature)
    first, share = local.steps == 0.0, shard.n_rows / query.n_rows
    p = z if first else (a - 1.0) * local.x + (2.0 - a) * z
    local = replace(local, p=p, passes=local.passes + share * solved.reads, steps=local.steps + 1.0)
    apart = float((local.x - z) @ (local.x - z))
    length = float(local.x @ local.x)
    facts = Facts(
        rho, local.conjugate, local.along, rho * apart, rho * length, local.curvature * length,
        float(local.y @ local.y), local.curvature, local.passes, local.steps,
        0.5**local.steps, float(first),
    )  # fmt: skip
    flat = Contribution(rho * p - local.y, local.y, local.curvature * local.x, local.repair, facts).flat()
    return Step(local, flat, solved.work, solved.kind)


class Spot(NamedTuple):
    """The loss of a shard at a point: value, gradient, what repairs the dual, and the Hessian if it was asked for."""

    x: Floats
    value: float
    gradient: Floats
    repair: Floats
    hessian: Floats | None


def evaluate(
    problem: Problem, shard: Shard, query: Query, x: Floats, workspace: Workspace, *, hessian: bool = False
) -> Spot:
    """Return the loss of a shard at a point, in internal coordinates."""
    coef = np.ascontiguousarray(x[:-1] / query.scale)
    point = Point(coef, x[-1:].copy(), query.center, 1.0, hessian, True, query.scale, False)
    sums = shard.evaluate(problem.loss, point, workspace)
    assert sums.repair is not None
    head, unit = sums.head, np.append(1.0 / query.scale, float(query.intercept))
    gradient = np.append(sums.gradient, head[1]) * unit / query.n_rows
    repair = np.append(sums.repair, head[-2]) * np.append(1.0 / query.scale, 1.0) / query.n_rows
    edge = np.append(np.ones(len(query.scale)), float(query.intercept))
    bend = None if sums.hessian is None else sums.hessian * edge[:, None] * edge / query.n_rows
    return Spot(x, float(head[0]) / query.n_rows, gradient, repair, bend)


def settled(local: Local, spot: Spot, memory: Any) -> Local:
    """Return the local state at an evaluated point."""
    conjugate = float(spot.x @ spot.gradient) - spot.value
    along = float(spot.x @ spot.repair) if spot.repair.size else 0.0
    return replace(
        local, x=spot.x, y=spot.gradient, repair=spot.repair, conjugate=conjugate, along=along, memory=memory
    )  # fmt: skip


def least_curvature(query: Query) -> float:
    """Return what a shard without curvature is taken to have."""
    return FLOOR / query.n_shards
