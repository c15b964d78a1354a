"""Slacks and multipliers of an interior point, row by row, and the steps that they take.

A loss made of straight lines is a multiple of ``z`` and a sum of terms ``cap max(0, z - kink)``, and so is an absolute
value. A term is the least ``cap above`` with ``z - kink = above - below``, both positive; ``dual`` and ``rest``, which
add up to ``cap``, are the multipliers. On the central path ``dual below = rest above = weight mu``, where the weight of
a row is its ``cap``: one of weight 2 is two rows on the way, too. Newton's method for these leaves ``change of dual =
bend (change of z - error)``: all that the coefficients need to know of a term.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from offbeat.problem import Floats

LEAST = 1e-300  # of what must stay positive


class Interior(NamedTuple):
    """A point of all terms, or a change of it, each of shape (terms a row, n)."""

    dual: Floats
    rest: Floats
    above: Floats
    below: Floats

    def of(self, where: slice) -> Interior:
        """Return that of some rows."""
        return Interior(*(values[:, where] for values in self))

    @property
    def products(self) -> float:
        """Sum of the products that are ``weight mu`` on the central path, two a term."""
        return float(np.vdot(self.dual, self.below) + np.vdot(self.rest, self.above))


def first(kink: Floats, cap: Floats, z: Floats, room: float) -> Interior:
    """Return a point to begin with, for predictors ``z``: ``room`` away from the boundary."""
    r = z - kink
    return Interior(0.5 * cap, 0.5 * cap, np.maximum(r, 0.0) + room, np.maximum(-r, 0.0) + room)


def bend(at: Interior) -> Floats:
    """Return how much a multiplier changes with its predictor."""
    out: Floats = 1.0 / (at.above / at.rest + at.below / at.dual)
    return out


def pull(at: Interior, weight: Floats) -> Floats:
    """Return how much `error` changes with ``mu``."""
    out: Floats = weight / at.rest - weight / at.dual
    return out


def second(at: Interior, straight: Interior) -> Floats:
    """Return what the products of a step add to `error` in the next: the correction of Mehrotra (1992)."""
    out: Floats = straight.dual * (straight.above / at.rest + straight.below / at.dual)
    return out


def error(at: Interior, weight: Floats, mu: float, straight: Interior | None) -> Floats:
    """Return how far a predictor would have to move for its multiplier to stay, on the way to ``mu``.

    ``straight`` is the step towards a ``mu`` of zero, or None if that is what is looked for.
    """
    out = at.below - at.above
    return out if straight is None else out + mu * pull(at, weight) + second(at, straight)


def step(at: Interior, weight: Floats, moved: Floats, mu: float, straight: Interior | None) -> Interior:
    """Return the changes that go with predictors that change by ``moved``."""
    dual = bend(at) * (moved - error(at, weight, mu, straight))
    goal = mu * weight
    up, down = goal + dual * at.above, goal - dual * at.below
    if straight is not None:
        up, down = up + straight.dual * straight.above, down - straight.dual * straight.below
    return Interior(dual, -dual, up / at.rest - at.above, down / at.dual - at.below)


def speeds(at: Interior, change: Interior) -> tuple[float, float]:
    """Return the reciprocals of how many times multipliers, and slacks, may change so until something is zero."""
    each = [float(np.max(-d / a, initial=0.0)) for a, d in zip(at, change, strict=True)]
    return max(each[:2]), max(each[2:])


def after(at: Interior, change: Interior, lengths: tuple[float, float]) -> Interior:
    """Return the point a part of the change away, of multipliers and of slacks."""
    dual, primal = lengths
    shares = (dual, dual, primal, primal)
    return Interior(*(np.maximum(a + t * d, LEAST) for a, d, t in zip(at, change, shares, strict=True)))
