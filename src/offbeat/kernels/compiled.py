"""`kernel`: how the loops of this package are compiled, kept on disk, and loaded by a new process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import rtsys

KNOWN = ((0, 61), (0, 68))
"""First and last version of Numba whose cache is known to work as `_Cache` expects."""


class _Cache(FunctionCache):
    """Loads machine code without preparing the compiler.

    Numba's own cache first declares all that could be compiled (a third of a second, and SciPy's linear algebra with
    it), which loading does not use. The compiler prepares itself when there is something to compile.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for these types, None if it is not on disk."""
        rtsys.initialize(target_context)  # kernels allocate memory
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator: ``numba.njit`` without the interpreter's lock, and cached on disk.

    Parameters
    ----------
    **options
        As those of ``numba.njit``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = numba.njit(nogil=True, **options)(function)
        if not isinstance(compiled, Dispatcher):  # NUMBA_DISABLE_JIT
            return compiled
        if KNOWN[0] <= numba.version_info.short <= KNOWN[1]:
            compiled._cache = _Cache(compiled.py_func)
        else:
            compiled.enable_caching()
        return compiled

    return decorate
