"""What engines are given: numbers of workers, factors by worker; errors that say what to give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from operator import index
from typing import Any

from offbeat.errors import ProblemError


def check_workers(engine: str, workers: Any) -> None:
    """Raise `ProblemError` unless this is a number of workers.

    Examples
    --------
    >>> check_workers("Threads", 2)
    """
    try:
        enough = index(workers) >= 1
    except TypeError:
        raise ProblemError(f"the workers of {engine} are {workers!r}; give a whole number") from None
    if not enough:
        raise ProblemError(f"{engine} needs at least one worker, not {workers}")


def check_factors(what: str, factors: Any) -> None:
    """Raise `ProblemError` unless workers are mapped to factors above 0.

    Examples
    --------
    >>> check_factors("straggler of Simulated", {0: 10.0})
    """
    if not isinstance(factors, Mapping):
        example = factors if isinstance(factors, Real) else 10.0
        raise ProblemError(
            f"{what} is {factors!r}; give factors by worker, such as {{0: {example}}} for a worker 0 that is "
            f"{example} times as slow"
        )
    for worker, factor in factors.items():
        if not isinstance(worker, Integral):
            raise ProblemError(f"{what} names the worker {worker!r}; give numbers of workers")
        if not isinstance(factor, Real) or not 0.0 < float(factor) < math.inf:
            raise ProblemError(f"worker {worker} is a straggler by the factor {factor}; give a number above 0")
