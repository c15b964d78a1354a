"""The shard's side of consensus ADMM: its query, local state, contribution, and evaluation of its loss.

Shard ``i`` holds ``f_i``, its share of the mean loss. Its contribution depends on no penalty parameter but its own:
``pull = rho p - y``, with the relaxed position ``p`` and the gradient ``y`` of ``f_i`` at ``x``. In Douglas-Rachford
notation ``s = p - y / rho``; the hub needs ``sum pull / sum rho``. All vectors are in internal coordinates, with the
intercept last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Point, Shard, Workspace
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step

MIN_CURVATURE_SHARE = 1e-6  # least curvature of a shard, over an even share; shards without weight have it


class AdmmQuery(NamedTuple):
    """What a shard needs for its step: the consensus ``z``, the coordinates, the penalty parameter.

    ``rho`` is the penalty parameter of every shard. If it is NaN, a shard uses ``level`` times its own curvature.
    ``seconds`` is the time limit of a local solve; ``allowance`` is the same limit in gradient passes over the shard,
    set by the engine.
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


class AdmmScalars(NamedTuple):
    """Scalars of a contribution. All are summed over shards.

    - ``conjugate``: ``sum v (l*(theta) - theta o) / n``, with weights ``v`` and offsets ``o``;
    - ``along``: ``x . repair`` (smooth losses), or the conjugate of the rows with a positive ``theta``, whose
      gradient is ``repair`` (losses with kinks);
    - ``primal``, ``size``, ``spread``: ``rho ||x - z||^2``, ``rho ||x||^2``, ``curvature ||x||^2``;
    - ``slope``: ``||y||^2``;
    - ``passes``: reads of the shard, as passes over all rows; ``steps``: number of steps;
    - ``lag``: ``2^-steps``, so that the slowest shard dominates the sum;
    - ``first``: 1 for the evaluation at the start, else 0.
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


class AdmmContribution(NamedTuple):
    """Contribution of a shard, or a sum of contributions.

    ``pull`` is ``rho p - y``, ``dual`` is ``y``, ``place`` is ``curvature x``. ``repair`` is ``sum v h a / n``, which
    makes the dual point feasible for the intercept (smooth losses), or the part of ``dual`` with ``theta > 0`` (kinks).
    """

    pull: Floats
    dual: Floats
    place: Floats
    repair: Floats
    facts: AdmmScalars

    def flat(self) -> Floats:
        """Return all fields in one array."""
        return np.concatenate([*self[:4], self.facts])

    @classmethod
    def unflat(cls, flat: Floats) -> AdmmContribution:
        """Return what `flat` packed."""
        n = len(AdmmScalars._fields)
        m = (flat.size - n) // 4
        pull, dual, place, repair = flat[: 4 * m].reshape(4, m)
        return cls(pull, dual, place, repair, AdmmScalars(*flat[4 * m :].tolist()))


@dataclass(frozen=True)
class AdmmLocal:
    """Local state of a shard. ``memory`` belongs to the local solver of its loss, which can build it again."""

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
        """The loss ``f_i`` at ``x``, by Fenchel's equality with the gradient ``y``."""
        return float(self.x @ self.y) - self.conjugate


class LocalSolution(NamedTuple):
    """Result of a local solve: the new local state, the work in gradient passes, the reads of the rows, a label."""

    local: AdmmLocal
    work: float
    reads: float
    kind: str


def initial_local(shard: Shard) -> AdmmLocal:
    """Return the local state of a shard before its first step."""
    zeros = np.zeros(shard.source.shape[1] + 1)
    return AdmmLocal(zeros, zeros, zeros, zeros, 0.0, 0.0, 0.0)


def restored_local(contribution: Floats) -> AdmmLocal:
    """Return the local state that a contribution was made from."""
    c = AdmmContribution.unflat(np.array(contribution))
    facts = c.facts
    p = (c.pull + c.dual) / facts.rho
    x = c.place / facts.curvature
    known = (facts.conjugate, facts.along, facts.curvature, facts.passes, facts.steps)
    return AdmmLocal(p, x, c.dual, c.repair, *known)


def own_rho(query: AdmmQuery, curvature: float) -> float:
    """Return the penalty parameter of a shard."""
    return query.level * curvature if math.isnan(query.rho) else query.rho


def prox_center(query: AdmmQuery, local: AdmmLocal, rho: float) -> Floats:
    """Return the centre of the proximal term: ``2 z - s``."""
    return 2.0 * query.z - local.p + local.y / rho


def contribute(shard: Shard, query: AdmmQuery, solved: LocalSolution) -> Step:
    """Return the step of a shard after its local solve: the relaxed position and the contribution."""
    local, z, a = solved.local, query.z, query.relaxation
    rho = own_rho(query, local.curvature)
    first, share = local.steps == 0.0, shard.n_rows / query.n_rows
    p = z if first else (a - 1.0) * local.x + (2.0 - a) * z
    local = replace(local, p=p, passes=local.passes + share * solved.reads, steps=local.steps + 1.0)
    apart = float((local.x - z) @ (local.x - z))
    length = float(local.x @ local.x)
    facts = AdmmScalars(
        rho, local.conjugate, local.along, rho * apart, rho * length, local.curvature * length,
        float(local.y @ local.y), local.curvature, local.passes, local.steps,
        0.5**local.steps, float(first),
    )  # fmt: skip
    flat = AdmmContribution(rho * p - local.y, local.y, local.curvature * local.x, local.repair, facts).flat()
    return Step(local, flat, solved.work, solved.kind)


class LocalEvaluation(NamedTuple):
    """The loss of a shard at ``x``: value, gradient, repair of the dual point, and the Hessian or None."""

    x: Floats
    value: float
    gradient: Floats
    repair: Floats
    hessian: Floats | None


def evaluate(
    problem: Problem, shard: Shard, query: AdmmQuery, x: Floats, workspace: Workspace, *, hessian: bool = False
) -> LocalEvaluation:
    """Evaluate the loss of a shard at a point, in internal coordinates."""
    coef = np.ascontiguousarray(x[:-1] / query.scale)
    point = Point(coef, x[-1:].copy(), query.center, 1.0, hessian, True, query.scale, False)
    sums = shard.evaluate(problem.loss, point, workspace)
    assert sums.repair is not None
    head, unit = sums.head, np.append(1.0 / query.scale, float(query.intercept))
    gradient = np.append(sums.gradient, head[1]) * unit / query.n_rows
    repair = np.append(sums.repair, head[-2]) * np.append(1.0 / query.scale, 1.0) / query.n_rows
    kept = np.append(np.ones(len(query.scale)), float(query.intercept))
    second = None if sums.hessian is None else sums.hessian * kept[:, None] * kept / query.n_rows
    return LocalEvaluation(x, float(head[0]) / query.n_rows, gradient, repair, second)


def local_at(local: AdmmLocal, at: LocalEvaluation, memory: Any) -> AdmmLocal:
    """Return the local state at an evaluated point, with the memory of its solver."""
    conjugate = float(at.x @ at.gradient) - at.value
    along = float(at.x @ at.repair) if at.repair.size else 0.0
    return replace(
        local, x=at.x, y=at.gradient, repair=at.repair, conjugate=conjugate, along=along, memory=memory
    )  # fmt: skip


def least_curvature(query: AdmmQuery) -> float:
    """Return the curvature that a shard counts with when its own is smaller."""
    return MIN_CURVATURE_SHARE / query.n_shards
