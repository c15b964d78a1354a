"""Elastic net on coefficients that must not be negative."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from numpy.typing import ArrayLike

from offbeat.penalties.base import check_alpha, check_number, check_weights


class _Fields(NamedTuple):
    alpha: float = 1.0
    l1_ratio: float = 1.0
    weights: ArrayLike | None = None


class PositiveElasticNet(_Fields):
    """Elastic net and sign: ``r(w; weight) = alpha weight (l1_ratio w + (1 - l1_ratio) w^2 / 2)`` for ``w >= 0``.

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
    >>> PositiveElasticNet(1.0).prox(-3.0, 1.0, 1.0), PositiveElasticNet(1.0).prox(3.0, 1.0, 1.0)
    (0.0, 2.0)
    """

    __slots__ = ()

    name = "positive-elastic-net"
    smooth = False

    @property
    def selects(self) -> bool:
        """Whether coefficients may stay at zero: there is a lasso part."""
        return self.l1_ratio > 0.0

    def value(self, w: float, weight: float) -> float:
        """Return the penalty of one coefficient; ``inf`` below 0."""
        if w < 0.0:
            return math.inf
        return self.alpha * weight * (self.l1_ratio * w + 0.5 * (1.0 - self.l1_ratio) * w * w)

    def prox(self, v: float, step: float, weight: float) -> float:
        """Return ``argmin_u (u - v)^2 / 2 + step * r(u; weight)``."""
        a = step * self.alpha * weight
        t = a * self.l1_ratio
        if v > t:
            return (v - t) / (1.0 + a * (1.0 - self.l1_ratio))
        return 0.0

    def conjugate(self, v: float, weight: float) -> float:
        """Return ``max(v - l1, 0)^2 / (2 l2)``; without ridge part, 0 up to ``l1`` and ``inf`` beyond."""
        l1 = self.alpha * weight * self.l1_ratio
        l2 = self.curvature(weight)
        if v <= l1 * (1.0 + 1e-15):
            return 0.0
        if l2 > 0.0:
            return 0.5 * (v - l1) * ((v - l1) / l2)
        return math.inf

    def dual_scale(self, v: float, weight: float) -> float:
        """Return the largest ``s`` in [0, 1] with ``conjugate(s v, weight)`` finite."""
        l1 = self.alpha * weight * self.l1_ratio
        if v <= l1 or self.curvature(weight) > 0.0:
            return 1.0
        return l1 / v

    def subgradient_distance(self, w: float, gradient: float, weight: float) -> float:
        """Return the distance of ``-gradient`` from the subdifferential at ``w``, ``inf`` below 0."""
        if w < 0.0:
            return math.inf
        slope = gradient + self.alpha * weight * self.l1_ratio + self.curvature(weight) * w
        if w == 0.0 and slope > 0.0:
            return 0.0
        return abs(slope)

    def curvature(self, weight: float) -> float:
        """Return the coefficient of ``w^2 / 2``."""
        return self.alpha * weight * (1.0 - self.l1_ratio)

    def check(self, n_features: int) -> Self:
        """Return the penalty with canonical types; raise `ProblemError` if a hyper-parameter or weight is bad."""
        return self._replace(
            alpha=check_alpha(self.alpha),
            l1_ratio=check_number("l1_ratio of the penalty", self.l1_ratio, low=0.0, high=1.0),
            weights=check_weights(self.weights, n_features),
        )
