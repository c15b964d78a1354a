"""Minimise over stored columns: several quadratic models in turn, each by coordinate descent on residuals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Point
from offbeat.kernels.arguments import Columns
from offbeat.problem import Floats
from offbeat.solvers._common.constants import SUFFICIENT_DECREASE
from offbeat.solvers.lasso import column_models
from offbeat.solvers.lasso.column_models import DAMPING_RANGE, WorkingSetProblem

VIOLATION_SHARE = 0.1  # final over first violation in a round, if more columns may follow
MIN_VIOLATION_SHARE = 1e-4  # the same, if the working set is complete
GAP_SHARE = 0.3  # the same, over the tolerance divided by the gap
MODEL_ACCURACY = 0.1  # final over first move of the descent on one model
MAX_MODELS = 10  # in one round
MAX_LINE_SEARCH_STEPS = 40
ROUNDING = 1e-15  # of a change of the objective


class ResidualSolution(NamedTuple):
    """The minimum over the columns, the last damping, and the number of sweeps."""

    at: Point
    damping: float
    sweeps: float


class PredictorPoint(NamedTuple):
    """A point or a step: predictors, coefficients of the working set, intercept for the columns as stored."""

    z: Floats
    w: Floats
    b: float


class StoppingRule(NamedTuple):
    """When to stop.

    ``excess`` is the tolerance over the gap of the point, ``floor`` the least gain that matters. ``complete`` tells
    whether the working set has all columns that violate optimality. ``most`` bounds the sweeps.
    """

    excess: float
    floor: float
    complete: bool
    most: float


def minimise(
    task: WorkingSetProblem, at_hand: tuple[Columns, NDArray[np.int64]], at: Point, damping: float, rule: StoppingRule
) -> ResidualSolution:
    """Minimise over the working set, to an accuracy that depends on the gap and on the columns outside of it."""
    from offbeat.kernels import coordinate

    n, loss, current = task.shard.n_rows, task.problem.loss, _point_of(task, at_hand, at)
    rows = (np.empty(n), np.empty(n), np.empty(0 if task.constant else at_hand[0].data.size))
    share = min(max(GAP_SHARE * rule.excess, MIN_VIOLATION_SHARE if rule.complete else VIOLATION_SHARE), 0.5)
    least, goal, sweeps = math.sqrt(rule.floor), 0.0, 0.0
    smoothness = float(loss.smoothness) if math.isfinite(loss.smoothness) else 1e-6
    for model in range(MAX_MODELS):
        lowest = 0.0 if loss.quadratic else damping * smoothness
        coordinate.expand(loss, current.z, task.target, lowest, rows[0], rows[1])
        limits = (share if loss.quadratic else MODEL_ACCURACY, max(0.1 * goal, least))
        step, used = column_models.step_by_residuals(task, at_hand, current.w, rows, limits, rule.most - sweeps - 1.0)
        sweeps += used + 1.0
        goal = share * step.first if model == 0 else goal
        z = np.full(n, step.b)
        coordinate.add_product(*at_hand, step.d, z)
        current, length = _line_search(task, current, PredictorPoint(z, step.d, step.b), rows[0])
        if length == 0.0 and damping >= DAMPING_RANGE[1]:
            break
        damping = min(max(damping * (0.1 if length == 1.0 else 10.0), DAMPING_RANGE[0]), DAMPING_RANGE[1])
        if loss.quadratic or step.first <= max(goal, least) or sweeps + 1.0 >= rule.most:
            break
    coef = np.zeros_like(at.coef)
    coef[task.columns] = current.w
    return ResidualSolution(
        at._replace(coef=coef, intercept=np.array([current.b + task.origin @ current.w])), damping, sweeps
    )


def _point_of(task: WorkingSetProblem, at_hand: tuple[Columns, NDArray[np.int64]], at: Point) -> PredictorPoint:
    """Return the point, with predictors computed from its coefficients, so that no rounding accumulates."""
    from offbeat.kernels import coordinate

    w = at.coef[task.columns]
    b = float(at.intercept[0] - task.origin @ w)
    z = np.full(task.shard.n_rows, b)
    if task.shard.offset.size:
        z += task.shard.offset
    coordinate.add_product(*at_hand, w, z)
    return PredictorPoint(z, w, b)


def _line_search(
    task: WorkingSetProblem, current: PredictorPoint, step: PredictorPoint, theta: Floats
) -> tuple[PredictorPoint, float]:
    """Backtrack along a step to a sufficient decrease. Return the point and the step length, 0 if there is none."""
    from offbeat.kernels import coordinate

    n, loss = current.z.size, task.problem.loss
    if loss.quadratic:
        return _take_step(current, step, 1.0), 1.0
    predicted = float(theta @ step.z) / n
    predicted += float(coordinate.penalty_change(task.rule, current.w, current.w + step.w, task.scaling))
    length = 1.0
    for _ in range(MAX_LINE_SEARCH_STEPS):
        w = current.w + length * step.w
        change = float(coordinate.loss_change(loss, current.z, step.z, length, task.target)) / n
        change += float(coordinate.penalty_change(task.rule, current.w, w, task.scaling))
        if change <= SUFFICIENT_DECREASE * length * predicted + ROUNDING:
            return _take_step(current, step, length), length
        length *= 0.5
    return current, 0.0


def _take_step(current: PredictorPoint, step: PredictorPoint, length: float) -> PredictorPoint:
    """Return the point after a step of this length."""
    if length == 1.0:  # zeros stay exact zeros
        return PredictorPoint(current.z + step.z, current.w + step.w, current.b + step.b)
    return PredictorPoint(current.z + length * step.z, current.w + length * step.w, current.b + length * step.b)
