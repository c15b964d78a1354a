"""An active-set method for the dual of a piecewise linear loss. It gives a support vector machine's last digits.

The conjugate of a piecewise linear loss is piecewise linear, and the optimum depends on which rows lie on a kink of the
loss. Coordinate ascent finds these rows soon, but their dual variables slowly. While each of these stays in one piece
of the conjugate, the dual objective is a quadratic with the Hessian ``V X S X' V``, ``S = 1 / (n l2)``, and the
gradient ``v (z - t)``, where ``t`` are the kinks. With an intercept there is the constraint ``sum v theta = 0``, whose
multiplier is the intercept. Each step goes to the maximum of the quadratic, or along a flat direction that ascends. A
dual variable that reaches an end of its piece stays there (Nocedal & Wright 2006, section 16.5).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem

MAX_KINK_ROWS = 200
END_TOLERANCE = 1e-9  # of the length of a piece: closer dual variables count as at its end
MIN_RELATIVE_CURVATURE = 1e-12  # of the largest eigenvalue: directions with less are flat
RELATIVE_ROUNDING = 1e-13  # of a slope, relative to its terms


class ActiveSetSolution(NamedTuple):
    """Feasible dual variables, the intercept, and the dual objective summed over the rows."""

    theta: Floats
    intercept: float
    dual: float


class _Rows(NamedTuple):
    """All rows: features, weights, offsets, ``1 / (n l2)`` of the columns, and whether there is an intercept."""

    X: Any
    v: Floats
    o: Floats
    shrink: Floats
    intercept: bool


class _Pieces(NamedTuple):
    """Rows whose dual variables are in the interior of a piece of the conjugate; its ends and its slope."""

    rows: NDArray[np.intp]
    low: Floats
    high: Floats
    slope: Floats


def solve_active_set(
    problem: Problem, shard: Shard, theta: Floats, scale: Floats, before: float
) -> ActiveSetSolution | None:
    """Return better dual variables of a shard that has all rows, or None if this method finds none.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    theta : ndarray, shape (n,)
    scale : ndarray, shape (k + 1,)
        ``1 / (n l2)``, and 1 if there is an intercept, else 0.
    before : float
        Dual objective, summed over the rows, that the solution must exceed.
    """
    pieces = _interior_pieces(problem.loss, theta, shard)
    if pieces is None:
        return None
    v = shard.weight if shard.weight.size else np.ones(shard.n_rows)
    o = shard.offset if shard.offset.size else np.zeros(shard.n_rows)
    data = _Rows(shard.rows(), v, o, scale[:-1], bool(scale[-1]))
    theta = theta.copy()
    if data.intercept and not _make_feasible(data, theta, pieces):
        return None
    b = _maximise(data, theta, pieces)
    if b is None:
        return None
    gradient = data.X.T @ (v * theta)
    rows = zip(theta, shard.y, o, v, strict=True)
    conjugate = sum(w * (problem.loss.conjugate(t, y) - t * each) for t, y, each, w in rows if w > 0.0)
    dual = -float(conjugate) - 0.5 * float(gradient @ (data.shrink * gradient))
    return ActiveSetSolution(theta, b, dual) if dual > before else None


def _interior_pieces(loss: Any, theta: Floats, shard: Shard) -> _Pieces | None:
    """Return the rows in the interior of a piece, or None if there are none or too many."""
    from offbeat.kernels.row_sums import pieces_at

    out = np.empty((3, len(theta)))
    pieces_at(loss, theta, shard.y, out)
    edge = END_TOLERANCE * (out[1] - out[0])
    inside = (theta > out[0] + edge) & (theta < out[1] - edge)
    if shard.weight.size:
        inside &= shard.weight > 0.0
    rows = np.flatnonzero(inside)
    return _Pieces(rows, *out[:, rows]) if 0 < rows.size <= MAX_KINK_ROWS else None


def _make_feasible(data: _Rows, theta: Floats, pieces: _Pieces) -> bool:
    """Move dual variables within their pieces until all sum to zero. Return whether this is possible."""
    v = data.v[pieces.rows]
    excess = float(data.v @ theta)
    now = theta[pieces.rows]
    room = v * (now - pieces.low if excess > 0.0 else pieces.high - now)
    if not float(room.sum()) >= abs(excess):
        return False
    theta[pieces.rows] = now - excess * room / (v * max(float(room.sum()), 1e-300))
    return True


def _maximise(data: _Rows, theta: Floats, pieces: _Pieces) -> float | None:
    """Maximise the dual within the pieces, in place. Return the intercept, or None if it is not determined."""
    some = data.X[pieces.rows]
    some = some.toarray() if hasattr(some, "toarray") else np.asarray(some, dtype=np.float64)
    v = data.v[pieces.rows]
    hessian = ((some * data.shrink) @ some.T) * v * v[:, None]
    free = np.ones(len(v), dtype=bool)
    for _ in range(len(v)):  # at least one variable stops in each iteration
        if not free.any():
            break
        rows = pieces.rows[free]
        z = data.o[rows] - some[free] @ (data.shrink * (data.X.T @ (data.v * theta)))
        t, w = pieces.slope[free], v[free]
        small = RELATIVE_ROUNDING * float(np.max(w * (np.abs(z) + np.abs(t)), initial=1e-300))
        if not (np.all(np.isfinite(z)) and np.all(np.isfinite(hessian))):
            return None
        step, most = _step(hessian[np.ix_(free, free)], w * (z - t), w if data.intercept else None, small)
        low, high, now = pieces.low[free], pieces.high[free], theta[rows]
        reach = np.full(len(now), np.inf)
        np.divide(np.where(step > 0.0, high - now, low - now), step, out=reach, where=step != 0.0)
        shortest = max(float(reach.min()), 0.0)
        if shortest >= most:
            theta[rows] = np.clip(now + most * step, low, high)
            return float(w @ (t - z + hessian[np.ix_(free, free)] @ (most * step) / w) / w.sum())
        stopped = reach <= shortest * (1.0 + 1e-12)
        theta[rows] = np.where(stopped, np.where(step > 0.0, high, low), np.clip(now + shortest * step, low, high))
        free[np.flatnonzero(free)[stopped]] = False
    return None if data.intercept else 0.0


def _step(hessian: Floats, slope: Floats, v: Floats | None, small: float) -> tuple[Floats, float]:
    """Return a direction that keeps the constraint, and the longest step: 1, or inf along a flat direction."""
    if v is not None:
        along = np.eye(len(v)) - np.outer(v, v) / float(v @ v)
        hessian, slope = along @ hessian @ along, along @ slope
    eigenvalues, axes = np.linalg.eigh(hessian)
    flat = eigenvalues <= MIN_RELATIVE_CURVATURE * max(float(eigenvalues[-1]), 1e-300)
    parts = axes.T @ slope
    if float(np.linalg.norm(parts[flat])) > small * len(slope):
        return axes[:, flat] @ parts[flat], np.inf
    return axes[:, ~flat] @ (parts[~flat] / eigenvalues[~flat]), 1.0
