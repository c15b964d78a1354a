"""Lasso penalty (Tibshirani 1996, J. R. Stat. Soc. B 58:267)."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from numpy.typing import ArrayLike

from offbeat.penalties.base import check_alpha, check_weights


class _Fields(NamedTuple):
    alpha: float = 1.0
    weights: ArrayLike | None = None


class L1(_Fields):
    """Lasso: ``r(w; weight) = alpha weight abs(w)``.

    Parameters
    ----------
    alpha : float
        Strength, from 0.
    weights : array-like, shape (n_features,), optional
        Non-negative factors of ``alpha``.

    Examples
    --------
    >>> L1(0.5).prox(2.0, 1.0, 1.0)
    1.5
    """

    __slots__ = ()

    name = "l1"
    smooth = False
    selects = True
    scaled_by_alpha = True

    def value(self, w: float, weight: float) -> float:
        """Return the penalty of one coefficient."""
        return self.alpha * weight * abs(w)

    def prox(self, v: float, step: float, weight: float) -> float:
        """Return ``v`` moved towards 0 by ``step * alpha * weight``."""
        t = step * self.alpha * weight
        if abs(v) <= t:
            return 0.0
        return v - math.copysign(t, v)

    def conjugate(self, v: float, weight: float) -> float:
        """Return 0 for ``abs(v) <= alpha weight`` and ``inf`` beyond.

        A few units of the last place are forgiven: ``dual_scale(v) * v`` is inside whatever the rounding.
        """
        if abs(v) <= self.alpha * weight * (1.0 + 1e-15):
            return 0.0
        return math.inf

    def dual_scale(self, v: float, weight: float) -> float:
        """Return the largest ``s`` in [0, 1] with ``conjugate(s v, weight)`` finite."""
        a = self.alpha * weight
        size = abs(v)
        if size <= a:
            return 1.0
        return a / size

    def subgradient_distance(self, w: float, gradient: float, weight: float) -> float:
        """Return the distance of ``-gradient`` from the subdifferential at ``w``."""
        a = self.alpha * weight
        if w > 0.0:
            return abs(gradient + a)
        if w < 0.0:
            return abs(gradient - a)
        if abs(gradient) <= a:
            return 0.0
        return abs(gradient) - a

    def curvature(self, weight: float) -> float:
        """Return the coefficient of ``w^2 / 2``: 0."""
        return 0.0

    def l1(self, weight: float) -> float:
        """Return the coefficient of ``abs(w)``."""
        return self.alpha * weight

    def check(self, n_features: int) -> Self:
        """Return the penalty with canonical types, or raise `ProblemError`."""
        return self._replace(alpha=check_alpha(self.alpha), weights=check_weights(self.weights, n_features))
