"""`kernel`: how the loops of this package are compiled, kept on disk, and loaded by a new process."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import rtsys

PACKAGE = __name__.partition(".")[0]
KNOWN_NUMBA_VERSIONS = ((0, 61), (0, 68))
"""First and last version of Numba whose cache is known to work as `_Cache` expects."""
REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}
"""Fast-math options of loops whose sums may be taken in any order; NaN and infinity keep their meaning."""


class _Cache(FunctionCache):
    """Loads machine code without preparing the compiler, and keeps that for the classes of users apart.

    Numba's own cache first declares all that could be compiled (a third of a second, and SciPy's linear algebra with
    it), which loading does not use. The compiler prepares itself when there is something to compile.

    The index of a kernel names the classes that it was compiled for, and to read it is to import them all. A class that
    another program cannot import would cost it the whole index, so each file of such classes has an index of its own;
    its name says when the file was edited. Classes of a script are not kept: the next run would not know them again.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for these types, None if it is not on disk."""
        rtsys.initialize(target_context)  # kernels allocate memory
        index = self._index(sig)
        if index is None:
            return None
        with self._guard_against_spurious_io_errors():
            data = index.load(self._index_key(sig, target_context.codegen()))
            return None if data is None else self._impl.rebuild(target_context, data)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code for these types on disk."""
        index = self._index(sig)
        if index is not None and self._impl.check_cachable(data):
            self._impl.locator.ensure_cache_path()
            with self._guard_against_spurious_io_errors():
                index.save(self._index_key(sig, data.codegen), self._impl.reduce(data))

    def _index(self, sig: Any) -> Any:
        """Return the index for these types; None where nothing is to be kept."""
        if not self._enabled:
            return None
        names = sorted({cls.__module__ for cls in map(_class_of, getattr(sig, "args", sig)) if cls is not None})
        foreign = [name for name in names if name.partition(".")[0] != PACKAGE]
        if not foreign:
            return self._cache_file
        stamps = [_stamp(name) for name in foreign]
        if None in stamps:
            return None
        digest = hashlib.sha256(repr((foreign, stamps)).encode()).hexdigest()[:16]
        return IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=f"{self._impl.filename_base}.{digest}",
            source_stamp=self._impl.locator.get_source_stamp(),
        )


def _class_of(kind: Any) -> type | None:
    """Return the class of a named tuple, or None for any other type."""
    found: type | None = getattr(kind, "instance_class", None)
    return found


def _stamp(module: str) -> tuple[int, int] | None:
    """Return when the file of a module was edited and its size; None for what no other process can import."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" or path is None or not os.path.exists(path):
        return None
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size


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
        if KNOWN_NUMBA_VERSIONS[0] <= numba.version_info.short <= KNOWN_NUMBA_VERSIONS[1]:
            compiled._cache = _Cache(compiled.py_func)
        else:
            compiled.enable_caching()
        return compiled

    return decorate
