"""Bounds on coefficients, with or without ridge; non-negativity."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from numpy.typing import ArrayLike

from offbeat.errors import ProblemError
from offbeat.penalties.base import check_alpha, check_number, check_weights


class _Fields(NamedTuple):
    lower: float = 0.0
    upper: float = math.inf
    alpha: float = 0.0
    weights: ArrayLike | None = None


class Box(_Fields):
    """Bounds ``lower <= w <= upper`` on every coefficient, plus ridge ``alpha weight w^2 / 2``.

    Parameters
    ----------
    lower, upper : float
        Bounds; ``-inf`` and ``inf`` for none.
    alpha : float
        Strength of the ridge, from 0.
    weights : array-like, shape (n_features,), optional
        Non-negative factors of ``alpha``; the bounds do not scale.

    Examples
    --------
    >>> Box(-1.0, 1.0).prox(3.0, 1.0, 1.0)
    1.0
    """

    __slots__ = ()

    name = "box"
    smooth = False

    def value(self, w: float, weight: float) -> float:
        """Return the penalty of one coefficient; ``inf`` outside the bounds."""
        if w < self.lower or w > self.upper:
            return math.inf
        return 0.5 * self.alpha * weight * w * w

    def prox(self, v: float, step: float, weight: float) -> float:
        """Return ``argmin_u (u - v)^2 / 2 + step * r(u; weight)``: shrinkage, then clipping."""
        u = v / (1.0 + step * self.alpha * weight)
        if u < self.lower:
            return self.lower
        if u > self.upper:
            return self.upper
        return u

    def conjugate(self, v: float, weight: float) -> float:
        """Return ``sup_w v w - r(w; weight)``; ``inf`` towards a missing bound without ridge."""
        a = self.alpha * weight
        if a > 0.0:
            u = v / a
            if u < self.lower:
                return self.lower * (v - 0.5 * a * self.lower)
            if u > self.upper:
                return self.upper * (v - 0.5 * a * self.upper)
            return 0.5 * v * u
        if v > 0.0:
            return v * self.upper
        if v < 0.0:
            return v * self.lower
        return abs(v)  # 0, or NaN if v is

    def dual_scale(self, v: float, weight: float) -> float:
        """Return the largest ``s`` in [0, 1] with ``conjugate(s v, weight)`` finite."""
        if self.alpha * weight > 0.0:
            return 1.0
        if (v > 0.0 and math.isinf(self.upper)) or (v < 0.0 and math.isinf(self.lower)):
            return 0.0
        return 1.0

    def subgradient_distance(self, w: float, gradient: float, weight: float) -> float:
        """Return the distance of ``-gradient`` from the subdifferential at ``w``, ``inf`` outside."""
        if w < self.lower or w > self.upper:
            return math.inf
        slope = gradient + self.alpha * weight * w
        if w == self.lower and slope > 0.0:
            return 0.0
        if w == self.upper and slope < 0.0:
            return 0.0
        return abs(slope)

    def curvature(self, weight: float) -> float:
        """Return the coefficient of ``w^2 / 2`` inside the bounds."""
        return self.alpha * weight

    def check(self, n_features: int) -> Self:
        """Return the penalty with canonical types, or raise `ProblemError`."""
        lower = check_number("lower bound of the box", self.lower)
        upper = check_number("upper bound of the box", self.upper)
        if lower > upper or lower == math.inf or upper == -math.inf:
            raise ProblemError(f"no coefficient lies in the box from {lower:g} to {upper:g}; give lower <= upper")
        weights = check_weights(self.weights, n_features)
        return self._replace(lower=lower, upper=upper, alpha=check_alpha(self.alpha), weights=weights)


def NonNegative(alpha: float = 0.0, weights: ArrayLike | None = None) -> Box:  # noqa: N802 (reads like a penalty)
    """Return the box from 0 up: no coefficient is negative.

    Parameters
    ----------
    alpha : float
        Strength of the ridge, from 0.
    weights : array-like, shape (n_features,), optional
        Non-negative factors of ``alpha``.

    Examples
    --------
    >>> NonNegative().prox(-2.0, 1.0, 1.0)
    0.0
    """
    return Box(0.0, math.inf, alpha, weights)
