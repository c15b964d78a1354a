"""Elastic net (Zou & Hastie 2005, J. R. Stat. Soc. B 67:301)."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from numpy.typing import ArrayLike

from offbeat.penalties.base import check_alpha, check_number, check_weights


class _Fields(NamedTuple):
    alpha: float = 1.0
    l1_ratio: float = 0.5
    weights: ArrayLike | None = None


class ElasticNet(_Fields):
    """Elastic net: ``r(w; weight) = alpha weight (l1_ratio abs(w) + (1 - l1_ratio) w^2 / 2)``.

    Parameters
    ----------
    alpha : float
        Strength, from 0.
    l1_ratio : float
        Share of the lasso, 0 to 1.
    weights : array-like, shape (n_features,), optional
        Non-negative factors of ``alpha``.

    Examples
    --------
    >>> ElasticNet(1.0, l1_ratio=0.5).value(2.0, 1.0)
    2.0
    """

    __slots__ = ()

    name = "elastic-net"
    smooth = False
    scaled_by_alpha = True

    @property
    def selects(self) -> bool:
        """Whether coefficients may stay at zero: there is a lasso part."""
        return self.l1_ratio > 0.0

    def value(self, w: float, weight: float) -> float:
        """Return the penalty of one coefficient."""
        return self.alpha * weight * (self.l1_ratio * abs(w) + 0.5 * (1.0 - self.l1_ratio) * w * w)

    def prox(self, v: float, step: float, weight: float) -> float:
        """Return ``argmin_u (u - v)^2 / 2 + step * r(u; weight)``: soft threshold, then shrinkage."""
        a = step * self.alpha * weight
        t = a * self.l1_ratio
        if abs(v) <= t:
            return 0.0
        return (v - math.copysign(t, v)) / (1.0 + a * (1.0 - self.l1_ratio))

    def conjugate(self, v: float, weight: float) -> float:
        """Return ``max(abs(v) - l1, 0)^2 / (2 l2)``; without ridge part, 0 up to ``l1`` and ``inf`` beyond.

        At ``l1``, a few units of the last place are forgiven: ``dual_scale(v) * v`` is inside whatever the
        rounding.
        """
        l1 = self.alpha * weight * self.l1_ratio
        l2 = self.curvature(weight)
        size = abs(v)
        if size <= l1 * (1.0 + 1e-15):
            return 0.0
        if l2 > 0.0:
            return 0.5 * (size - l1) * ((size - l1) / l2)
        return math.inf

    def dual_scale(self, v: float, weight: float) -> float:
        """Return the largest ``s`` in [0, 1] with ``conjugate(s v, weight)`` finite."""
        l1 = self.alpha * weight * self.l1_ratio
        size = abs(v)
        if size <= l1 or self.curvature(weight) > 0.0:
            return 1.0
        return l1 / size

    def subgradient_distance(self, w: float, gradient: float, weight: float) -> float:
        """Return the distance of ``-gradient`` from the subdifferential at ``w``."""
        l1 = self.alpha * weight * self.l1_ratio
        slope = gradient + self.curvature(weight) * w
        if w > 0.0:
            return abs(slope + l1)
        if w < 0.0:
            return abs(slope - l1)
        if abs(slope) <= l1:
            return 0.0
        return abs(slope) - l1

    def curvature(self, weight: float) -> float:
        """Return the coefficient of ``w^2 / 2``."""
        return self.alpha * weight * (1.0 - self.l1_ratio)

    def l1(self, weight: float) -> float:
        """Return the coefficient of ``abs(w)``."""
        return self.alpha * weight * self.l1_ratio

    def check(self, n_features: int) -> Self:
        """Return the penalty with canonical types, or raise `ProblemError`."""
        return self._replace(
            alpha=check_alpha(self.alpha),
            l1_ratio=check_number("l1_ratio of the penalty", self.l1_ratio, low=0.0, high=1.0),
            weights=check_weights(self.weights, n_features),
        )
