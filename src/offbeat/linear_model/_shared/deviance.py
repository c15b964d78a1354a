"""Deviances of Poisson and gamma regressions, from the logarithms of the means: these neither underflow nor divide."""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from offbeat.losses import Gamma, Poisson
from offbeat.problem import Floats, Loss

LOSSES: dict[int, Loss] = {loss.variance_power: loss for loss in (Poisson(), Gamma())}
"""Losses by the exponent of the variance function."""


def half_deviances(power: int, y: Floats, z: Floats) -> Floats:
    """Return half the unit deviance of each row: the loss less what the best prediction for the row alone has.

    Parameters
    ----------
    power : {1, 2}
        Poisson: ``y (log y - z) - y + e^z``; gamma: ``y e^-z - 1 - (log y - z)``.
    y : ndarray, shape (n_rows,)
        Targets, from 0 for Poisson, above 0 for gamma.
    z : ndarray, shape (n_rows,)
        Logarithms of the means; ``-inf`` counts where y is 0.

    Returns
    -------
    losses : ndarray, shape (n_rows,)
        From 0; ``inf`` where a mean overflows.

    Examples
    --------
    >>> half_deviances(1, np.array([0.0, 1.0]), np.array([-800.0, 0.0]))
    array([0., 0.])
    """
    y, z = np.asarray(y, np.float64), np.asarray(z, np.float64)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        t = np.log(y) - z
        if power == 2:
            return np.asarray(np.expm1(t) - t)
        near = np.where(np.abs(t) < 1.0, y * (np.expm1(-t) + t), (y * t - y) + np.exp(z))
        return np.where(y > 0.0, near, np.exp(z))


def mean_deviance(power: int, y: Floats, z: Floats, weight: Floats | None = None) -> float:
    """Return the weighted mean of the unit deviances.

    Examples
    --------
    >>> mean_deviance(2, np.array([1.0, 2.0]), np.log([1.0, 2.0]))
    0.0
    """
    return 2.0 * float(np.average(half_deviances(power, y, z), weights=weight))


def explained_deviance(power: int, y: Floats, z: Floats, weight: Floats | None = None) -> float:
    """Return 1 minus the deviance of predictions over that of the mean target, as `explained` has it.

    Warns
    -----
    UndefinedMetricWarning
        There are fewer than two rows; the result is NaN.

    Examples
    --------
    >>> explained_deviance(1, np.array([1.0, 3.0]), np.log([1.0, 3.0]))
    1.0
    """
    if len(y) < 2:
        message = "D^2 score is not well-defined with less than two samples."
        warnings.warn(message, UndefinedMetricWarning, stacklevel=3)
        return math.nan
    counted = y if weight is None else y[weight > 0.0]
    mean = float(np.average(y, weights=weight))
    plain = 0.0
    if counted.min() < counted.max():
        plain = mean_deviance(power, y, np.full(len(y), math.log(mean)), weight)
    return explained(mean_deviance(power, y, z, weight), plain)


def explained(loss: float, plain: float) -> float:
    """Return 1 minus a loss over that of the best constant; where that is 0, scikit-learn's convention for R^2.

    Examples
    --------
    >>> explained(0.5, 2.0), explained(0.5, 0.0), explained(0.0, 0.0)
    (0.75, 0.0, 1.0)
    """
    if plain > 0.0:
        return 1.0 - loss / plain
    return 0.0 if loss > 0.0 else 1.0
