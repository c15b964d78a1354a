"""Squared epsilon-insensitive loss: smooth support vector regression."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_epsilon, finite_target


class _Fields(NamedTuple):
    epsilon: float = 0.1


class SquaredEpsilonInsensitive(_Fields):
    """Squared epsilon-insensitive loss ``max(0, abs(z - y) - epsilon)^2 / 2``; least squares where ``epsilon`` is 0.

    Parameters
    ----------
    epsilon : float
        Residual up to which there is no loss, in units of the target; from 0, finite.

    Examples
    --------
    >>> SquaredEpsilonInsensitive(1.0).value(4.0, 1.0)
    2.0
    """

    __slots__ = ()

    name = "squared-epsilon-insensitive"
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
        beyond = abs(z - y) - self.epsilon
        if beyond <= 0.0:
            return 0.0
        return 0.5 * beyond * beyond

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``: how far the residual is outside the tube, with its sign."""
        r = z - y
        if r > self.epsilon:
            return r - self.epsilon
        if r < -self.epsilon:
            return r + self.epsilon
        return 0.0 * r  # NaN where the residual is

    def second_derivative(self, z: float, y: float) -> float:
        """Return 1 outside the tube and 0 inside: a generalised second derivative."""
        if abs(z - y) >= self.epsilon:  # for epsilon 0 it is least squares, everywhere
            return 1.0
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``theta^2 / 2 + theta y + epsilon abs(theta)``."""
        return theta * (0.5 * theta + y) + self.epsilon * abs(theta)

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h = min(1, abs(theta))``.

        Proof: ``theta + d h`` has the sign ``s`` of ``theta``, so that ``conjugate(theta + d h) = conjugate(theta) +
        (theta + y + epsilon s) d h + (d h)^2 / 2``; where ``h > 0``, ``theta + y + epsilon s = z``, and ``h^2 <= h``.
        """
        return min(1.0, abs(self.derivative(z, y)))

    def dual_step(self, c: float, q: float, y: float) -> float:
        """Return the slope at the ``z`` with ``z + q slope = c``: where the dual variable of a row is best."""
        return self.derivative(c, y) / (1.0 + q)

    def inverse_link(self, z: float) -> float:
        """Return the location, which is the predictor."""
        return z

    def link(self, mean: float) -> float:
        """Return the mean: a start, and the optimum where ``epsilon`` is 0."""
        return mean

    def check(self) -> Self:
        """Return the loss with a float ``epsilon``; raise `ProblemError` unless it is finite and at least 0."""
        return self._replace(epsilon=check_epsilon(self.name, self.epsilon))

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless the target, shape (n,), holds finite numbers."""
        finite_target(y)
