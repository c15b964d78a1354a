"""What a contestant is: `supports`, `ladder`, `fit`."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from benchmarks.harness.problem import Floats, Problem

Rung = dict[str, Any]
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10)


def tolerances(*values: float, **fixed: Any) -> list[Rung]:
    """Return one rung for each tolerance, with the other settings the same."""
    return [{"tol": value, **fixed} for value in values or TOLERANCES]


class BaseSolver(ABC):
    """One contestant: a library with one setting of its method.

    ``ladder`` lists its own stopping knobs from loose to tight. ``fit`` is timed as a whole, from the raw arrays: what
    a library does to check, copy or convert its input is part of using it.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    """Distribution whose version goes into the results."""
    module: ClassVar[str]
    """What must be importable."""
    ours: ClassVar[bool] = False
    sparse: ClassVar[bool] = False
    """Whether it takes a SciPy matrix without making it dense."""
    slow: ClassVar[bool] = False
    """Left out of a run unless named: at least ten times the time of the others."""

    @classmethod
    def missing(cls) -> str | None:
        """Return why it cannot run here, or None."""
        return None if importlib.util.find_spec(cls.module) else f"{cls.package} is not installed"

    def refuses(self, problem: Problem) -> str | None:
        """Return why it takes no part in this problem, or None."""
        return "dense data only" if problem.sparse and not self.sparse else self.supports(problem)

    @abstractmethod
    def supports(self, problem: Problem) -> str | None:
        """Return why it cannot solve exactly this problem, or None."""

    @abstractmethod
    def ladder(self, problem: Problem) -> list[Rung]:
        """Return settings from loose to tight."""

    def prepare(self, problem: Problem) -> None:  # noqa: B027  (most have nothing to prepare)
        """Do once, untimed, what cannot be asked of a user for every fit (writing the tool's own file format)."""

    @abstractmethod
    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        """Return coefficients, (n_columns,) or (n_alphas, n_columns), and intercepts."""


def only(problem: Problem, losses: tuple[str, ...], path: bool = False) -> str | None:
    """Return the first reason why a problem is not one of these losses, or not (one of) a path."""
    if problem.loss not in losses:
        return f"no {problem.loss} loss"
    if problem.path != path:
        return "only whole paths" if path else "no path"
    return None
