"""Which client to use: the one given, that of the running task, or the current one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, default_client, get_client, get_worker, secede

from offbeat.errors import ProblemError

_OWN = threading.local()
SOON = 0.001  # seconds


def connection(client: Client | None) -> Client:
    """Return a client that this thread may wait on.

    Raises
    ------
    ProblemError
        There is none, or its connection is closed.
    """
    found = current() if client is None else client
    if found is None:
        raise ProblemError("there is no Dask client: make one with distributed.Client(), or give engines.Dask(client)")
    if _in_loop() and found.asynchronous:
        raise ProblemError(
            "a fit would block the event loop that the Dask client needs: use await asyncio.to_thread(model.fit, X, y)"
        )
    if found.status not in ("running", "connecting"):
        raise ProblemError(f"the Dask client is {found.status}: make a new one with distributed.Client()")
    return found


def current() -> Client | None:
    """Return the client of the running task, which then gives its thread to others, or the last that was made."""
    if _in_task():
        step_aside()
        client: Client = get_client()
        return client
    try:
        found: Client = default_client()
        return found
    except ValueError:
        return None


@contextmanager
def promptly(client: Client) -> Iterator[None]:
    """Have what a client sends leave at once, for as long as the context lasts.

    Messages of a client wait up to 10 ms for others to go with, which is longer than most steps take. There is no
    setting for it; where a version of Dask has no such attribute, this does nothing.
    """
    stream: Any = getattr(client, "scheduler_comm", None)
    usual = getattr(stream, "interval", 0.0)
    if usual > SOON:
        stream.interval = SOON
    try:
        yield
    finally:
        if usual > SOON:
            stream.interval = usual


def step_aside() -> None:
    """In a task, let the worker run others meanwhile: those of the fit may need its thread."""
    if _in_task() and not getattr(_OWN, "aside", False):
        secede()
        _OWN.aside = True


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_task() -> bool:
    try:
        get_worker()
    except ValueError:
        return False
    return True
