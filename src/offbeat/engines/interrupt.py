"""Ctrl-C as a flag: the fit ends at the next step and keeps its best model; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class _Flag:
    """A handler of SIGINT that sets an event; at the second signal it does what was done before, or raises."""

    def __init__(self, before: Any) -> None:
        self.event, self._before = threading.Event(), before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.event.is_set():
            self.event.set()
        elif callable(self._before):
            self._before(number, frame)
        else:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets; a block inside of another shares its event.

    Outside the main thread signals cannot be caught, and where they are ignored they stay so: the event stays unset.

    Examples
    --------
    >>> with interruptible() as interrupted:
    ...     interrupted.is_set()
    False
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    if isinstance(before, _Flag):
        yield before.event
        return
    if before is None or before is signal.SIG_IGN:
        yield threading.Event()
        return
    flag = _Flag(before)
    signal.signal(signal.SIGINT, flag)
    try:
        yield flag.event
    finally:
        signal.signal(signal.SIGINT, before)


def raise_if(interrupted: threading.Event, *found: Any) -> None:
    """Raise `KeyboardInterrupt` if Ctrl-C was pressed, or if one of the solutions says so.

    Parameters
    ----------
    interrupted : Event
        Of `interruptible`.
    *found : Solution
        What callbacks of their fits raised counts, too, where signals cannot be caught.
    """
    if interrupted.is_set() or any(solution.status == "interrupted" for solution in found):
        raise KeyboardInterrupt
