"""What the library asks of a loss, and the answers of a loss that does not give its own.

A loss answers with a class attribute, a property or a method of the same name. None of these is compiled: kernels call
the scalar methods of `offbeat.losses.Loss` only. docs/architecture.md has the table of all questions and of who asks.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = 0.01  # distance of the predictors at which second derivatives are compared
GRID_POINTS = 2000  # on each side of zero
LARGEST_EXPONENT = 700.0  # of a mean with a log link
LEAST_JUMP = 0.1  # of a second derivative, relative to its largest value


def smooth(loss: Any) -> bool:
    """Whether the loss has a derivative everywhere: yes, unless it says no.

    Examples
    --------
    >>> from offbeat import losses
    >>> smooth(losses.Logistic()), smooth(losses.Hinge())
    (True, False)
    """
    return bool(getattr(loss, "smooth", True))


def n_outputs(loss: Any) -> int:
    """Return the number of predictors a row: 1, unless the loss says another.

    Examples
    --------
    >>> from offbeat import losses
    >>> n_outputs(losses.Logistic()), n_outputs(losses.Multinomial(3))
    (1, 3)
    """
    return int(getattr(loss, "n_outputs", 1))


def bounded_curvature(loss: Any) -> bool:
    """Whether the second derivative has a finite supremum, ``smoothness``.

    Examples
    --------
    >>> from offbeat import losses
    >>> bounded_curvature(losses.Logistic()), bounded_curvature(losses.Poisson())
    (True, False)
    """
    return smooth(loss) and math.isfinite(loss.smoothness)


def dual_step_known(loss: Any) -> bool:
    """Whether the loss has a ``dual_step``, the proximal step of a row in its dual variable.

    Examples
    --------
    >>> from offbeat import losses
    >>> dual_step_known(losses.Hinge()), dual_step_known(losses.Poisson())
    (True, False)
    """
    return hasattr(loss, "dual_step")


def piecewise_linear(loss: Any) -> bool:
    """Whether the loss is made of straight lines, and tells by ``dual_piece`` where those of its conjugate are.

    Examples
    --------
    >>> from offbeat import losses
    >>> piecewise_linear(losses.Hinge()), piecewise_linear(losses.Huber())
    (True, False)
    """
    return hasattr(loss, "dual_piece")


def link_name(loss: Any) -> str | None:
    """Return the name of the link function, "identity", "log" or "logit"; None unless the loss says.

    Examples
    --------
    >>> from offbeat import losses
    >>> link_name(losses.Poisson()), link_name(losses.Hinge())
    ('log', None)
    """
    name: str | None = getattr(loss, "link_name", None)
    return name


def variance_power(loss: Any) -> int | None:
    """Return the exponent of the variance function of a deviance; None for a loss that is not half a deviance.

    Examples
    --------
    >>> from offbeat import losses
    >>> variance_power(losses.Gamma()), variance_power(losses.Huber())
    (2, None)
    """
    power: int | None = getattr(loss, "variance_power", None)
    return power


def probabilistic(loss: Any) -> bool:
    """Whether the means of a classifier are probabilities of classes: no, unless the loss says yes.

    Examples
    --------
    >>> from offbeat import losses
    >>> probabilistic(losses.Logistic()), probabilistic(losses.Hinge())
    (True, False)
    """
    return bool(getattr(loss, "probabilistic", False))


def means(loss: Any, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means that predictors stand for: by the link function, or by ``inverse_link`` one by one.

    Parameters
    ----------
    loss : NamedTuple
    z : ndarray, shape (n_rows,) or (n_rows, n_outputs)
        Predictors.

    Returns
    -------
    means : ndarray, of the shape of ``z``
        Of a logistic loss the probability of the second class, of a multinomial loss that of each class.

    Examples
    --------
    >>> from offbeat import losses
    >>> means(losses.Logistic(), np.zeros(2))
    array([0.5, 0.5])
    """
    name = link_name(loss)
    if name == "identity":
        return z
    if name == "log":
        return np.asarray(np.exp(np.minimum(z, LARGEST_EXPONENT)))
    if name == "logit":
        from scipy.special import expit, softmax

        return np.asarray(expit(z) if z.ndim == 1 else softmax(z, axis=1))
    return np.array([loss.inverse_link(value) for value in np.ravel(z).tolist()], np.float64).reshape(np.shape(z))


@lru_cache(maxsize=64, typed=True)  # named tuples of different classes with equal fields are equal
def curvature_jumps(loss: Any) -> bool:
    """Whether the second derivative jumps somewhere by a good part of its largest value.

    It is measured on a grid of predictors, unless the loss says.

    Examples
    --------
    >>> from offbeat import losses
    >>> curvature_jumps(losses.Huber()), curvature_jumps(losses.Logistic())
    (True, False)
    """
    if hasattr(loss, "curvature_jumps"):
        return bool(loss.curvature_jumps)
    if n_outputs(loss) > 1 or loss.quadratic or not math.isfinite(loss.smoothness):
        return False
    bends = [loss.second_derivative(i * GRID, 1.0) for i in range(-GRID_POINTS, GRID_POINTS)]
    return bool(max(abs(a - b) for a, b in pairwise(bends)) > LEAST_JUMP * loss.smoothness)


@lru_cache(maxsize=64, typed=True)
def constant_parts(loss: Any) -> bool:
    """Whether the loss is constant for some predictors and curved for others, as beyond a margin: rows come and go.

    It is measured on a grid of predictors, unless the loss says.

    Examples
    --------
    >>> from offbeat import losses
    >>> constant_parts(losses.SquaredHinge()), constant_parts(losses.Huber())
    (True, False)
    """
    if hasattr(loss, "constant_parts"):
        return bool(loss.constant_parts)
    if not curvature_jumps(loss):
        return False
    grid = (i * GRID for i in range(-GRID_POINTS, GRID_POINTS))
    return any(loss.derivative(z, 1.0) == 0.0 == loss.second_derivative(z, 1.0) for z in grid)
