"""Evaluations at points of different ages: the sums of a shard, and the gap that their total proves.

The shards may have evaluated different points. Their derivatives ``theta_i = l'(z_i)`` still form one dual point, where
``z_i`` is the last predictor of row ``i``. With ``g`` the sum of all gradients, Fenchel's inequality gives for every
``x``

``P(x) - D <= [upper bound of the loss at x] - sum_i (f_i + g_i.(x - x_i)) + (R(x) + R*(-g) + x.g + ...)``

The last bracket is what `Problem.certify` computes from a single evaluation. So the lower bound ``D`` is valid for any
ages, and an extra pass for the certificate is saved.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Point, Shard, Workspace, head_size
from offbeat.data.shards.conditioning import needs_conditioning
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Candidate, DataInfo

N_SCALARS = 4  # of a payload: loss, conjugate, its change when the dual point is repaired, the sum of the repair


class InternalCoordinates(NamedTuple):
    """Internal coordinates in a query: centre and scale of the columns, number of outputs, intercept or not."""

    center: Floats
    scale: Floats
    n_outputs: int
    fit_intercept: bool

    @property
    def size(self) -> int:
        """Number of coefficients, without the intercepts."""
        return self.center.size * self.n_outputs

    def point(self, x: Floats, *, hessian: bool = False, fraction: float = 1.0, repair: bool = True) -> Point:
        """Return the point in the units of the columns; ``x`` holds coefficients, then intercepts."""
        coef = x[: self.size].reshape(-1, self.n_outputs) / self.scale[:, None]
        coef = coef[:, 0] if self.n_outputs == 1 else coef
        repair = repair and self.fit_intercept and self.n_outputs == 1
        scale = self.scale if hessian or np.any(needs_conditioning(self.center, self.scale)) else None
        return Point(
            np.ascontiguousarray(coef),
            x[self.size :].copy(),
            self.center,
            fraction,
            hessian,
            repair,
            scale,
            not hessian,
        )


def coordinates(info: DataInfo) -> InternalCoordinates:
    """Return the internal coordinates of a fit."""
    return InternalCoordinates(info.center, info.scale, info.n_outputs, info.reference.fit_intercept)


class ShardEvaluation(NamedTuple):
    """Sums over the rows of a shard at ``x``, in internal coordinates. The Hessian is optional."""

    x: Floats
    loss: float
    gradient: Floats
    repair: Floats
    h: float
    rows: float
    hessian: Floats | None = None

    @property
    def finite(self) -> bool:
        """Whether loss and gradient are finite."""
        return bool(math.isfinite(self.loss) and np.all(np.isfinite(self.gradient)))

    def flat(self) -> Floats:
        """Return the payload: scalars, gradient, repair."""
        conjugate = float(self.x @ self.gradient) - self.loss
        along = float(self.x[: self.repair.size] @ self.repair) + float(self.x[-1]) * self.h if self.repair.size else 0
        return np.concatenate([[self.loss, conjugate, along, self.h], self.gradient, self.repair])


def evaluate_shard(
    problem: Problem, shard: Shard, workspace: Workspace, frame: InternalCoordinates, point: Point, x: Floats
) -> ShardEvaluation:
    """Evaluate the loss on a shard at ``x``, which is `point` in internal coordinates."""
    sums = shard.evaluate(problem.loss, point, workspace)
    n, k = frame.n_outputs, frame.size
    inverse = np.repeat(1.0 / frame.scale, n)
    slope = sums.head[1 : head_size(n) - 2] * (1.0 if frame.fit_intercept else 0.0)
    hessian = sums.hessian
    if hessian is not None and not frame.fit_intercept:
        hessian[k:, :], hessian[:, k:] = 0.0, 0.0
    gradient = np.concatenate([sums.gradient[:k] * inverse, slope])
    repair = np.empty(0) if sums.repair is None else sums.repair * inverse
    return ShardEvaluation(
        x, float(sums.head[0]), gradient, repair, float(sums.head[-2]), float(sums.head[-1]), hessian
    )


class DelayedEvaluation(NamedTuple):
    """Means over all rows, of evaluations at points of different ages."""

    loss: float
    conjugate: float
    along: float
    h: float
    gradient: Floats
    repair: Floats


def payload_size(info: DataInfo) -> int:
    """Return the length of `ShardEvaluation.flat`."""
    repair = info.reference.fit_intercept and info.n_outputs == 1
    return N_SCALARS + info.size + info.n_outputs + (info.size if repair else 0)


def unflat(info: DataInfo, total: Floats) -> tuple[DelayedEvaluation, Floats]:
    """Return the means of the evaluations in a sum of payloads, and the rest of that sum, also divided by the rows."""
    mean = total / info.n_rows
    slopes = N_SCALARS + info.size + info.n_outputs
    gradient, repair = mean[N_SCALARS:slopes], mean[slopes : payload_size(info)]
    head = (float(mean[0]), float(mean[1]), float(mean[2]), float(mean[3]))
    return DelayedEvaluation(*head, gradient, repair), mean[payload_size(info) :]


def candidate(problem: Problem, info: DataInfo, at: DelayedEvaluation, x: Floats, excess: float) -> Candidate:
    """Return ``x`` as a candidate, with a bound of its gap.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    at : DelayedEvaluation
    x : ndarray
        Coefficients and intercepts, internal.
    excess : float
        Upper bound of the mean loss at ``x`` minus the tangents of all shards.

    Returns
    -------
    candidate : Candidate
    """
    u, b = x[: info.size], x[info.size :]
    gradient, slope = at.gradient[: info.size], at.gradient[info.size :]
    tangent = float(x @ at.gradient) - at.conjugate
    d = 0.0
    if at.repair.size and at.h > 0.0:
        d = -float(slope[0]) / at.h
    linear = tangent
    if at.repair.size:  # `certify` then uses the conjugate of the repaired dual point
        linear = float(u @ (gradient + d * at.repair)) - at.conjugate - d * at.along
    repair = at.repair if at.repair.size else None
    lifted = max(linear, -info.reference.conjugate_zero)  # tangents may fall below the lower bound of the loss
    evaluation = Evaluation(lifted, gradient, slope, repair, at.h if at.repair.size else 0.0)
    c = problem.certify(info.penalty, u, evaluation, info.reference, b)
    if c.kind == "gradient":
        return Candidate(u, b, c.relative_gap)
    gap = c.gap + max(tangent - linear + excess, 0.0)
    relative = gap / info.reference.objective if info.reference.objective > 0.0 else gap
    return Candidate(u, b, relative, c.dual - (lifted - linear))


def start(info: DataInfo) -> Floats:
    """Return the start of the fit, projected on the domain of the penalty."""
    return Iterate(info.penalty.prox(info.start[0], 0.0), info.start[1]).flat()
