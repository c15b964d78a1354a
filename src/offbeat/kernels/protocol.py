"""Teach Numba the scalar methods of losses and penalties.

Kernels take a loss or penalty, which is a named tuple, as an argument and call ``loss.value(z, y)``; Numba
compiles the Python method of the class of that tuple on demand, and methods may call each other through
``self``. The type of the tuple carries its class, so a kernel with ``cache=True`` is found again on disk by a
new process, which neither compiled classes nor functions passed as arguments achieve.

Importing this module is enough. The disk cache of a kernel does not notice an edited loss: clear it after
such an edit.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from numba.core import types
from numba.extending import overload_method

__all__ = ["METHODS"]

METHODS = {
    # of losses
    "derivative": 2,
    "second_derivative": 2,
    "dual_direction": 2,
    "inverse_link": 1,
    "link": 1,
    # of both
    "value": 2,
    "conjugate": 2,
    # of penalties
    "prox": 3,
    "dual_scale": 2,
    "subgradient_distance": 3,
    "curvature": 1,
}
"""Names that kernels can call, and how many arguments (positional) each takes."""

# Losses promise exact infinities and signs, so no fast-math, whatever the kernel that calls them uses; they
# promise not to divide by zero, so no check for it in the loop.
OPTIONS = {"fastmath": False, "error_model": "numpy"}


def _method(tuple_type: Any, name: str) -> Any:
    """Return the Python method of the class behind a tuple type; with None, Numba reports it unknown."""
    method = getattr(tuple_type.instance_class, name, None)
    return method if isinstance(method, FunctionType) else None  # a field may have the same name


def _chooser(name: str, n_arguments: int) -> Callable[..., Any]:
    """Return the function with which Numba asks for the implementation of a method."""

    def one(self: Any, a: Any) -> Any:
        return _method(self, name)

    def two(self: Any, a: Any, b: Any) -> Any:
        return _method(self, name)

    def three(self: Any, a: Any, b: Any, c: Any) -> Any:
        return _method(self, name)

    return (one, two, three)[n_arguments - 1]


for _name, _count in METHODS.items():
    # strict=False: classes name their arguments as they like.
    overload_method(types.BaseNamedTuple, _name, strict=False, jit_options=OPTIONS)(_chooser(_name, _count))
