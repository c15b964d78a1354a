"""Evaluations at points of different ages: what a shard says of its rows, and the gap that the sum of them proves.

A dual point may be put together from shards that looked at different points: ``theta_i = l'(z_i)`` at whatever point
row ``i`` was seen last. With ``g`` the sum of all gradients, Fenchel's inequality gives for every ``x``

``P(x) - D <= [upper bound of the loss at x] - sum_i (f_i + g_i.(x - x_i)) + (R(x) + R*(-g) + x.g + ...)``

where the last bracket is what `Problem.certify` computes from a single evaluation. So the lower bound ``D`` holds
whatever the ages, and is worth a pass saved.
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

HEAD = 4  # loss, conjugate, its change with the repair of the intercept, the repair's own sum


class Frame(NamedTuple):
    """Internal coordinates, as a query brings them to a worker: centre and scale of the columns, intercepts."""

    center: Floats
    scale: Floats
    n_outputs: int
    fit_intercept: bool

    @property
    def size(self) -> int:
        """Number of coefficients without intercepts."""
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


def frame(info: DataInfo) -> Frame:
    """Return the internal coordinates of a fit."""
    return Frame(info.center, info.scale, info.n_outputs, info.reference.fit_intercept)


class Look(NamedTuple):
    """Sums over the rows of a shard at ``x``, in internal coordinates; the Hessian where it was asked for."""

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
        """Return what goes on the board: head, gradient, repair."""
        conjugate = float(self.x @ self.gradient) - self.loss
        along = float(self.x[: self.repair.size] @ self.repair) + float(self.x[-1]) * self.h if self.repair.size else 0
        return np.concatenate([[self.loss, conjugate, along, self.h], self.gradient, self.repair])


def look(problem: Problem, shard: Shard, workspace: Workspace, frame: Frame, point: Point, x: Floats) -> Look:
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
    return Look(x, float(sums.head[0]), gradient, repair, float(sums.head[-2]), float(sums.head[-1]), hessian)


class Mixed(NamedTuple):
    """Means over all rows of evaluations at points of different ages."""

    loss: float
    conjugate: float
    along: float
    h: float
    gradient: Floats
    repair: Floats


def size_of(info: DataInfo) -> int:
    """Return the length of `Look.flat`."""
    repair = info.reference.fit_intercept and info.n_outputs == 1
    return HEAD + info.size + info.n_outputs + (info.size if repair else 0)


def unflat(info: DataInfo, total: Floats) -> tuple[Mixed, Floats]:
    """Return the means of what `Look.flat` packed, and the rest of the payloads' sum, also divided by the rows."""
    mean = total / info.n_rows
    slopes = HEAD + info.size + info.n_outputs
    gradient, repair = mean[HEAD:slopes], mean[slopes : size_of(info)]
    head = (float(mean[0]), float(mean[1]), float(mean[2]), float(mean[3]))
    return Mixed(*head, gradient, repair), mean[size_of(info) :]


def candidate(problem: Problem, info: DataInfo, at: Mixed, x: Floats, excess: float) -> Candidate:
    """Return ``x`` with what is known of its gap.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    at : Mixed
    x : ndarray
        Coefficients and intercepts, internal.
    excess : float
        By how much, at most, the mean loss at ``x`` is above the tangents of all shards.

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
    if at.repair.size:  # such that what `certify` makes of it is the conjugate of the repaired dual point
        linear = float(u @ (gradient + d * at.repair)) - at.conjugate - d * at.along
    repair = at.repair if at.repair.size else None
    lifted = max(linear, -info.reference.conjugate_zero)  # tangents may be below what no loss can be
    evaluation = Evaluation(lifted, gradient, slope, repair, at.h if at.repair.size else 0.0)
    c = problem.certify(info.penalty, u, evaluation, info.reference, b)
    if c.kind == "gradient":
        return Candidate(u, b, c.relative_gap)
    gap = c.gap + max(tangent - linear + excess, 0.0)
    relative = gap / info.reference.objective if info.reference.objective > 0.0 else gap
    return Candidate(u, b, relative, c.dual - (lifted - linear))


def start(info: DataInfo) -> Floats:
    """Return the point to start from, brought within bounds."""
    return Iterate(info.penalty.prox(info.start[0], 0.0), info.start[1]).flat()
