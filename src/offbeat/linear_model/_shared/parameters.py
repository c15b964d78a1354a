"""Checks of single parameters: each returns the value in the type that a fit takes, or raises `ProblemError`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_random_state

from offbeat.errors import ProblemError
from offbeat.linear_model._shared.types import Callback, Callbacks


def number(name: str, value: Any) -> float:
    """Return a parameter as a float, or raise `ProblemError`.

    Examples
    --------
    >>> number("C", 1)
    1.0
    """
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ProblemError(f"{name} is {value!r}; it must be a number") from None
    if math.isnan(result):
        raise ProblemError(f"{name} is NaN; it must be a number")
    return result


def at_least_zero(name: str, value: Any) -> float:
    """Return a parameter as a finite float from 0, or raise `ProblemError`.

    Examples
    --------
    >>> at_least_zero("alpha", 2)
    2.0
    """
    result = number(name, value)
    if not 0.0 <= result < math.inf:
        raise ProblemError(f"{name} is {value!r}; it must be finite and at least 0")
    return result


def ratio(value: Any) -> float:
    """Return ``l1_ratio`` as a float from 0 to 1, or raise `ProblemError`.

    Examples
    --------
    >>> ratio(1)
    1.0
    """
    result = number("l1_ratio", value)
    if not 0.0 <= result <= 1.0:
        raise ProblemError(f"l1_ratio is {value!r}; it must be from 0 (ridge) to 1 (lasso)")
    return result


def seed(random_state: int | np.random.RandomState | None) -> int | None:
    """Return the seed of a fit: the number itself, or one that the generator draws.

    Examples
    --------
    >>> seed(7)
    7
    """
    if random_state is None or isinstance(random_state, int | np.integer):
        return None if random_state is None else int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def one_callback(callbacks: Callbacks) -> Callback | None:
    """Return one callback that calls all of them, and stops the fit when one asks for it.

    Raises
    ------
    ProblemError
        One of them cannot be called.

    Examples
    --------
    >>> one_callback([lambda progress, row: False, lambda progress, row: True])(None, None)
    True
    """
    if callbacks is None:
        return None
    functions = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    for function in functions:
        if not callable(function):
            raise ProblemError(f"callbacks holds {function!r}; give functions of (progress, row)")
    return lambda progress, row: any([function(progress, row) for function in functions])
