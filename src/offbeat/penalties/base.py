"""What every penalty has in common: the interface, and the checks of its hyper-parameters."""

from __future__ import annotations

import math
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offbeat.errors import ProblemError


class Penalty(Protocol):
    """Interface of a penalty, separable unless it says otherwise: ``R(w) = sum_j r(w_j; weight_j)``.

    A penalty that is not separable has ``separable = False``, the same methods on whole arrays in plain NumPy, and
    ``blocks``: see docs/custom-losses.md. What else the library asks of a penalty is in `offbeat.penalties.questions`.

    Implementations are named tuples of hyper-parameters and ``weights``. Numba compiles their scalar methods
    as they stand, so a method uses plain arithmetic, ``if``, the module ``math`` and other methods of
    ``self``, and must not divide by zero (Python raises there, compiled code does not). NaN must come out as
    NaN.
    """

    @property
    def name(self) -> str:
        """Name on the command line and in model files."""

    @property
    def smooth(self) -> bool:
        """Whether the penalty is differentiable everywhere."""

    @property
    def weights(self) -> ArrayLike | None:
        """Non-negative factors of ``alpha``, one a coefficient; None: ones."""

    def value(self, w: float, weight: float) -> float:
        """Return the penalty of one coefficient."""

    def prox(self, v: float, step: float, weight: float) -> float:
        """Return ``argmin_u (u - v)^2 / 2 + step * r(u; weight)``."""

    def conjugate(self, v: float, weight: float) -> float:
        """Return ``sup_w v w - r(w; weight)``, ``inf`` outside the domain."""

    def dual_scale(self, v: float, weight: float) -> float:
        """Return the largest ``s`` in [0, 1] with ``conjugate(s v, weight)`` finite."""

    def subgradient_distance(self, w: float, gradient: float, weight: float) -> float:
        """Return the distance of ``-gradient`` from the subdifferential at ``w``."""

    def curvature(self, weight: float) -> float:
        """Return the coefficient of ``w^2 / 2``."""

    def check(self, n_features: int) -> Self:
        """Check hyper-parameters and weights; return the penalty with floats and a float64 array."""


def check_number(name: str, value: float, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a hyper-parameter as a float, or raise.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : float
        Given value.
    low, high : float
        Smallest and largest value allowed.

    Raises
    ------
    ProblemError
        If it is not a number, NaN, or out of range.

    Examples
    --------
    >>> check_number("alpha", 1, low=0.0)
    1.0
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        start = f" from {low:g}" if math.isfinite(low) else ""
        end = f" to {high:g}" if math.isfinite(high) else ""
        raise ProblemError(f"the {name} is {value!r}; give a number{start}{end}")
    return number


def check_alpha(alpha: float) -> float:
    """Return the strength of a penalty as a float; raise `ProblemError` if it is negative, NaN or infinite.

    Examples
    --------
    >>> check_alpha(2)
    2.0
    """
    number = check_number("alpha of the penalty", alpha, low=0.0)
    if math.isinf(number):
        raise ProblemError("the alpha of the penalty is infinite; give a finite number from 0")
    return number


def check_weights(weights: ArrayLike | None, n_features: int) -> NDArray[np.float64] | None:
    """Return penalty weights as a float64 array, shape (n_features,), or None.

    Parameters
    ----------
    weights : array-like, shape (n_features,), or None
        Non-negative finite factors.
    n_features : int
        Number of coefficients.

    Raises
    ------
    ProblemError
        If the length is wrong or a weight is negative, NaN, infinite or no number: names the first position.

    Examples
    --------
    >>> check_weights([1, 0], 2)
    array([1., 0.])
    """
    if weights is None:
        return None
    try:
        array = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"the weights of the penalty are no numbers ({error}); give floats") from None
    if array.shape != (n_features,):
        raise ProblemError(
            f"the weights of the penalty have shape {array.shape}; give one for each of {n_features} features"
        )
    bad = ~(np.isfinite(array) & (array >= 0.0))
    if bad.any():
        first = int(np.argmax(bad))
        raise ProblemError(
            f"{np.count_nonzero(bad)} of {n_features} weights of the penalty are negative, NaN or infinite "
            f"(first at position {first}: {array[first]}); give finite numbers from 0"
        )
    return array
