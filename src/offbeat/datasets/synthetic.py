"""Generators of data whose coefficients are known.

Features, coefficients and targets come from three streams of one seed: the same seed gives the same features in
every generator, and more noise changes the target only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from offbeat.datasets.container import Data, float_dtype
from offbeat.errors import DataError

Floats = NDArray[np.float64]
LOGIT_SPREAD = 2.0
LOG_MEAN_SPREAD = 0.5
LOG_MEAN = 1.0


@dataclass(frozen=True)
class _Shape:
    """Size and type of dense synthetic data, checked when it is made."""

    n_rows: int
    n_columns: int
    sparsity: float
    noise: float
    dtype: np.dtype[Any]
    seed: int

    def __post_init__(self) -> None:
        _check_counts(n_rows=self.n_rows, n_columns=self.n_columns)
        _check_share("sparsity", self.sparsity)
        if not 0.0 <= self.noise < np.inf:
            raise DataError(f"noise={self.noise!r} must be zero or a positive number.")


def make_regression(
    n_rows: int = 10_000,
    n_columns: int = 20,
    *,
    sparsity: float = 0.1,
    noise: float = 2.0,
    dtype: DTypeLike = np.float64,
    seed: int = 0,
) -> Data:
    """Make a linear response: independent standard normal features, normal noise.

    Parameters
    ----------
    n_rows, n_columns : int
        Size of the features.
    sparsity : float
        Share of the coefficients that are zero; the others are standard normal.
    noise : float
        Standard deviation of the noise.
    dtype : {float64, float32}
        Type of the features; `y` is always float64.
    seed : int
        The same seed gives the same data.

    Returns
    -------
    Data
        ``y = X @ coef + intercept + noise``, with `coef` of shape (n_columns,) and `intercept`.

    Raises
    ------
    DataError
        A size is not positive, `sparsity` is not in [0, 1], or `noise` is negative.

    Examples
    --------
    >>> from offbeat.datasets import make_regression
    >>> data = make_regression(1_000, 10, noise=0.0)
    >>> bool(abs(data.X @ data.coef + data.intercept - data.y).max() < 1e-9)
    True
    """
    shape = _Shape(n_rows, n_columns, sparsity, noise, float_dtype(dtype), seed)

    def respond(z: Floats, rng: np.random.Generator) -> Floats:
        return z + noise * rng.standard_normal(len(z)) if noise > 0 else z

    return _make(shape, spread=None, respond=respond, target_name="response")


def make_classification(
    n_rows: int = 10_000,
    n_columns: int = 20,
    *,
    sparsity: float = 0.1,
    noise: float = 0.0,
    dtype: DTypeLike = np.float64,
    seed: int = 0,
) -> Data:
    """Make two classes of a logistic model: independent standard normal features.

    Parameters
    ----------
    n_rows, n_columns : int
        Size of the features.
    sparsity : float
        Share of the coefficients that are zero.
    noise : float
        Share of the labels, in [0, 1], that are flipped; without it there is no noise but the model's own.
    dtype : {float64, float32}
        Type of the features.
    seed : int
        The same seed gives the same data.

    Returns
    -------
    Data
        `y` (int64) is 1 with probability ``1 / (1 + exp(-z))``, ``z = X @ coef + intercept`` of standard deviation
        2 whatever the number of columns.

    Raises
    ------
    DataError
        A size is not positive, or `sparsity` or `noise` is not in [0, 1].

    Examples
    --------
    >>> from offbeat.datasets import make_classification
    >>> make_classification(1_000, 10).X.shape
    (1000, 10)
    """
    _check_share("noise", noise)
    shape = _Shape(n_rows, n_columns, sparsity, noise, float_dtype(dtype), seed)
    return _make(
        shape,
        spread=LOGIT_SPREAD,
        respond=lambda z, rng: _labels(z, noise, rng),
        target_name="class",
    )


def make_counts(
    n_rows: int = 10_000,
    n_columns: int = 20,
    *,
    sparsity: float = 0.1,
    noise: float = 0.0,
    dtype: DTypeLike = np.float64,
    seed: int = 0,
) -> Data:
    """Make counts of a Poisson model with a log link: independent standard normal features.

    Parameters
    ----------
    n_rows, n_columns : int
        Size of the features.
    sparsity : float
        Share of the coefficients that are zero.
    noise : float
        Standard deviation of normal noise on the log of the mean: over-dispersion.
    dtype : {float64, float32}
        Type of the features.
    seed : int
        The same seed gives the same data.

    Returns
    -------
    Data
        `y` (float64) is Poisson with mean ``exp(X @ coef + intercept)``, about 3 on average.

    Raises
    ------
    DataError
        A size is not positive, `sparsity` is not in [0, 1], or `noise` is negative.

    Examples
    --------
    >>> from offbeat.datasets import make_counts
    >>> bool((make_counts(1_000, 10).y >= 0).all())
    True
    """
    shape = _Shape(n_rows, n_columns, sparsity, noise, float_dtype(dtype), seed)

    def respond(z: Floats, rng: np.random.Generator) -> Floats:
        disturbed = z + noise * rng.standard_normal(len(z)) if noise > 0 else z
        return rng.poisson(np.exp(disturbed)).astype(np.float64)

    return _make(shape, spread=LOG_MEAN_SPREAD, respond=respond, target_name="count")
