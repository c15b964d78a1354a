"""Squared loss: least squares."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_smoothness, finite_target


class _Fields(NamedTuple):
    smoothness: float = 1.0


class Squared(_Fields):
    """Squared loss ``(z - y)^2 / 2``.

    Parameters
    ----------
    smoothness : float
        Supremum of the second derivative; not to be changed.

    Examples
    --------
    >>> Squared().value(3.0, 1.0)
    2.0
    """

    __slots__ = ()

    name = "squared"
    quadratic = True
    classifier = False
    smooth = True
    link_name = "identity"

    def value(self, z: float, y: float) -> float:
        """Return the loss."""
        r = z - y
        return 0.5 * r * r

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``."""
        return z - y

    def second_derivative(self, z: float, y: float) -> float:
        """Return the second derivative in ``z``."""
        return 1.0

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``sup_z theta z - value(z, y)``."""
        return theta * (0.5 * theta + y)

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h = 1``.

        Proof: ``conjugate(theta + d) = conjugate(theta) + d (theta + y) + d^2 / 2`` and ``theta + y = z``.
        """
        return 1.0

    def dual_step(self, c: float, q: float, y: float) -> float:
        """Return the slope at the ``z`` with ``z + q slope = c``: where the dual variable of a row is best."""
        return (c - y) / (1.0 + q)

    def inverse_link(self, z: float) -> float:
        """Return the mean, which is the predictor."""
        return z

    def link(self, mean: float) -> float:
        """Return the predictor, which is the mean."""
        return mean

    def check(self) -> Self:
        """Return the loss itself, or raise `ProblemError` if ``smoothness`` was changed."""
        check_smoothness(self.name, self.smoothness, 1.0)
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless the target, shape (n,), holds finite numbers."""
        finite_target(y)
