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
from numba.core.typing.templates import infer_getattr, make_overload_method_template
from numba.extending import overload

__all__ = ["METHODS"]

METHODS = {
    # of losses
    "derivative": 2,
    "second_derivative": 2,
    "dual_direction": 2,
    "inverse_link": 1,
    "link": 1,
    "dual_step": 3,
    "dual_piece": 2,
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

# Losses promise exact infinities and NaN, so of fast-math only fused multiply-add, whatever the kernel that calls
# them uses; they promise not to divide by zero, so no check for it in the loop.
OPTIONS = {"fastmath": {"contract"}, "error_model": "numpy"}


def _method(tuple_type: Any, name: str) -> FunctionType | None:
    """Return the Python method of the class behind a tuple type, None if the class has no such method."""
    method = getattr(tuple_type.instance_class, name, None)
    return method if isinstance(method, FunctionType) else None


def _chooser(name: str, n_arguments: int) -> Callable[..., Any]:
    """Return the function with which Numba asks for the implementation of a method."""

    def one(self: Any, a: Any) -> Any:
        return _method(self, name)

    def two(self: Any, a: Any, b: Any) -> Any:
        return _method(self, name)

    def three(self: Any, a: Any, b: Any, c: Any) -> Any:
        return _method(self, name)

    return (one, two, three)[n_arguments - 1]


def _expose(name: str, n_arguments: int) -> None:
    """Do as ``numba.extending.overload_method``, except for classes without such a method.

    That decorator claims the name on every named tuple of the process: a tuple of somebody else with a field called
    ``value`` would no longer compile.
    """
    chooser = _chooser(name, n_arguments)
    options = {"strict": False, "jit_options": OPTIONS}  # not strict: classes name their arguments as they like
    template = make_overload_method_template(types.BaseNamedTuple, name, chooser, inline="never", **options)

    class Method(template):
        def _resolve(self, typ: Any, attr: str) -> Any:
            return super()._resolve(typ, attr) if _method(typ, name) else None

    infer_getattr(Method)
    overload(chooser, **options)(chooser)


for _name, _count in METHODS.items():
    _expose(_name, _count)
