"""BLAS at one thread while engines run steps on threads of their own."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from threadpoolctl import ThreadpoolController


class _Limited:
    """Libraries at one thread, and what they had before."""

    def __init__(self) -> None:
        self.users, self.before = 0, dict[str, tuple[Any, int]]()

    def enter(self, libraries: dict[str, Any]) -> None:
        """Count one more user; limit what is not limited: all at the first, later what was loaded since."""
        self.users += 1
        for path, library in libraries.items():
            if path not in self.before:
                self.before[path] = library, library.num_threads
                _set(library, 1)

    def leave(self) -> None:
        """Count one user less; the last puts back what the first found."""
        self.users -= 1
        if not self.users:
            self.restore()

    def restore(self) -> None:
        """Put back what was there before."""
        for library, threads in self.before.values():
            _set(library, threads)
        self.before = {}


class _OneThread:
    """Keeps BLAS at one thread as long as somebody uses it, and then puts back what was there before the first.

    Most libraries have one number of threads for the whole process: what a user found must not be put back while others
    are at work, nor what the second found after the first. Those that use OpenMP have one for each thread.
    """

    def __init__(self) -> None:
        self._lock, self._modules = threading.Lock(), -1
        self._everywhere, self._here = _Limited(), _Here()
        self._shared: dict[str, Any] = {}
        self._own: dict[str, Any] = {}

    def __enter__(self) -> None:
        with self._lock:
            self._look()
            self._everywhere.enter(self._shared)
        self._here.limited.enter(self._own)

    def __exit__(self, *about: object) -> None:
        self._here.limited.leave()
        with self._lock:
            self._everywhere.leave()

    def forget(self) -> None:
        """Begin anew in a process that was forked: the threads that used it are not there."""
        self._lock = threading.Lock()
        for limited in (self._everywhere, self._here.limited):
            limited.restore()
        self._everywhere, self._here = _Limited(), _Here()

    def _look(self) -> None:
        """Find the libraries; that takes milliseconds, and they come with modules."""
        if len(sys.modules) == self._modules:
            return
        self._modules = len(sys.modules)
        found = ThreadpoolController().select(user_api="blas").lib_controllers
        own = {library.filepath for library in found if getattr(library, "threading_layer", "") == "openmp"}
        self._own = {library.filepath: library for library in found if library.filepath in own}
        self._shared = {library.filepath: library for library in found if library.filepath not in own}


class _Here(threading.local):
    """What is limited in each thread."""

    def __init__(self) -> None:
        self.limited = _Limited()


def _set(library: Any, threads: int) -> None:
    """Set the number of threads; another thread may have set it last, which threadpoolctl (3.8) takes for its owner."""
    release = getattr(library, "clear_controlling_thread", lambda *, force: None)
    release(force=True)
    library.set_num_threads(threads)
    release(force=True)


_ONE_THREAD = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ONE_THREAD.forget)


def one_blas_thread() -> _OneThread:
    """Return a context in which BLAS keeps to one thread: engines bring their own.

    Blocks may lie within each other, and side by side in several threads.

    Examples
    --------
    >>> with one_blas_thread():
    ...     pass
    """
    return _ONE_THREAD
