"""Ridge penalty (Hoerl & Kennard 1970, Technometrics 12:55)."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from numpy.typing import ArrayLike

from offbeat.penalties.base import check_alpha, check_weights


class _Fields(NamedTuple):
    alpha: float = 1.0
    weights: ArrayLike | None = None


class L2(_Fields):
    """Ridge: ``r(w; weight) = alpha weight w^2 / 2``.

    Parameters
    ----------
    alpha : float
        Strength, from 0.
    weights : array-like, shape (n_features,), optional
        Non-negative factors of ``alpha``.

    Examples
    --------
    >>> L2(0.5).value(2.0, 1.0)
    1.0
    """

    __slots__ = ()

    name = "l2"
    smooth = True
    scaled_by_alpha = True

    def value(self, w: float, weight: float) -> float:
        """Return the penalty of one coefficient."""
        return 0.5 * self.alpha * weight * w * w

    def prox(self, v: float, step: float, weight: float) -> float:
        """Return ``argmin_u (u - v)^2 / 2 + step * r(u; weight)``."""
        return v / (1.0 + step * self.alpha * weight)

    def conjugate(self, v: float, weight: float) -> float:
        """Return ``v^2 / (2 alpha weight)``; without strength, 0 at 0 and ``inf`` elsewhere."""
        a = self.alpha * weight
        if v == 0.0:
            return 0.0
        if a > 0.0:
            return 0.5 * v * (v / a)
        return math.inf

    def dual_scale(self, v: float, weight: float) -> float:
        """Return the largest ``s`` in [0, 1] with ``conjugate(s v, weight)`` finite."""
        if v == 0.0 or self.alpha * weight > 0.0:
            return 1.0
        return 0.0

    def subgradient_distance(self, w: float, gradient: float, weight: float) -> float:
        """Return the size of the derivative of the whole objective."""
        return abs(gradient + self.alpha * weight * w)

    def curvature(self, weight: float) -> float:
        """Return the coefficient of ``w^2 / 2``."""
        return self.alpha * weight

    def l1(self, weight: float) -> float:
        """Return the coefficient of ``abs(w)``: 0."""
        return 0.0

    def check(self, n_features: int) -> Self:
        """Return the penalty with canonical types, or raise `ProblemError`."""
        return self._replace(alpha=check_alpha(self.alpha), weights=check_weights(self.weights, n_features))
