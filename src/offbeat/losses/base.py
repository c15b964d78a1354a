"""What every loss has in common: the interface, and the words in which a target is turned down."""

from __future__ import annotations

import math
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import ProblemError, TargetError


class Loss(Protocol):
    """Interface of a scalar loss ``l(z, y)``: ``z`` is the linear predictor, ``y`` the target.

    What else the library asks of a loss, with the answers of a loss that does not give its own, is in
    `offbeat.losses.questions`.

    Implementations are named tuples of hyper-parameters. Numba compiles their methods as they stand, so a
    method uses plain arithmetic, ``if``, the module ``math`` and other methods of ``self``, and must not
    divide by zero or overflow inside ``math.exp`` (Python raises there, compiled code does not). NaN must
    come out as NaN: with an ``if`` in the right order, not with ``min`` and ``max``.
    """

    @property
    def name(self) -> str:
        """Name on the command line and in model files."""

    @property
    def quadratic(self) -> bool:
        """Whether the loss is quadratic in ``z``."""

    @property
    def classifier(self) -> bool:
        """Whether targets are classes."""

    @property
    def smooth(self) -> bool:
        """Whether the loss is differentiable in ``z``; without it, ``derivative`` is a subgradient."""

    @property
    def smoothness(self) -> float:
        """Supremum of the second derivative in ``z``; ``inf`` if there is none."""

    def value(self, z: float, y: float) -> float:
        """Return the loss."""

    def derivative(self, z: float, y: float) -> float:
        """Return the derivative in ``z``."""

    def second_derivative(self, z: float, y: float) -> float:
        """Return the (generalised) second derivative in ``z``."""

    def conjugate(self, theta: float, y: float) -> float:
        """Return ``sup_z theta z - l(z, y)``, ``inf`` outside the domain."""

    def dual_direction(self, z: float, y: float) -> float:
        """Return ``h >= 0`` with ``l*(theta + d h) <= l*(theta) + z d h + d^2 h`` for ``abs(d) <= 1``."""

    def dual_step(self, c: float, q: float, y: float) -> float:
        """Return the slope at the ``z`` with ``z + q slope = c``, ``q > 0``.

        Optional for smooth losses, for which `offbeat.solvers.SDCA` finds it by Newton's method.
        """

    def dual_piece(self, theta: float, y: float) -> tuple[float, float, float]:
        """Return the ends and the slope of the straight piece of the conjugate that ``theta`` is inside of.

        Optional, and only for losses that are made of straight lines: `offbeat.solvers.SDCA` is exact with it.
        """

    def inverse_link(self, z: float) -> float:
        """Return the mean that the predictor ``z`` stands for."""

    def link(self, mean: float) -> float:
        """Return the predictor whose mean is ``mean``, or a safe start."""

    def check(self) -> Self:
        """Check hyper-parameters."""

    def check_target(self, y: NDArray[Any]) -> None:
        """Check that the target fits the loss."""


def check_smoothness(name: str, given: float, true: float) -> None:
    """Raise `ProblemError` unless ``smoothness``, which is no hyper-parameter, was left alone.

    Examples
    --------
    >>> check_smoothness("logistic", 0.25, 0.25)
    """
    if given != true:
        raise ProblemError(f"the {name} loss has no hyper-parameter: its smoothness is {true}, not {given!r}")


def check_epsilon(name: str, given: Any) -> float:
    """Return the width of a tube as a float, or raise `ProblemError` unless it is finite and at least 0.

    Examples
    --------
    >>> check_epsilon("epsilon-insensitive", 1)
    1.0
    """
    try:
        epsilon = float(given)
    except (TypeError, ValueError):
        epsilon = math.nan
    if not 0.0 <= epsilon < math.inf:
        raise ProblemError(f"epsilon of the {name} loss is {given!r}; give a finite number of at least 0")
    return epsilon


def finite_target(y: NDArray[Any]) -> NDArray[Any]:
    """Return ``y`` as a one-dimensional array of finite numbers, or raise.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Numbers or booleans.

    Returns
    -------
    ndarray, shape (n,)
        The same values; booleans as floats. Not copied where possible.

    Raises
    ------
    TargetError
        If ``y`` has another shape, holds something else than numbers, or a number is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> finite_target(np.array([True, False]))
    array([1., 0.])
    """
    y = np.asarray(y)
    if y.ndim != 1:
        raise TargetError(f"the target has shape {y.shape}; give one number a row, shape (n,)")
    if y.dtype.kind == "b":
        return y.astype(np.float64)
    if y.dtype.kind not in "iuf":
        raise TargetError(f"the target holds {y.dtype} values; encode it as numbers first")
    if y.dtype.kind == "f":
        reject_rows(y, ~np.isfinite(y), "is NaN or infinite", "drop these rows or fill them in")
    return y


def reject_rows(y: NDArray[Any], bad: NDArray[np.bool_], what: str, remedy: str) -> None:
    """Raise `TargetError` if any row is bad: what is wrong, in how many rows, the first one, the remedy.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Target.
    bad : ndarray of bool, shape (n,)
        Rows that cannot be used.
    what : str
        What is wrong with their target: completes "the target ...".
    remedy : str
        What to do about it.

    Raises
    ------
    TargetError
        If any row is bad.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([1.0, 2.0])
    >>> reject_rows(y, y < 0, "is negative", "use another loss")
    """
    count = int(np.count_nonzero(bad))
    if count == 0:
        return
    first = int(np.argmax(bad))
    where = f"first row {first}, value {y[first]!s}"
    raise TargetError(f"the target {what} in {count} of {y.shape[0]} rows ({where}); {remedy}")


def check_binary(y: NDArray[Any], name: str) -> None:
    """Raise `TargetError` unless every target is 0 or 1.

    Examples
    --------
    >>> import numpy as np
    >>> check_binary(np.array([0, 1, 1]), "logistic")
    """
    y = finite_target(y)
    remedy = f"the {name} loss takes two classes, coded as 0 and 1"
    reject_rows(y, (y != 0) & (y != 1), "is neither 0 nor 1", remedy)
