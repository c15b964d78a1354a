"""How long things take in a simulated cluster: distributions of seconds, drawn from one generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from offbeat.errors import ProblemError


class Model(Protocol):
    """A distribution of positive numbers."""

    def draw(self, rng: np.random.Generator) -> float:
        """Return one number."""

    @property
    def typical(self) -> float:
        """Its median, roughly: what waits are measured by."""


@dataclass(frozen=True)
class Constant:
    """Always the same.

    Parameters
    ----------
    seconds : float

    Examples
    --------
    >>> Constant(0.5).draw(np.random.default_rng(0))
    0.5
    """

    seconds: float

    def __post_init__(self) -> None:
        """Refuse negative times."""
        _positive("seconds of Constant", self.seconds)

    def draw(self, rng: np.random.Generator) -> float:
        """Return the number."""
        return self.seconds

    @property
    def typical(self) -> float:
        """The number itself."""
        return self.seconds


@dataclass(frozen=True)
class Exponential:
    """A fixed part and an exponential one: what queues do.

    Parameters
    ----------
    mean : float
        Of both parts together, in seconds.
    fixed : float
        Share of the mean that does not vary.
    """

    mean: float
    fixed: float = 0.5

    def __post_init__(self) -> None:
        """Refuse negative times."""
        _positive("mean of Exponential", self.mean)

    def draw(self, rng: np.random.Generator) -> float:
        """Return one number."""
        return self.mean * (self.fixed + (1.0 - self.fixed) * float(rng.exponential()))

    @property
    def typical(self) -> float:
        """The median."""
        return self.mean * (self.fixed + (1.0 - self.fixed) * math.log(2.0))


@dataclass(frozen=True)
class HeavyTailed:
    """Log-normal: now and then several times the median.

    Parameters
    ----------
    median : float
        Seconds.
    spread : float
        Standard deviation of the logarithm; with 1.0, one in a hundred takes ten times the median.
    """

    median: float
    spread: float = 0.5

    def __post_init__(self) -> None:
        """Refuse negative times."""
        _positive("median of HeavyTailed", self.median)

    def draw(self, rng: np.random.Generator) -> float:
        """Return one number."""
        return self.median * math.exp(self.spread * float(rng.standard_normal()))

    @property
    def typical(self) -> float:
        """The median."""
        return self.median


@dataclass(frozen=True)
class Measured:
    """Drawn from times that were measured: see `from_trace`.

    Parameters
    ----------
    samples : sequence of float
        Seconds.
    """

    samples: Sequence[float]

    def __post_init__(self) -> None:
        """Refuse to draw from nothing."""
        if len(self.samples) == 0:
            raise ProblemError("Measured needs at least one time")
        _positive("the least time of Measured", min(self.samples))

    def draw(self, rng: np.random.Generator) -> float:
        """Return one of the samples."""
        return float(self.samples[int(rng.integers(len(self.samples)))])

    @property
    def typical(self) -> float:
        """The median."""
        return float(np.median(np.asarray(self.samples)))


def as_model(value: float | Model) -> Model:
    """Return a model; a number stands for `Constant`."""
    if isinstance(value, (int, float)):
        return Constant(float(value))
    if not callable(getattr(value, "draw", None)):
        raise ProblemError(f"{value!r} stands where seconds are wanted; give a number, or a distribution of them")
    return value


def _positive(what: str, value: float) -> None:
    if not 0.0 <= value < math.inf:
        raise ProblemError(f"{what} is {value}; give a number of seconds, at least 0")
