"""Gamma loss with log link: positive, skewed amounts."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_smoothness, finite_target, reject_rows


class _Fields(NamedTuple):
    smoothness: float = math.inf


class Gamma(_Fields):
    """Gamma loss ``z + y e^-z`` with ``y > 0``: the deviance up to a constant and a factor of two.

    From ``z = -709`` down, where ``e^-z`` comes near the largest float, it counts as infinite.

    Parameters
    ----------
    smoothness : float
        Supremum of the second derivative; not to be changed.

    Examples
    --------
    >>> Gamma().value(0.0, 3.0)
    3.0
    """

    __slots__ = ()

    name = "gamma"
    quadratic = False
    classifier = False
    smooth = True
    link_name = "log"
    variance_power = 2

    def value(self, z: float, y: float) -> float:
        """Return the loss; ``inf`` where ``e^-z`` overflows."""
        return z + self.second_derivative(z, y)

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``: ``1 - y e^-z``."""
        return 1.0 - self.second_derivative(z, y)

    def second_derivative(self, z: float, y: float) -> float:
        """Return the second derivative in ``z``: ``y e^-z``."""
        if z <= -709.0:
            return math.inf
        return y * math.exp(-z)

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``sup_z theta z - value(z, y)``.

        It is ``q log(q / y) - q`` at ``q = 1 - theta``, ``inf`` for ``q < 0``. Rounding may have carried it
        a few units of the last place of 1 below 0: that still counts as 0.
        """
        q = 1.0 - theta
        if q < -1e-15:
            return math.inf
        if q <= 0.0:
            return 0.0
        return q * (math.log(q) - math.log(y) - 1.0)

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h = y e^-z``.

        Proof: with ``q = 1 - theta = h``, ``conjugate(theta + d h) - conjugate(theta) - z d h`` equals
        ``h ((1 - d) log(1 - d) + d) <= h ((1 - d) (-d) + d) = d^2 h``, and ``q - d h >= 0`` as ``d <= 1``.
        """
        return self.second_derivative(z, y)

    def inverse_link(self, z: float) -> float:
        """Return the mean ``e^z``; ``inf`` from 709 on."""
        if z >= 709.0:
            return math.inf
        return math.exp(z)

    def link(self, mean: float) -> float:
        """Return ``log(mean)``; 0 for a mean that is not positive."""
        if mean > 0.0:
            return math.log(mean)
        return 0.0

    def check(self) -> Self:
        """Return the loss itself, or raise `ProblemError` if ``smoothness`` was changed."""
        check_smoothness(self.name, self.smoothness, math.inf)
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless every target, shape (n,), is a finite number above 0."""
        y = finite_target(y)
        remedy = "the gamma loss takes positive amounts: drop or shift these rows"
        reject_rows(y, y <= 0, "is zero or negative", remedy)
