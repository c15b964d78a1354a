"""Slacks and multipliers of the terms of a piecewise linear loss, and their Newton steps.

A piecewise linear loss is a multiple of ``z`` plus a sum of terms ``cap max(0, z - kink)``. So is an absolute value. A
term is the minimum of ``cap above`` subject to ``z - kink = above - below`` with positive slacks ``above`` and
``below``. The multipliers ``dual`` and ``rest`` are positive and add up to ``cap``. On the central path
``dual below = rest above = weight mu``. The weight of a row is its ``cap``, so that a row of weight 2 acts like two
rows. Newton's method for these equations gives ``change of dual = stiffness (change of z - residual)``: the
coefficients depend on a term through these two numbers only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from offbeat.problem import Floats

MIN_POSITIVE = 1e-300  # lower bound of slacks and multipliers


class TermVariables(NamedTuple):
    """Slacks and multipliers of all terms, or changes of them, each of shape (terms of a row, n)."""

    dual: Floats
    rest: Floats
    above: Floats
    below: Floats

    def of(self, where: slice) -> TermVariables:
        """Return those of some rows."""
        return TermVariables(*(values[:, where] for values in self))

    @property
    def products(self) -> float:
        """Sum of the products ``dual below`` and ``rest above``, which equal ``weight mu`` on the central path."""
        return float(np.vdot(self.dual, self.below) + np.vdot(self.rest, self.above))


def start(kink: Floats, cap: Floats, z: Floats, room: float) -> TermVariables:
    """Return the first slacks and multipliers, for predictors ``z``. Slacks are at least ``room``."""
    r = z - kink
    return TermVariables(0.5 * cap, 0.5 * cap, np.maximum(r, 0.0) + room, np.maximum(-r, 0.0) + room)


def stiffness(at: TermVariables) -> Floats:
    """Return the derivative of a multiplier with respect to its predictor."""
    out: Floats = 1.0 / (at.above / at.rest + at.below / at.dual)
    return out


def centering(at: TermVariables, weight: Floats) -> Floats:
    """Return the derivative of `residual` with respect to ``mu``."""
    out: Floats = weight / at.rest - weight / at.dual
    return out


def second_order(at: TermVariables, affine: TermVariables) -> Floats:
    """Return the second-order term of `residual`, from the affine step: the correction of Mehrotra (1992)."""
    out: Floats = affine.dual * (affine.above / at.rest + affine.below / at.dual)
    return out


def residual(at: TermVariables, weight: Floats, mu: float, affine: TermVariables | None) -> Floats:
    """Return the change of a predictor that leaves its multiplier unchanged in the step towards ``mu``.

    ``affine`` is the affine step (towards ``mu = 0``), or None while that step itself is computed.
    """
    out = at.below - at.above
    return out if affine is None else out + mu * centering(at, weight) + second_order(at, affine)


def change_for(
    at: TermVariables, weight: Floats, moved: Floats, mu: float, affine: TermVariables | None
) -> TermVariables:
    """Return the changes of slacks and multipliers when predictors change by ``moved``."""
    dual = stiffness(at) * (moved - residual(at, weight, mu, affine))
    goal = mu * weight
    up, down = goal + dual * at.above, goal - dual * at.below
    if affine is not None:
        up, down = up + affine.dual * affine.above, down - affine.dual * affine.below
    return TermVariables(dual, -dual, up / at.rest - at.above, down / at.dual - at.below)


def boundary_speeds(at: TermVariables, change: TermVariables) -> tuple[float, float]:
    """Return the reciprocals of the step lengths at which a multiplier, and a slack, becomes zero."""
    each = [float(np.max(-d / a, initial=0.0)) for a, d in zip(at, change, strict=True)]
    return max(each[:2]), max(each[2:])


def moved_by(at: TermVariables, change: TermVariables, lengths: tuple[float, float]) -> TermVariables:
    """Return the point after a change, with step lengths of multipliers and of slacks."""
    dual, primal = lengths
    shares = (dual, dual, primal, primal)
    return TermVariables(*(np.maximum(a + t * d, MIN_POSITIVE) for a, d, t in zip(at, change, shares, strict=True)))
