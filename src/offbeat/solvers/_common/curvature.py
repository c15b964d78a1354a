"""Bounds of the curvature of a shard's loss. First-order methods derive their step sizes from them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.losses import Squared
from offbeat.losses.questions import smooth
from offbeat.penalties import Zero
from offbeat.problem import Floats, Problem
from offbeat.sideways.evaluation import HESSIAN_COLUMNS
from offbeat.solvers._common import delayed_evaluation
from offbeat.solvers._common.delayed_evaluation import InternalCoordinates

MAX_HESSIAN_COLUMNS = 128  # up to this number the Hessian is formed, above it power iteration is cheaper
POWER_ITERATIONS = 12
ROWS_PER_COLUMN = 8  # of the sample from which the curvature is estimated
POWER_ITERATION_MARGIN = 1.1  # power iteration approaches the largest eigenvalue from below


def largest_curvature(
    problem: Problem, shard: Shard, workspace: Workspace, frame: InternalCoordinates, x: Floats
) -> tuple[float, float]:
    """Return the largest curvature of the mean loss of a shard, in internal coordinates, and the work it took.

    If the second derivative of the loss is bounded, the result bounds the curvature at every point. Otherwise it is the
    curvature at ``x``.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    workspace : Workspace
    frame : InternalCoordinates
    x : ndarray
        Coefficients and intercepts.

    Returns
    -------
    curvature : float
        Per row.
    work : float
        In gradient passes over the shard.
    """
    bound = _curvature_bound(problem)
    single = frame._replace(n_outputs=1)
    fraction = min(1.0, max(ROWS_PER_COLUMN * (frame.size + 1), 512) / shard.n_rows)
    if math.isfinite(bound):  # the Hessian is at most the bound times that of the squared loss, which is constant
        problem, shard, x = Problem(Squared(), problem.penalty), _with_zero_targets(shard), np.zeros(single.size + 1)
    if frame.size + 1 <= MAX_HESSIAN_COLUMNS:
        work = fraction * (1.0 + frame.size / HESSIAN_COLUMNS)
        seen = _evaluate_hessian(problem, shard, workspace, single, x, fraction)
        matrix = seen.hessian / seen.rows
        value = float(np.linalg.eigvalsh(matrix)[-1]) if np.all(np.isfinite(matrix)) else math.inf
    else:
        work = fraction * POWER_ITERATIONS
        step = 1.0 if math.isfinite(bound) else 1e-4
        value = POWER_ITERATION_MARGIN * _power_iteration(problem, shard, workspace, (single, x, step), fraction)
    return max(value * (bound if math.isfinite(bound) else 1.0), 1e-12), work


def _curvature_bound(problem: Problem) -> float:
    """Return the bound of the second derivative. For losses with a kink it is set to 1, as a scale of steps."""
    return float(problem.loss.smoothness) if smooth(problem.loss) else 1.0


def gram_matrix(shard: Shard, workspace: Workspace, frame: InternalCoordinates) -> tuple[Floats, float]:
    """Return ``X'VX`` of a shard in internal coordinates, intercept last, and the work it took.

    Multiplied by the bound of the second derivative, it is an upper bound of every Hessian.
    """
    squared = Problem(Squared(), Zero())
    seen = _evaluate_hessian(squared, _with_zero_targets(shard), workspace, frame, np.zeros(frame.size + 1))
    return seen.hessian, 1.0 + frame.size / HESSIAN_COLUMNS


def _with_zero_targets(shard: Shard) -> Shard:
    """Return the shard with targets of zero. The gradient of the squared loss is linear then."""
    return replace(shard, y=np.zeros(shard.n_rows), offset=np.empty(0))


class _HessianSums(NamedTuple):
    """The Hessian summed over some rows, and their number."""

    hessian: Floats
    rows: float


def _evaluate_hessian(
    problem: Problem, shard: Shard, workspace: Workspace, frame: InternalCoordinates, x: Floats, fraction: float = 1.0
) -> _HessianSums:
    """Return the Hessian of the loss at ``x``, summed over a share of the rows."""
    point = frame.point(x, hessian=True, fraction=fraction, repair=False)
    seen = delayed_evaluation.evaluate_shard(problem, shard, workspace, frame, point, x)
    assert seen.hessian is not None
    return _HessianSums(seen.hessian, seen.rows)


def _power_iteration(
    problem: Problem, shard: Shard, workspace: Workspace, at: tuple[InternalCoordinates, Floats, float], fraction: float
) -> float:
    """Return the largest eigenvalue of the mean Hessian at a point, by power iteration.

    Products are differences of gradients, over steps of the length that ``at`` ends with.
    """
    frame, x, length = at

    def gradient(where: Floats) -> Floats:
        point = frame.point(where, fraction=fraction, repair=False)
        seen = delayed_evaluation.evaluate_shard(problem, shard, workspace, frame, point, where)
        return seen.gradient / seen.rows

    origin = gradient(x)
    direction = np.random.default_rng(0).standard_normal(x.size)
    value = 0.0
    for _ in range(POWER_ITERATIONS - 1):
        direction /= max(float(np.linalg.norm(direction)), 1e-300)
        product = (gradient(x + length * direction) - origin) / length
        value, direction = float(np.linalg.norm(product)), product
    return value
