"""What the generators share: checked arguments, streams of random numbers, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.datasets.container import float_dtype as check_float_dtype
from offbeat.errors import DataError

__all__ = ["check_float_dtype", "check_noise", "check_share", "check_size", "labels", "streams"]


def check_size(**sizes: object) -> None:
    """Refuse a size that is not a positive whole number.

    Raises
    ------
    DataError
        Names the argument.
    """
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise DataError(f"{name}={size!r} must be a positive whole number.")


def check_share(name: str, value: float) -> None:
    """Refuse a share that is not in [0, 1].

    Raises
    ------
    DataError
        Names the argument.
    """
    if not 0.0 <= value <= 1.0:
        raise DataError(f"{name}={value!r} must be a share between 0 and 1.")


def check_noise(noise: float) -> None:
    """Refuse a standard deviation that is negative or not finite.

    Raises
    ------
    DataError
        Says which value was given.
    """
    if not 0.0 <= noise < np.inf:
        raise DataError(f"noise={noise!r} must be zero or a positive number.")


def streams(seed: object) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
    """Independent streams for the coefficients, the features and the target.

    Raises
    ------
    DataError
        The seed is not a non-negative whole number.
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise DataError(f"seed={seed!r} must be zero or a positive whole number.")
    first, second, third = np.random.SeedSequence(int(seed)).spawn(3)
    return np.random.default_rng(first), np.random.default_rng(second), np.random.default_rng(third)


def labels(z: NDArray[np.float64], flipped: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw classes of a logistic model with predictor ``z``, then flip a share of them."""
    # A logistic variable is the logit of a uniform one: no exponential, so no overflow for any z.
    y: NDArray[Any] = z > rng.logistic(size=len(z))
    y ^= rng.random(len(z)) < flipped
    return y.astype(np.int64)
