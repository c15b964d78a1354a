"""Functions that run where Offbeat may not be installed: they travel with their code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any


def by_value(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is pickled with its code, not by its name; for processes of the same Python.

    Parameters
    ----------
    function : callable
        Uses nothing of its module: it imports what it needs itself.
    """
    assert isinstance(function, FunctionType)
    space = {"__builtins__": __builtins__}
    copied = FunctionType(function.__code__, space, function.__name__, function.__defaults__)
    copied.__module__ = "__main__"  # what pickles by value look at
    return copied


def expression(function: Callable[..., Any], *args: Any) -> str:
    """Return text of which `eval` gives what a function returns: for processes of any Python.

    Parameters
    ----------
    function : callable
        As for `by_value`.
    args : object
        With a `repr` that can be evaluated.

    Examples
    --------
    >>> def double(x):
    ...     return 2 * x
    >>> by_value(double)(4)
    8
    """
    source = inspect.getsource(function)
    return f"(lambda space: (exec({source!r}, space), space[{function.__name__!r}](*{args!r}))[1])({{}})"
