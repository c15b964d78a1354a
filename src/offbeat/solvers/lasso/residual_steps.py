"""Minimise over columns at hand: one quadratic model after another, by coordinate descent on residuals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Point
from offbeat.kernels.arguments import Columns
from offbeat.problem import Floats
from offbeat.solvers.lasso import column_models
from offbeat.solvers.lasso.column_models import Task

SHARE = 0.1  # of the first violation, that a round leaves where more columns may follow
LEAST_SHARE = 1e-4  # and where none will
LEFT = 0.3  # of the tolerated gap, that is aimed at
ROUGH = 0.1  # of its first violation, that the descent of a single model leaves
MODELS = 10  # in a round at most
TRIALS = 40
ENOUGH = 1e-4  # of the foretold decrease, that a step must win
FLOORS = (1e-12, 1.0)  # range of the least curvature of a row, over that of the loss
NOISE = 1e-15


class Found(NamedTuple):
    """The best point over the columns, the damping that it took, and the sweeps."""

    at: Point
    damping: float
    sweeps: float


class Spot(NamedTuple):
    """A point, or a step: predictors, coefficients of the working set, intercept about the columns' origin."""

    z: Floats
    w: Floats
    b: float


class Aims(NamedTuple):
    """How far to go.

    ``excess`` is the tolerated gap over that of the point, ``floor`` the least gain that matters; ``complete`` says
    whether the working set has all columns that matter; ``most`` bounds the sweeps.
    """

    excess: float
    floor: float
    complete: bool
    most: float


def minimised(task: Task, at_hand: tuple[Columns, NDArray[np.int64]], at: Point, damping: float, aims: Aims) -> Found:
    """Minimise over the working set from a point, as exactly as what is left outside of it deserves."""
    from offbeat.kernels import coordinate

    n, loss, spot = task.shard.n_rows, task.problem.loss, _spot(task, at_hand, at)
    rows = (np.empty(n), np.empty(n), np.empty(0 if task.constant else at_hand[0].data.size))
    share = min(max(LEFT * aims.excess, LEAST_SHARE if aims.complete else SHARE), 0.5)
    least, goal, sweeps = math.sqrt(aims.floor), 0.0, 0.0
    smoothness = float(loss.smoothness) if math.isfinite(loss.smoothness) else 1e-6
    for model in range(MODELS):
        lowest = 0.0 if loss.quadratic else damping * smoothness
        coordinate.expand(loss, spot.z, task.target, lowest, rows[0], rows[1])
        limits = (share if loss.quadratic else ROUGH, max(0.1 * goal, least))
        step, swept = column_models.by_residuals(task, at_hand, spot.w, rows, limits, aims.most - sweeps - 1.0)
        sweeps += swept + 1.0
        goal = share * step.first if model == 0 else goal
        z = np.full(n, step.b)
        coordinate.add_product(*at_hand, step.d, z)
        spot, length = _searched(task, spot, Spot(z, step.d, step.b), rows[0])
        if length == 0.0 and damping >= FLOORS[1]:
            break
        damping = min(max(damping * (0.1 if length == 1.0 else 10.0), FLOORS[0]), FLOORS[1])
        if loss.quadratic or step.first <= max(goal, least) or sweeps + 1.0 >= aims.most:
            break
    coef = np.zeros_like(at.coef)
    coef[task.columns] = spot.w
    return Found(at._replace(coef=coef, intercept=np.array([spot.b + task.origin @ spot.w])), damping, sweeps)


def _spot(task: Task, at_hand: tuple[Columns, NDArray[np.int64]], at: Point) -> Spot:
    """Return the point with predictors from its coefficients: nothing that was rounded before comes along."""
    from offbeat.kernels import coordinate

    w = at.coef[task.columns]
    b = float(at.intercept[0] - task.origin @ w)
    z = np.full(task.shard.n_rows, b)
    if task.shard.offset.size:
        z += task.shard.offset
    coordinate.add_product(*at_hand, w, z)
    return Spot(z, w, b)


def _searched(task: Task, spot: Spot, step: Spot, theta: Floats) -> tuple[Spot, float]:
    """Return the point that far along a step that the objective falls enough, and how far that is; 0: nowhere."""
    from offbeat.kernels import coordinate

    n, loss = spot.z.size, task.problem.loss
    if loss.quadratic:
        return _moved(spot, step, 1.0), 1.0
    foretold = float(theta @ step.z) / n
    foretold += float(coordinate.penalty_change(task.rule, spot.w, spot.w + step.w, task.scaling))
    length = 1.0
    for _ in range(TRIALS):
        w = spot.w + length * step.w
        won = float(coordinate.loss_change(loss, spot.z, step.z, length, task.target)) / n
        won += float(coordinate.penalty_change(task.rule, spot.w, w, task.scaling))
        if won <= ENOUGH * length * foretold + NOISE:
            return _moved(spot, step, length), length
        length *= 0.5
    return spot, 0.0


def _moved(spot: Spot, step: Spot, length: float) -> Spot:
    if length == 1.0:  # zeros stay exact zeros
        return Spot(spot.z + step.z, spot.w + step.w, spot.b + step.b)
    return Spot(spot.z + length * step.z, spot.w + length * step.w, spot.b + length * step.b)
