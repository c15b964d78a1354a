"""Poisson loss with log link: counts."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_smoothness, finite_target, reject_rows


class _Fields(NamedTuple):
    smoothness: float = math.inf


class Poisson(_Fields):
    """Poisson loss ``e^z - y z`` with ``y >= 0``: the deviance up to a constant and a factor of two.

    From ``z = 709`` on, where ``e^z`` comes near the largest float, it counts as infinite.

    Parameters
    ----------
    smoothness : float
        Supremum of the second derivative; not to be changed.

    Examples
    --------
    >>> Poisson().value(0.0, 3.0)
    1.0
    """

    __slots__ = ()

    name = "poisson"
    quadratic = False
    classifier = False
    smooth = True
    link_name = "log"
    variance_power = 1

    def value(self, z: float, y: float) -> float:
        """Return the loss; ``inf`` where the mean overflows."""
        return self.inverse_link(z) - y * z

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``: mean minus ``y``."""
        return self.inverse_link(z) - y

    def second_derivative(self, z: float, y: float) -> float:
        """Return the second derivative in ``z``: the mean."""
        return self.inverse_link(z)

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``sup_z theta z - value(z, y)``.

        It is ``q log q - q`` at ``q = theta + y``, ``inf`` for ``q < 0``. Rounding may have carried ``q``
        a few units of the last place of ``y`` below 0: that still counts as 0.
        """
        q = theta + y
        if q < -1e-15 * y:
            return math.inf
        if q <= 0.0:
            return 0.0
        return q * (math.log(q) - 1.0)

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h = e^z``.

        Proof: with ``q = theta + y = h``, ``conjugate(theta + d h) - conjugate(theta) - z d h`` equals
        ``h ((1 + d) log(1 + d) - d) <= h ((1 + d) d - d) = d^2 h``, and ``q + d h >= 0`` as ``d >= -1``.
        """
        return self.inverse_link(z)

    def inverse_link(self, z: float) -> float:
        """Return the mean ``e^z``; ``inf`` from 709 on."""
        if z >= 709.0:
            return math.inf
        return math.exp(z)

    def link(self, mean: float) -> float:
        """Return ``log(mean)``, the mean taken as at least 1e-12."""
        return math.log(max(mean, 1e-12))

    def check(self) -> Self:
        """Return the loss itself, or raise `ProblemError` if ``smoothness`` was changed."""
        check_smoothness(self.name, self.smoothness, math.inf)
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless every target, shape (n,), is a finite number from 0."""
        y = finite_target(y)
        reject_rows(y, y < 0, "is negative", "the poisson loss takes counts or rates from 0")
