"""Generators of dense data whose coefficients are known.

Features, coefficients and targets come from three streams of one seed: the same seed gives the same features in
every generator of one dtype, and more noise changes the target only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from offbeat.datasets.container import Data
from offbeat.datasets.streams import check_float_dtype, check_noise, check_share, check_size, labels, streams

Floats = NDArray[np.float64]
LOGIT_SPREAD = 2.0
LOG_MEAN_SPREAD = 0.5
LOG_MEAN_LIMIT = 30.0
INTERCEPT = 1.0


class _Predictor(NamedTuple):
    """Everything but the target: features, coefficients, ``z = X @ coef + intercept``, and the target's stream."""

    X: NDArray[Any]
    coef: Floats
    z: Floats
    rng: np.random.Generator


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
    check_noise(noise)
    made = _predictor((n_rows, n_columns), sparsity, None, dtype, seed)
    y = made.z + noise * made.rng.standard_normal(n_rows)
    return _data(made, y, "response")


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
    check_share("noise", noise)
    made = _predictor((n_rows, n_columns), sparsity, LOGIT_SPREAD, dtype, seed)
    return _data(made, labels(made.z, noise, made.rng), "class")


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
    check_noise(noise)
    made = _predictor((n_rows, n_columns), sparsity, LOG_MEAN_SPREAD, dtype, seed)
    log_mean = made.z + noise * made.rng.standard_normal(n_rows)
    # Only absurd noise meets the limit: beyond it NumPy cannot draw a Poisson number.
    y = made.rng.poisson(np.exp(np.minimum(log_mean, LOG_MEAN_LIMIT)))
    return _data(made, y.astype(np.float64), "count")


def _predictor(
    shape: tuple[int, int], sparsity: float, spread: float | None, dtype: DTypeLike, seed: int
) -> _Predictor:
    """Draw features and coefficients; with a ``spread``, `z` has that standard deviation."""
    check_size(n_rows=shape[0], n_columns=shape[1])
    check_share("sparsity", sparsity)
    kind = check_float_dtype(dtype)
    for_coef, for_features, for_target = streams(seed)
    coef = for_coef.standard_normal(shape[1])
    coef[for_coef.permutation(shape[1])[: round(sparsity * shape[1])]] = 0.0
    norm = float(np.linalg.norm(coef))
    if spread is not None and norm > 0:
        coef *= spread / norm
    X: NDArray[Any] = np.empty(shape, dtype=kind)
    # Drawn in place: the features of 500,000 x 100 are 400 MB, and a second copy would double that.
    for_features.standard_normal(dtype=kind.type, out=X)
    z = np.asarray(X @ coef.astype(kind), dtype=np.float64) + INTERCEPT
    return _Predictor(X, coef, z, for_target)


def _data(made: _Predictor, y: NDArray[Any], target_name: str) -> Data:
    return Data(
        X=made.X,
        y=y,
        feature_names=tuple(f"x{j}" for j in range(made.X.shape[1])),
        description="Synthetic: independent standard normal features.",
        target_name=target_name,
        source="offbeat.datasets.synthetic",
        coef=made.coef,
        intercept=INTERCEPT,
    )
