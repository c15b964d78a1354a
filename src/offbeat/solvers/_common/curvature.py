"""How strongly the loss of a shard can bend: what step sizes follow from."""

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
from offbeat.solvers._common.delayed_evaluation import Frame

MATRIX_COLUMNS = 128  # up to which the matrix itself is cheaper than products with it
PRODUCTS = 12
ROWS = 8  # visited for each column, at most
CAUTION = 1.1  # products find the largest eigenvalue from below


def largest(problem: Problem, shard: Shard, workspace: Workspace, frame: Frame, x: Floats) -> tuple[float, float]:
    """Return the largest curvature of the mean loss of a shard, in internal coordinates, and the work it took.

    Losses whose second derivative is bounded are bounded everywhere; of others this is the curvature at ``x``.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    workspace : Workspace
    frame : Frame
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
    if frame.size + 1 <= MATRIX_COLUMNS:
        fraction = min(1.0, max(ROWS * (frame.size + 1), 512) / shard.n_rows)
        work = fraction * (1.0 + frame.size / HESSIAN_COLUMNS)
        matrix = _hessian(problem, shard, workspace, (single, x), fraction, plain=math.isfinite(smoothness))
        value = float(np.linalg.eigvalsh(matrix)[-1]) if np.all(np.isfinite(matrix)) else math.inf
    else:
        fraction = min(1.0, max(ROWS * (frame.size + 1), 512) / shard.n_rows)
        work = fraction * PRODUCTS
        value = CAUTION * _power(problem, shard, workspace, (single, x), fraction, plain=math.isfinite(smoothness))
    floor = 1e-12
    return max(value * (smoothness if math.isfinite(smoothness) else 1.0), floor), work


def _smoothness(problem: Problem) -> float:
    """Return the bound of the second derivative; 1 for losses with a kink, whose steps need some scale."""
    return float(problem.loss.smoothness) if smooth(problem.loss) else 1.0


def matrix(shard: Shard, workspace: Workspace, frame: Frame) -> tuple[Floats, float]:
    """Return ``X'VX`` of a shard in internal coordinates, intercept last, and the work it took.

    Times the bound of the second derivative, it is a bound of every Hessian.
    """
    squared = Problem(Squared(), Zero())
    origin = np.zeros(frame.size + 1)
    point = frame.point(origin, hessian=True, repair=False)
    seen = delayed_evaluation.look(squared, _plain(shard), workspace, frame, point, origin)
    assert seen.hessian is not None
    return seen.hessian, 1.0 + frame.size / HESSIAN_COLUMNS


def _plain(shard: Shard) -> Shard:
    """Return the shard with targets of zero: the squared loss then has a linear gradient."""
    return replace(shard, y=np.zeros(shard.n_rows), offset=np.empty(0))


def _hessian(
    problem: Problem, shard: Shard, workspace: Workspace, at: tuple[Frame, Floats], fraction: float, *, plain: bool
) -> Floats:
    frame, x = at
    x = np.zeros(frame.size + 1) if plain else x
    of = Problem(Squared(), problem.penalty) if plain else problem
    point = frame.point(x, hessian=True, fraction=fraction, repair=False)
    seen = delayed_evaluation.look(of, _plain(shard) if plain else shard, workspace, frame, point, x)
    assert seen.hessian is not None
    return seen.hessian / seen.rows


def _power(
    problem: Problem, shard: Shard, workspace: Workspace, at: tuple[Frame, Floats], fraction: float, *, plain: bool
) -> float:
    """Return the largest eigenvalue by power iteration; products are gradients, or differences of them."""
    frame, x = at
    of = Problem(Squared(), problem.penalty) if plain else problem
    rows = _plain(shard) if plain else shard
    base = np.zeros(frame.size + 1) if plain else x
    reach = 1.0 if plain else 1e-4

    def gradient(where: Floats) -> Floats:
        point = frame.point(where, fraction=fraction, repair=False)
        seen = delayed_evaluation.look(of, rows, workspace, frame, point, where)
        return seen.gradient / seen.rows

    origin = gradient(base)
    direction = np.random.default_rng(0).standard_normal(base.size)
    value = 0.0
    for _ in range(PRODUCTS - 1):
        direction /= max(float(np.linalg.norm(direction)), 1e-300)
        product = (gradient(base + reach * direction) - origin) / reach
        value, direction = float(np.linalg.norm(product)), product
    return value
