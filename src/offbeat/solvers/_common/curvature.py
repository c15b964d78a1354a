"""Bounds of the curvature of a shard's loss. First-order methods derive their step sizes from them."""

from __future__ import annotations

import math
from dataclasses import replace

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
    smoothness = _smoothness(problem)
    single = frame._replace(n_outputs=1)
    if frame.size + 1 <= MAX_HESSIAN_COLUMNS:
        fraction = min(1.0, max(ROWS_PER_COLUMN * (frame.size + 1), 512) / shard.n_rows)
        work = fraction * (1.0 + frame.size / HESSIAN_COLUMNS)
        matrix = _mean_hessian(problem, shard, workspace, (single, x), fraction, plain=math.isfinite(smoothness))
        value = float(np.linalg.eigvalsh(matrix)[-1]) if np.all(np.isfinite(matrix)) else math.inf
    else:
        fraction = min(1.0, max(ROWS_PER_COLUMN * (frame.size + 1), 512) / shard.n_rows)
        work = fraction * POWER_ITERATIONS
        value = POWER_ITERATION_MARGIN * _largest_by_power_iteration(
            problem, shard, workspace, (single, x), fraction, plain=math.isfinite(smoothness)
        )
    floor = 1e-12
    return max(value * (smoothness if math.isfinite(smoothness) else 1.0), floor), work


def _smoothness(problem: Problem) -> float:
    """Return the bound of the second derivative. For losses with a kink it is set to 1, as a scale of steps."""
    return float(problem.loss.smoothness) if smooth(problem.loss) else 1.0


def gram_matrix(shard: Shard, workspace: Workspace, frame: InternalCoordinates) -> tuple[Floats, float]:
    """Return ``X'VX`` of a shard in internal coordinates, intercept last, and the work it took.

    Multiplied by the bound of the second derivative, it is an upper bound of every Hessian.
    """
    squared = Problem(Squared(), Zero())
    origin = np.zeros(frame.size + 1)
    point = frame.point(origin, hessian=True, repair=False)
    seen = delayed_evaluation.evaluate_shard(squared, _with_zero_targets(shard), workspace, frame, point, origin)
    assert seen.hessian is not None
    return seen.hessian, 1.0 + frame.size / HESSIAN_COLUMNS


def _with_zero_targets(shard: Shard) -> Shard:
    """Return the shard with targets of zero. The gradient of the squared loss is linear then."""
    return replace(shard, y=np.zeros(shard.n_rows), offset=np.empty(0))


def _mean_hessian(
    problem: Problem,
    shard: Shard,
    workspace: Workspace,
    at: tuple[InternalCoordinates, Floats],
    fraction: float,
    *,
    plain: bool,
) -> Floats:
    """Return the mean Hessian of a share of the rows; that of the squared loss if ``plain``."""
    frame, x = at
    x = np.zeros(frame.size + 1) if plain else x
    of = Problem(Squared(), problem.penalty) if plain else problem
    point = frame.point(x, hessian=True, fraction=fraction, repair=False)
    seen = delayed_evaluation.evaluate_shard(
        of, _with_zero_targets(shard) if plain else shard, workspace, frame, point, x
    )
    assert seen.hessian is not None
    return seen.hessian / seen.rows


def _largest_by_power_iteration(
    problem: Problem,
    shard: Shard,
    workspace: Workspace,
    at: tuple[InternalCoordinates, Floats],
    fraction: float,
    *,
    plain: bool,
) -> float:
    """Return the largest eigenvalue of the Hessian by power iteration. Products are differences of gradients."""
    frame, x = at
    of = Problem(Squared(), problem.penalty) if plain else problem
    rows = _with_zero_targets(shard) if plain else shard
    base = np.zeros(frame.size + 1) if plain else x
    reach = 1.0 if plain else 1e-4

    def gradient(where: Floats) -> Floats:
        point = frame.point(where, fraction=fraction, repair=False)
        seen = delayed_evaluation.evaluate_shard(of, rows, workspace, frame, point, where)
        return seen.gradient / seen.rows

    origin = gradient(base)
    direction = np.random.default_rng(0).standard_normal(base.size)
    value = 0.0
    for _ in range(POWER_ITERATIONS - 1):
        direction /= max(float(np.linalg.norm(direction)), 1e-300)
        product = (gradient(base + reach * direction) - origin) / reach
        value, direction = float(np.linalg.norm(product)), product
    return value
