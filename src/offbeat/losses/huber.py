"""Huber loss: least squares that large residuals cannot dominate (Huber 1964, Ann. Math. Stat. 35:73)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.errors import ProblemError
from offbeat.losses.base import finite_target


class _Fields(NamedTuple):
    delta: float = 1.35


class Huber(_Fields):
    """Huber loss: ``r^2 / 2`` for ``abs(r) <= delta``, ``delta abs(r) - delta^2 / 2`` beyond; ``r = z - y``.

    Parameters
    ----------
    delta : float
        Residual beyond which the loss grows linearly, in units of the target; positive and finite. For normal
        noise of standard deviation 1 the default keeps 95 % of the efficiency of least squares.

    Examples
    --------
    >>> Huber(1.0).value(3.0, 0.0)
    2.5
    """

    __slots__ = ()

    name = "huber"
    quadratic = False
    classifier = False
    smooth = True
    link_name = "identity"

    @property
    def smoothness(self) -> float:
        """Supremum of the second derivative: 1."""
        return 1.0

    def value(self, z: float, y: float) -> float:
        """Return the loss."""
        size = abs(z - y)
        if size <= self.delta:
            return 0.5 * size * size
        return self.delta * (size - 0.5 * self.delta)

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``: the residual, clipped."""
        r = z - y
        if r > self.delta:
            return self.delta
        if r < -self.delta:
            return -self.delta
        return r

    def second_derivative(self, z: float, y: float) -> float:
        """Return 1 up to ``abs(z - y) = delta`` and 0 beyond: a generalised second derivative."""
        if abs(z - y) <= self.delta:
            return 1.0
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``theta^2 / 2 + theta y`` for ``abs(theta) <= delta`` and ``inf`` beyond.

        At ``delta``, a few units of the last place are forgiven as rounding.
        """
        if abs(theta) <= self.delta * (1.0 + 1e-15):
            return theta * (0.5 * theta + y)
        return math.inf

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h = min(1, delta - abs(theta))``.

        Proof: ``conjugate(theta + d h) = conjugate(theta) + (theta + y) d h + (d h)^2 / 2``; where ``h > 0``,
        ``theta + y = z``, and ``h^2 <= h``. ``h`` keeps ``theta + d h`` in the domain.
        """
        return min(1.0, self.delta - abs(self.derivative(z, y)))

    def dual_step(self, c: float, q: float, y: float) -> float:
        """Return the slope at the ``z`` with ``z + q slope = c``: where the dual variable of a row is best."""
        slope = (c - y) / (1.0 + q)
        if slope > self.delta:
            return self.delta
        if slope < -self.delta:
            return -self.delta
        return slope

    def inverse_link(self, z: float) -> float:
        """Return the location, which is the predictor."""
        return z

    def link(self, mean: float) -> float:
        """Return the mean: a start, not the optimum (which lies between mean and median)."""
        return mean

    def check(self) -> Self:
        """Return the loss with a float ``delta``; raise `ProblemError` unless it is positive and finite."""
        try:
            delta = float(self.delta)
        except (TypeError, ValueError):
            delta = math.nan
        if not 0.0 < delta < math.inf:
            raise ProblemError(f"delta of the huber loss is {self.delta!r}; give a positive finite number")
        return self._replace(delta=delta)

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless the target, shape (n,), holds finite numbers."""
        finite_target(y)
