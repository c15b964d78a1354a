"""A lower bound of the optimum and an estimate of the gap, from contributions of different ages.

The shards' gradients ``y_i`` and conjugates belong to one dual point, whatever their ages: each row has the ``theta``
of its shard's last step. So ``-sum conj_i - R*(-sum y_i)`` is a lower bound, once the dual point is feasible for the
intercept.
"""

from __future__ import annotations

import math

import numpy as np

from offbeat.losses.questions import smooth
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Candidate, DataInfo
from offbeat.solvers.admm.local_prox import AdmmContribution


def lower_bound(problem: Problem, info: DataInfo, sums: AdmmContribution) -> float:
    """Return a lower bound of the optimal objective, or ``-inf`` when there is none.

    An unpenalised intercept requires ``sum v theta = 0``. For a smooth loss, ``theta + d h`` satisfies this with a
    suitable ``d`` (see `Problem.certify`), at the predictors of each shard's own ``x``. For a loss with
    kinks, the ``theta`` of one sign, the one with the larger sum, are scaled by ``s < 1``. By convexity,
    ``l*(s theta) <= s l*(theta)`` if ``l*(0)`` is zero.
    """
    gradient, conjugate = sums.dual[:-1], sums.facts.conjugate
    excess = float(sums.dual[-1])
    if info.reference.fit_intercept and excess != 0.0:
        if smooth(problem.loss):
            total = float(sums.repair[-1])
            if not total > 0.0 or not abs(excess) <= total:
                return -math.inf
            d = -excess / total
            gradient = gradient + d * sums.repair[:-1]
            conjugate += d * sums.facts.along + d * d * total
        else:
            if info.reference.conjugate_zero != 0.0:
                return -math.inf
            above = float(sums.repair[-1])
            below = excess - above
            if excess > 0.0:
                lost, part, share = sums.repair[:-1], sums.facts.along, 1.0 + below / above
            else:
                lost, part, share = gradient - sums.repair[:-1], conjugate - sums.facts.along, 1.0 + above / below
            gradient, conjugate = gradient - share * lost, conjugate - share * part
    return feasible_dual_value(info, gradient, conjugate)


def feasible_dual_value(info: DataInfo, gradient: Floats, conjugate: float) -> float:
    """Return the dual objective, after scaling the dual point into the domain of the penalty's conjugate."""
    if not info.penalty.has_dual:
        return -math.inf
    slope = -np.ascontiguousarray(gradient)
    scale = info.penalty.dual_scale(slope)
    conjugate += (1.0 - scale) * (info.reference.conjugate_zero - conjugate)
    value = -conjugate - info.penalty.conjugate(slope, scale)
    return value if math.isfinite(value) else -math.inf


def candidate(problem: Problem, info: DataInfo, sums: AdmmContribution, z: Floats, old: Floats) -> Candidate:
    """Return the consensus as a candidate, with an estimate of its gap that tends to be too large.

    The loss at ``z`` is estimated from the tangents at the shards' points ``x_i``, which are lower bounds, plus a
    quadratic in ``z - x_i`` with the curvature at the start.
    """
    facts, coef = sums.facts, z[:-1].copy()
    moved = float((z - old) @ (z - old))
    beyond_tangents = max(facts.spread + facts.curvature * float(z @ z) - 2.0 * float(z @ sums.place), 0.0)
    primal_residual = math.sqrt(max(facts.primal, 0.0))  # a running sum may round below zero
    dual_residual = math.sqrt(facts.rho * facts.rho * moved / info.n_shards)
    lower = lower_bound(problem, info, sums)
    if math.isfinite(lower):
        primal = float(z @ sums.dual) - facts.conjugate + info.penalty.value(coef) + beyond_tangents
        estimate = _relative(max(primal - lower, 0.0), info.reference.objective)
    else:
        norm = info.penalty.optimality(coef, np.ascontiguousarray(sums.dual[:-1]))
        rest = math.sqrt(facts.curvature * beyond_tangents)
        estimate = _relative(math.hypot(norm, float(sums.dual[-1])) + rest, info.reference.gradient_norm)
    return Candidate(coef, z[-1:].copy(), estimate, lower, primal_residual, dual_residual)


def _relative(value: float, reference: float) -> float:
    """Return a value over a reference, or the value itself if the reference is not positive."""
    return value / reference if math.isfinite(reference) and reference > 0.0 else value
