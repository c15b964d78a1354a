"""Hinge loss: the linear support vector machine (Cortes & Vapnik 1995, Mach. Learn. 20:273)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_binary, check_smoothness


class _Fields(NamedTuple):
    smoothness: float = math.inf


class Hinge(_Fields):
    """Hinge loss ``max(0, 1 - s z)`` with ``s = 2 y - 1`` and ``y`` 0 or 1.

    It has a kink at the margin, so that methods which follow gradients do not take it: `offbeat.solvers.InteriorPoint`,
    `offbeat.solvers.SDCA` and `offbeat.solvers.ADMM` do.

    Parameters
    ----------
    smoothness : float
        Supremum of the second derivative, infinite at the kink; not to be changed.

    Examples
    --------
    >>> Hinge().value(0.0, 1.0)
    1.0
    """

    __slots__ = ()

    name = "hinge"
    quadratic = False
    classifier = True
    smooth = False

    def value(self, z: float, y: float) -> float:
        """Return the loss."""
        margin = 1.0 - (2.0 * y - 1.0) * z
        if margin <= 0.0:
            return 0.0
        return margin

    def derivative(self, z: float, y: float) -> float:
        """Return a subgradient in ``z``: ``-s`` inside the margin, 0 at its end and beyond."""
        s = 2.0 * y - 1.0
        margin = 1.0 - s * z
        if margin <= 0.0:
            return 0.0
        if margin > 0.0:
            return -s
        return margin  # NaN

    def second_derivative(self, z: float, y: float) -> float:
        """Return 0, what it is everywhere but at the kink."""
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``s theta`` for ``s theta`` in [-1, 0] and ``inf`` elsewhere.

        At -1, a few units of the last place are forgiven as rounding.
        """
        t = (2.0 * y - 1.0) * theta
        if t > 0.0 or t < -1.0 - 1e-15:
            return math.inf
        return t

    def dual_direction(self, z: float, y: float) -> float:
        """Return 0: off the kink, every ``theta`` is at an end of the domain of the conjugate."""
        return 0.0

    def dual_step(self, c: float, q: float, y: float) -> float:
        """Return the slope at the ``z`` with ``z + q slope = c``: where the dual variable of a row is best."""
        s = 2.0 * y - 1.0
        margin = 1.0 - s * c
        if margin <= 0.0:
            return 0.0
        if margin >= q:
            return -s
        return -s * margin / q

    def dual_piece(self, theta: float, y: float) -> tuple[float, float, float]:
        """Return the ends and the slope of the only straight piece of the conjugate."""
        s = 2.0 * y - 1.0
        return min(-s, 0.0), max(-s, 0.0), s

    def inverse_link(self, z: float) -> float:
        """Return ``(z + 1) / 2``, clipped to [0, 1]: which side of the margin, as a share.

        The hinge estimates the more probable class, not its probability (Lin 2002, Data Min. Knowl. Discov. 6:259).
        """
        return min(1.0, max(0.0, 0.5 * (z + 1.0)))

    def link(self, mean: float) -> float:
        """Return ``2 mean - 1``: a start within the margin, not the optimum (which is at one of its ends)."""
        return 2.0 * mean - 1.0

    def check(self) -> Self:
        """Return the loss itself, or raise `ProblemError` if ``smoothness`` was changed."""
        check_smoothness(self.name, self.smoothness, math.inf)
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless every target, shape (n,), is 0 or 1."""
        check_binary(y, self.name)
