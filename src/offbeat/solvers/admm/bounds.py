"""What contributions of different ages prove and suggest: a lower bound of the optimum, and a guess of the gap.

Whatever their ages, the shards' gradients ``y_i`` and conjugates belong to one dual point: ``theta`` of each row as its
shard last left it. So ``-sum conj_i - R*(-sum y_i)`` is a lower bound once it is feasible for the intercept.
"""

from __future__ import annotations

import math

import numpy as np

from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Candidate, DataInfo
from offbeat.solvers.admm.local_prox import Contribution


def dual(problem: Problem, info: DataInfo, sums: Contribution) -> float:
    """Return a lower bound of the optimal objective, ``-inf`` when there is none.

    An unpenalised intercept needs ``sum v theta = 0``. For a smooth loss, ``theta + d h`` has it (see
    `Problem.certify`), where ``z_i`` is that of each shard's own ``x``. For the hinge, the conjugate is linear within
    its domain: the ``theta`` of the class with the larger sum are scaled down.
    """
    gradient, conjugate = sums.dual[:-1], sums.facts.conjugate
    excess = float(sums.dual[-1])
    if info.reference.fit_intercept and excess != 0.0:
        if getattr(problem.loss, "smooth", True):
            total = float(sums.repair[-1])
            if not total > 0.0 or not abs(excess) <= total:
                return -math.inf
            d = -excess / total
            gradient = gradient + d * sums.repair[:-1]
            conjugate += d * sums.facts.along + d * d * total
        else:
            zero = float(sums.repair[-1])
            one = excess - zero
            if excess > 0.0:
                lost, part, share = sums.repair[:-1], sums.facts.along, 1.0 + one / zero
            else:
                lost, part, share = gradient - sums.repair[:-1], conjugate - sums.facts.along, 1.0 + zero / one
            gradient, conjugate = gradient - share * lost, conjugate - share * part
    return bound(info, gradient, conjugate)


def bound(info: DataInfo, gradient: Floats, conjugate: float) -> float:
    """Return the dual objective, scaled into the domain of the penalty's conjugate."""
    if not info.penalty.has_dual:
        return -math.inf
    slope = -np.ascontiguousarray(gradient)
    scale = info.penalty.dual_scale(slope)
    conjugate += (1.0 - scale) * (info.reference.conjugate_zero - conjugate)
    value = -conjugate - info.penalty.conjugate(slope, scale)
    return value if math.isfinite(value) else -math.inf


def candidate(problem: Problem, info: DataInfo, sums: Contribution, z: Floats, old: Floats) -> Candidate:
    """Return the consensus as a candidate, with a guess of its gap that is rather too large.

    Tangents at the shards' points bound the loss at ``z`` from below; what they miss is taken to be quadratic in the
    distance, with the curvature of the start.
    """
    facts, coef = sums.facts, z[:-1].copy()
    moved = float((z - old) @ (z - old))
    missed = max(facts.spread + facts.curvature * float(z @ z) - 2.0 * float(z @ sums.place), 0.0)
    primal_residual = math.sqrt(max(facts.primal, 0.0))  # a running sum may round below zero
    dual_residual = math.sqrt(facts.rho * facts.rho * moved / info.n_shards)
    lower = dual(problem, info, sums)
    if math.isfinite(lower):
        primal = float(z @ sums.dual) - facts.conjugate + info.penalty.value(coef) + missed
        estimate = _ratio(max(primal - lower, 0.0), info.reference.objective)
    else:
        norm = info.penalty.optimality(coef, np.ascontiguousarray(sums.dual[:-1]))
        rest = math.sqrt(facts.curvature * missed)
        estimate = _ratio(math.hypot(norm, float(sums.dual[-1])) + rest, info.reference.gradient_norm)
    return Candidate(coef, z[-1:].copy(), estimate, lower, primal_residual, dual_residual)


def _ratio(value: float, reference: float) -> float:
    return value / reference if math.isfinite(reference) and reference > 0.0 else value
