"""No penalty."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from numpy.typing import ArrayLike

from offbeat.errors import ProblemError
from offbeat.penalties.base import check_weights


class _Fields(NamedTuple):
    alpha: float = 0.0
    weights: ArrayLike | None = None


class Zero(_Fields):
    """No penalty: ``R(w) = 0``.

    Parameters
    ----------
    alpha : float
        Always 0.
    weights : array-like, shape (n_features,), optional
        Without effect.

    Examples
    --------
    >>> Zero().value(3.0, 1.0)
    0.0
    """

    __slots__ = ()

    name = "none"
    smooth = True

    def value(self, w: float, weight: float) -> float:
        """Return the penalty of one coefficient: 0."""
        return 0.0

    def prox(self, v: float, step: float, weight: float) -> float:
        """Return ``v``."""
        return v

    def conjugate(self, v: float, weight: float) -> float:
        """Return 0 at ``v = 0`` and ``inf`` elsewhere."""
        if v == 0.0:
            return 0.0
        return math.inf

    def dual_scale(self, v: float, weight: float) -> float:
        """Return 1 at ``v = 0`` and 0 elsewhere."""
        if v == 0.0:
            return 1.0
        return 0.0

    def subgradient_distance(self, w: float, gradient: float, weight: float) -> float:
        """Return the size of the gradient."""
        return abs(gradient)

    def curvature(self, weight: float) -> float:
        """Return the coefficient of ``w^2 / 2``: 0."""
        return 0.0

    def l1(self, weight: float) -> float:
        """Return the coefficient of ``abs(w)``: 0."""
        return 0.0

    def check(self, n_features: int) -> Self:
        """Return the penalty with canonical types; raise `ProblemError` if ``alpha`` is not 0."""
        if self.alpha != 0.0:
            raise ProblemError(f"Zero is no penalty at all, but alpha is {self.alpha!r}; use L2(alpha) or L1(alpha)")
        return self._replace(alpha=0.0, weights=check_weights(self.weights, n_features))
