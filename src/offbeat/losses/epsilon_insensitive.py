"""Epsilon-insensitive loss: linear support vector regression (Vapnik 1995, Statistical Learning Theory)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_epsilon, finite_target


class _Fields(NamedTuple):
    epsilon: float = 0.1


class EpsilonInsensitive(_Fields):
    """Epsilon-insensitive loss ``max(0, abs(z - y) - epsilon)``; the absolute error where ``epsilon`` is 0.

    It has kinks at the ends of the tube, so that methods which follow gradients do not take it:
    `offbeat.solvers.InteriorPoint` and `offbeat.solvers.SDCA` do.

    Parameters
    ----------
    epsilon : float
        Residual up to which there is no loss, in units of the target; from 0, finite.

    Examples
    --------
    >>> EpsilonInsensitive(0.5).value(3.0, 1.0)
    1.5
    """

    __slots__ = ()

    name = "epsilon-insensitive"
    quadratic = False
    classifier = False
    smooth = False
    link_name = "identity"

    @property
    def smoothness(self) -> float:
        """Supremum of the second derivative: infinite at the kinks."""
        return math.inf

    def value(self, z: float, y: float) -> float:
        """Return the loss."""
        beyond = abs(z - y) - self.epsilon
        if beyond <= 0.0:
            return 0.0
        return beyond

    def derivative(self, z: float, y: float) -> float:
        """Return a subgradient in ``z``: the sign of the residual outside the tube, 0 at its ends and inside."""
        r = z - y
        if r > self.epsilon:
            return 1.0
        if r < -self.epsilon:
            return -1.0
        return 0.0 * r  # NaN where the residual is

    def second_derivative(self, z: float, y: float) -> float:
        """Return 0, what it is everywhere but at the kinks."""
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``theta y + epsilon abs(theta)`` for ``abs(theta) <= 1`` and ``inf`` beyond.

        At 1, a few units of the last place are forgiven as rounding.
        """
        if abs(theta) > 1.0 + 1e-15:
            return math.inf
        return theta * y + self.epsilon * abs(theta)

    def dual_direction(self, z: float, y: float) -> float:
        """Return 0: off the kinks, every ``theta`` is at a kink or an end of the domain of the conjugate."""
        return 0.0

    def dual_step(self, c: float, q: float, y: float) -> float:
        """Return the slope at the ``z`` with ``z + q slope = c``: where the dual variable of a row is best.

        It is the minimiser of ``conjugate(theta, y) - c theta + q theta^2 / 2``, for ``q > 0``.
        """
        r = c - y
        if r > self.epsilon:
            return min(1.0, (r - self.epsilon) / q)
        if r < -self.epsilon:
            return max(-1.0, (r + self.epsilon) / q)
        return 0.0 * r

    def dual_piece(self, theta: float, y: float) -> tuple[float, float, float]:
        """Return the ends and the slope of the straight piece of the conjugate on the side of ``theta``."""
        if self.epsilon == 0.0:
            return -1.0, 1.0, y
        if theta > 0.0:
            return 0.0, 1.0, y + self.epsilon
        return -1.0, 0.0, y - self.epsilon

    def inverse_link(self, z: float) -> float:
        """Return the location, which is the predictor."""
        return z

    def link(self, mean: float) -> float:
        """Return the mean: a start, not the optimum (which is near the median)."""
        return mean

    def check(self) -> Self:
        """Return the loss with a float ``epsilon``; raise `ProblemError` unless it is finite and at least 0."""
        return self._replace(epsilon=check_epsilon(self.name, self.epsilon))

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless the target, shape (n,), holds finite numbers."""
        finite_target(y)
