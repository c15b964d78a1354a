"""Logistic loss: the probability of one of two classes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from offbeat.losses.base import check_binary, check_smoothness

# (2 atanh(s) - 2 s) / s^3 as a polynomial in s^2: coefficients of even and of odd powers.
EVEN = (0.6666666666666666, 0.2857142856710876, 0.18181789436132859, 0.13314144209654935, 0.08800738486144674)
ODD = (0.40000000000014585, 0.22222222717427864, 0.15385570064958623, 0.12001072809590713, 0.16164045611943534)


class _Fields(NamedTuple):
    smoothness: float = 0.25


class Logistic(_Fields):
    """Logistic loss ``log(1 + e^z) - y z`` with ``y`` 0 or 1.

    All methods are written in ``exp(-abs(z))``: nothing overflows, tails keep their relative accuracy, and
    compiled loops that call several of them share one exponential.

    Parameters
    ----------
    smoothness : float
        Supremum of the second derivative; not to be changed.

    Examples
    --------
    >>> Logistic().inverse_link(0.0)
    0.5
    """

    __slots__ = ()

    name = "logistic"
    quadratic = False
    classifier = True
    smooth = True
    link_name = "logit"
    probabilistic = True

    def value(self, z: float, y: float) -> float:
        """Return the loss.

        ``log1p(e)`` is ``2 atanh(s)`` with ``s = e / (2 + e)`` in [0, 1/3]. The polynomial interpolates it at
        Chebyshev points to 3e-16 of its value; the library's ``log1p`` took twice as long as all the rest, and
        kept loops from being vectorised. Where ``z`` is NaN, so is the polynomial.
        """
        e = math.exp(-abs(z))
        s = e / (2.0 + e)
        x = s * s
        xx = x * x
        even = EVEN[0] + xx * (EVEN[1] + xx * (EVEN[2] + xx * (EVEN[3] + xx * EVEN[4])))
        odd = ODD[0] + xx * (ODD[1] + xx * (ODD[2] + xx * (ODD[3] + xx * ODD[4])))
        return max(z, 0.0) - y * z + (2.0 * s + s * x * (even + x * odd))

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``: probability minus ``y``, without cancellation."""
        e = math.exp(-abs(z))
        scaled = (1.0 - y) - y * e if z > 0.0 else (1.0 - y) * e - y
        return scaled / (1.0 + e)

    def second_derivative(self, z: float, y: float) -> float:
        """Return the second derivative in ``z``: ``p (1 - p)``."""
        e = math.exp(-abs(z))
        q = 1.0 / (1.0 + e)
        return e * q * q

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``sup_z theta z - value(z, y)``: ``p log p + (1 - p) log(1 - p)`` at ``p = theta + y``.

        Rounding may have carried ``p`` a few units of the last place outside [0, 1]: that still counts as the
        end.
        """
        p = theta + y
        q = 1.0 - p
        if p < -1e-15 or q < -1e-15:
            return math.inf
        if p <= 0.0 or q <= 0.0:
            return 0.0
        return p * math.log(p) + q * math.log(q)

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h = p (1 - p)``.

        Proof: with ``p = theta + y``, ``conjugate(theta + d h) - conjugate(theta) - z d h`` is the
        Kullback-Leibler divergence of ``p + d h`` from ``p``, at most the chi-squared divergence ``(d h)^2 /
        (p (1 - p)) = d^2 h``; ``p + d h`` stays in [0, 1] as ``h <= min(p, 1 - p)``.
        """
        return self.second_derivative(z, y)

    def inverse_link(self, z: float) -> float:
        """Return the probability of class 1."""
        e = math.exp(-abs(z))
        if z > 0.0:
            return 1.0 / (1.0 + e)
        return e / (1.0 + e)

    def link(self, mean: float) -> float:
        """Return the log-odds of ``mean``, which is kept 1e-12 away from 0 and 1."""
        p = min(max(mean, 1e-12), 1.0 - 1e-12)
        return math.log(p / (1.0 - p))

    def check(self) -> Self:
        """Return the loss itself, or raise `ProblemError` if ``smoothness`` was changed."""
        check_smoothness(self.name, self.smoothness, 0.25)
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless every target, shape (n,), is 0 or 1."""
        check_binary(y, self.name)
