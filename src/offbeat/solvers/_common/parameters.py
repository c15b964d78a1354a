"""Checks of a solver's parameters, with one wording of the errors."""

from __future__ import annotations

import math

from offbeat.errors import ProblemError


def check_count(solver: str, name: str, value: int | None, *, optional: bool = False) -> None:
    """Raise `ProblemError` for a count below 1. None is accepted if the parameter is optional.

    Examples
    --------
    >>> check_count("SDCA", "epochs", 0)
    Traceback (most recent call last):
    offbeat.errors.ProblemError: epochs of SDCA is 0; give a whole number from 1
    """
    if value is None or value < 1:
        _refuse(solver, name, value, "a whole number from 1", optional=optional)


def check_positive(solver: str, name: str, value: float | None, *, optional: bool = False) -> None:
    """Raise `ProblemError` for a number that is not positive and finite. None is accepted if it is optional.

    Examples
    --------
    >>> check_positive("SGD", "eta", -1.0, optional=True)
    Traceback (most recent call last):
    offbeat.errors.ProblemError: eta of SGD is -1.0; give a positive number, or None
    """
    if value is None or not 0.0 < value < math.inf:
        _refuse(solver, name, value, "a positive number", optional=optional)


def _refuse(solver: str, name: str, value: float | None, allowed: str, *, optional: bool) -> None:
    """Raise the error, unless the value is None and the parameter is optional."""
    if not (optional and value is None):
        raise ProblemError(f"{name} of {solver} is {value}; give {allowed}{', or None' if optional else ''}")
