"""Solvers by name: the one place that maps names to solvers."""

from __future__ import annotations

from typing import Literal

from offbeat import solvers
from offbeat.errors import ProblemError
from offbeat.sideways.protocol import Solver


def all_solvers() -> dict[str, Solver]:
    """Return all public solvers with their default parameters, by name.

    Examples
    --------
    >>> sorted(all_solvers())[:3]
    ['admm', 'delayed-proximal-gradient', 'dual-averaging']
    """
    made = [getattr(solvers, cls)() for cls in solvers.__all__]
    return {solver.name: solver for solver in made}


def find_solver(name: str) -> Solver | Literal["auto"]:
    """Return the solver of this name with its default parameters; "auto" as it is.

    Raises
    ------
    ProblemError
        There is none of this name.

    Examples
    --------
    >>> find_solver("row-space").name
    'row-space'
    """
    if name == "auto":
        return "auto"
    known = all_solvers()
    if name not in known:
        raise ProblemError(f"there is no solver {name!r}; give auto or one of {', '.join(sorted(known))}")
    return known[name]
