"""Threads of this process: kernels and BLAS release the interpreter lock, so they scale, and nothing is copied."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from offbeat.data.shard import Cancelled, Shard
from offbeat.engines.base import Loop, Steps, one_blas_thread
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import Arrived, Event, Failed, Interrupted, Message, Record, Row, Run

T = TypeVar("T")
POLL = 0.1  # seconds between looks at the wish to stop


def available_cores() -> int:
    """Return how many cores this process may use.

    Examples
    --------
    >>> available_cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Threads:
    """Run steps on threads; BLAS keeps to one thread a worker meanwhile.

    Parameters
    ----------
    workers : int, optional
        Number of threads; all available cores by default.

    Examples
    --------
    >>> Threads(2).n_workers
    2
    """

    workers: int | None = None
    name: str = field(default="threads", init=False)

    def __post_init__(self) -> None:
        """Refuse a number of workers below one."""
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"Threads needs at least one worker, not {self.workers}")

    @property
    def n_workers(self) -> int:
        """Number of threads."""
        return self.workers or available_cores()

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard]) -> list[T]:
        """Return ``function`` of each shard, in order."""
        with one_blas_thread(), ThreadPoolExecutor(self.n_workers) as pool:
            return list(pool.map(function, shards))

    def run(self, loop: Loop, steps: Steps, record: Callable[[Row], Any]) -> Outcome:
        """Drive the loop to its end; rows go to ``record``."""
        pool = ThreadPoolExecutor(self.n_workers, thread_name_prefix="offbeat")
        try:
            with one_blas_thread():
                return _drive(loop, steps, record, pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _drive(loop: Loop, steps: Steps, record: Callable[[Row], Any], pool: ThreadPoolExecutor) -> Outcome:
    arrivals: SimpleQueue[Event] = SimpleQueue()
    event: Event | None = None
    while True:
        try:
            command = loop.send(event)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        event = None
        if isinstance(command, Run):
            _submit(command, steps, pool, arrivals)
        elif isinstance(command, Record):
            record(command.row)
        else:
            event = _next(arrivals, steps)


def _next(arrivals: SimpleQueue[Event], steps: Steps) -> Event:
    """Wait for an arrival or for the wish to stop."""
    while not steps.cancelled():
        try:
            return arrivals.get(timeout=POLL)
        except Empty:
            continue
    return Interrupted(steps.now())


def _submit(command: Run, steps: Steps, pool: ThreadPoolExecutor, arrivals: SimpleQueue[Event]) -> None:
    def work() -> Message:
        return steps.step(command, worker=_worker_number())

    def done(future: Future[Message]) -> None:
        if future.cancelled() or isinstance(future.exception(), Cancelled):
            return
        error = future.exception()
        if error is None:
            arrivals.put(Arrived(future.result(), steps.now()))
        else:
            arrivals.put(Failed(command.shard, error, steps.now()))

    pool.submit(work).add_done_callback(done)


def _worker_number() -> int:
    """Return the number of this thread within its pool."""
    return int(threading.current_thread().name.rpartition("_")[2])
