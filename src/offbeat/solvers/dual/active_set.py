"""The last digits of a support vector machine: the dual variables between their bounds, solved for at once.

Where the loss is made of straight lines, so is its conjugate, and the optimum is a matter of which rows lie on a kink.
Ascent finds these rows soon and their dual variables slowly. On the straight pieces that these are inside of, the dual
is a quadratic, with the Hessian ``V X S X' V``, ``S = 1 / (n l2)``, the gradient ``v (z - t)``, ``t`` the kinks, and
the constraint ``sum v theta = 0`` where there is an intercept, which is its multiplier. Each step goes to the top of
it, or in a flat direction that rises; a dual variable that would leave its piece stops there and moves no more (an
active-set method: Nocedal & Wright 2006, section 16.5).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem

MOST = 200  # rows on kinks
EDGE = 1e-9  # of the length of a piece: closer to its ends is at them
FLAT = 1e-12  # of the largest curvature
NOTHING = 1e-13  # of the terms that a slope is the sum of


class Polished(NamedTuple):
    """Dual variables that sum to zero where there is an intercept, the intercept, and the sum of the dual."""

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
    """Rows whose dual variables are inside a straight piece of the conjugate: its ends and slope."""

    rows: NDArray[np.intp]
    low: Floats
    high: Floats
    slope: Floats


def polished(problem: Problem, shard: Shard, theta: Floats, scale: Floats, before: float) -> Polished | None:
    """Return better dual variables of a shard that has all rows, or None where there are none so near.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    theta : ndarray, shape (n,)
    scale : ndarray, shape (k + 1,)
        ``1 / (n l2)``, and 1 if there is an intercept, else 0.
    before : float
        Dual objective, summed over the rows, to be passed.
    """
    pieces = _inside(problem.loss, theta, shard)
    if pieces is None:
        return None
    v = shard.weight if shard.weight.size else np.ones(shard.n_rows)
    o = shard.offset if shard.offset.size else np.zeros(shard.n_rows)
    data = _Rows(shard.rows(), v, o, scale[:-1], bool(scale[-1]))
    theta = theta.copy()
    if data.intercept and not _balanced(data, theta, pieces):
        return None
    b = _climbed(data, theta, pieces)
    if b is None:
        return None
    gradient = data.X.T @ (v * theta)
    rows = zip(theta, shard.y, o, v, strict=True)
    conjugate = sum(w * (problem.loss.conjugate(t, y) - t * each) for t, y, each, w in rows if w > 0.0)
    dual = -float(conjugate) - 0.5 * float(gradient @ (data.shrink * gradient))
    return Polished(theta, b, dual) if dual > before else None


def _inside(loss: Any, theta: Floats, shard: Shard) -> _Pieces | None:
    """Return the rows that are not at an end of a piece, None if there are none or too many."""
    rows = np.flatnonzero((theta != 0.0) & (np.abs(theta) != 1.0))
    if shard.weight.size:
        rows = rows[shard.weight[rows] > 0.0]
    if not 0 < rows.size <= MOST:
        return None
    ends = np.array([loss.dual_piece(float(theta[i]), float(shard.y[i])) for i in rows])
    low, high, slope = ends.T
    edge = EDGE * (high - low)
    kept = (theta[rows] > low + edge) & (theta[rows] < high - edge)
    return _Pieces(rows[kept], low[kept], high[kept], slope[kept]) if kept.any() else None


def _balanced(data: _Rows, theta: Floats, pieces: _Pieces) -> bool:
    """Move dual variables within their pieces until all sum to zero; return whether that was possible."""
    v = data.v[pieces.rows]
    excess = float(data.v @ theta)
    now = theta[pieces.rows]
    room = v * (now - pieces.low if excess > 0.0 else pieces.high - now)
    if not float(room.sum()) >= abs(excess):
        return False
    theta[pieces.rows] = now - excess * room / (v * max(float(room.sum()), 1e-300))
    return True


def _climbed(data: _Rows, theta: Floats, pieces: _Pieces) -> float | None:
    """Go to the top of the dual within the pieces; return the intercept there, None where rows do not tell it."""
    some = data.X[pieces.rows]
    some = some.toarray() if hasattr(some, "toarray") else np.asarray(some, dtype=np.float64)
    v = data.v[pieces.rows]
    hessian = ((some * data.shrink) @ some.T) * v * v[:, None]
    free = np.ones(len(v), dtype=bool)
    for _ in range(len(v)):  # each time one stops, at least
        if not free.any():
            break
        rows = pieces.rows[free]
        z = data.o[rows] - some[free] @ (data.shrink * (data.X.T @ (data.v * theta)))
        t, w = pieces.slope[free], v[free]
        small = NOTHING * float(np.max(w * (np.abs(z) + np.abs(t)), initial=1e-300))
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
    """Return where to go, along the constraint, and how far at most: to the top, or for ever where it is flat."""
    if v is not None:
        along = np.eye(len(v)) - np.outer(v, v) / float(v @ v)
        hessian, slope = along @ hessian @ along, along @ slope
    bends, axes = np.linalg.eigh(hessian)
    flat = bends <= FLAT * max(float(bends[-1]), 1e-300)
    parts = axes.T @ slope
    if float(np.linalg.norm(parts[flat])) > small * len(slope):
        return axes[:, flat] @ parts[flat], np.inf
    return axes[:, ~flat] @ (parts[~flat] / bends[~flat]), 1.0


__all__ = ["Polished", "polished"]
