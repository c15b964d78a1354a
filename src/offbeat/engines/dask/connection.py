"""Which client to use: the one given, that of the running task, or the current one."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

from distributed import Client, default_client, get_client, get_worker, secede
from distributed.metrics import time
from distributed.utils import thread_state  # type: ignore[attr-defined]
from distributed.worker_state_machine import SecedeEvent

from offbeat.errors import ProblemError

SOON = 0.001  # seconds
CONNECT = 30.0  # seconds that a scheduler has to answer

_SEEN: WeakValueDictionary[str, Client] = WeakValueDictionary()
_MADE: dict[str, Client] = {}
_LOCK = threading.Lock()


def connection(client: Client | str | None, timeout: float = CONNECT) -> Client:
    """Return a client that this thread may wait on; a task that asks gives its thread to others meanwhile.

    Parameters
    ----------
    client : Client, str or None
        A client, the address of its scheduler, or None for the current one.
    timeout : float
        Seconds that a scheduler at an address has to answer.

    Raises
    ------
    ProblemError
        There is none, its connection is closed, or waiting would block the event loop that it needs.
    """
    if isinstance(client, str):
        found: Client | None = _client_at(client, timeout)
    else:
        found = _current() if client is None else client
    if found is not None and not isinstance(found, Client):
        raise ProblemError(f"the client of engines.Dask is {found!r}; give distributed.Client(…), or an address")
    if found is None:
        raise ProblemError("there is no Dask client: make one with distributed.Client(), or give engines.Dask(client)")
    if _in_loop() and found.asynchronous:
        raise ProblemError(
            "a fit would block the event loop that the Dask client needs: use await asyncio.to_thread(model.fit, X, y)"
        )
    if found.status not in ("running", "connecting"):
        raise ProblemError(f"the Dask client is {found.status}: make a new one with distributed.Client()")
    step_aside()
    return found


def current() -> Client | None:
    """Return the client of the running task, which then gives its thread to others, or the last that was made."""
    found = _current()
    return None if found is None else connection(found)


def _current() -> Client | None:
    with suppress(ValueError):
        get_worker()
        found: Client = get_client()
        return found
    with suppress(ValueError):
        last: Client = default_client()
        return last
    return None


def address_of(client: Client | str | None) -> str | None:
    """Return the address of a client's scheduler, by which `connection` finds the client again; None if unknown."""
    if isinstance(client, str):
        return client
    scheduler: Any = client.scheduler if isinstance(client, Client) else None
    if scheduler is None or client is None:  # it is closed
        return None
    address = str(scheduler.address)
    _SEEN[address] = client
    return address


def _client_at(address: str, timeout: float) -> Client:
    """Return a client of the scheduler at an address: one that is there, or a new one, which stays for the next."""
    found = _current()
    with _LOCK:
        for each in (found, _SEEN.get(address), _MADE.get(address)):
            if each is not None and each.status == "running" and address_of(each) == address:
                return each
        try:
            made = Client(address, timeout=timeout, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ProblemError(
                f"the Dask scheduler at {address} cannot be reached ({error}): give engines.Dask(client) a client of a "
                "cluster that runs"
            ) from error
        if not _MADE:
            atexit.register(_close)
        _MADE[address] = made
        return made


def _close() -> None:
    for client in _MADE.values():
        with suppress(Exception):
            client.close(timeout=1.0)


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
    """In a task, let the worker run others meanwhile: those of the fit may need its turn.

    A thread leaves the pool for tasks unless it has done so already, be it by `distributed.secede`, in
    `distributed.worker_client` or for a fit before. A coroutine, which waits for the fit in another thread, has no
    thread of the pool, but counts as a task that runs.
    """
    try:
        worker: Any = get_worker()
    except ValueError:
        return
    if getattr(thread_state, "start_time", None) is not None:
        with suppress(KeyError):  # it has left the pool
            secede()
    elif not _in_loop():
        worker.loop.add_callback(_coroutines_aside, worker)


def _coroutines_aside(worker: Any) -> None:
    """Count coroutines no longer among the tasks for which a worker has threads: on its event loop."""
    for task in [task for task in worker.state.executing if task.run_spec is not None and task.run_spec.is_coro]:
        stimulus = f"offbeat-secede-{time()}"
        worker.handle_stimulus(
            SecedeEvent(key=task.key, compute_duration=time() - (task.start_time or time()), stimulus_id=stimulus)
        )


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
