"""Squared hinge loss: the smooth support vector machine."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_binary, check_smoothness


class _Fields(NamedTuple):
    smoothness: float = 1.0


class SquaredHinge(_Fields):
    """Squared hinge loss ``max(0, 1 - s z)^2 / 2`` with ``s = 2 y - 1`` and ``y`` 0 or 1.

    Parameters
    ----------
    smoothness : float
        Supremum of the second derivative; not to be changed.

    Examples
    --------
    >>> SquaredHinge().value(0.0, 1.0)
    0.5
    """

    __slots__ = ()

    name = "squared-hinge"
    quadratic = False
    classifier = True
    smooth = True

    def value(self, z: float, y: float) -> float:
        """Return the loss."""
        margin = 1.0 - (2.0 * y - 1.0) * z
        if margin <= 0.0:
            return 0.0
        return 0.5 * margin * margin

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``."""
        s = 2.0 * y - 1.0
        margin = 1.0 - s * z
        if margin <= 0.0:
            return 0.0
        return -s * margin

    def second_derivative(self, z: float, y: float) -> float:
        """Return 1 inside the margin and 0 elsewhere: a generalised second derivative."""
        if (2.0 * y - 1.0) * z < 1.0:
            return 1.0
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``theta^2 / 2 + s theta`` for ``s theta <= 0`` and ``inf`` elsewhere."""
        s = 2.0 * y - 1.0
        if s * theta <= 0.0:
            return theta * (0.5 * theta + s)
        return math.inf

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h = min(1, abs(theta))``.

        Proof: ``conjugate(theta + d h) = conjugate(theta) + (theta + s) d h + (d h)^2 / 2``; where ``h > 0``,
        ``theta + s = z``, and ``h^2 <= h``. ``h`` keeps the sign of ``theta + d h``.
        """
        return min(1.0, abs(self.derivative(z, y)))

    def dual_step(self, c: float, q: float, y: float) -> float:
        """Return the slope at the ``z`` with ``z + q slope = c``: where the dual variable of a row is best."""
        return self.derivative(c, y) / (1.0 + q)

    def inverse_link(self, z: float) -> float:
        """Return the probability of class 1 at which ``z`` is optimal: ``(z + 1) / 2``, clipped to [0, 1].

        Zhang (2004), Ann. Stat. 32:56, derives this reading of the squared hinge.
        """
        return min(1.0, max(0.0, 0.5 * (z + 1.0)))

    def link(self, mean: float) -> float:
        """Return ``2 mean - 1``: the best constant predictor."""
        return 2.0 * mean - 1.0

    def check(self) -> Self:
        """Return the loss itself, or raise `ProblemError` if ``smoothness`` was changed."""
        check_smoothness(self.name, self.smoothness, 1.0)
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless every target, shape (n,), is 0 or 1."""
        check_binary(y, self.name)
