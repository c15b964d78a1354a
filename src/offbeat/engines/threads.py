"""Threads of this process: kernels and BLAS release the interpreter lock, so they scale, and nothing is copied."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from offbeat.data.shards import Cancelled, Shard
from offbeat.engines.arguments import check_factors, check_workers
from offbeat.engines.base import Listener, Loop, Steps, answer, run_program
from offbeat.engines.blas import one_blas_thread
from offbeat.engines.cores import available_cores
from offbeat.engines.gang import run_gang
from offbeat.engines.interpreter import interpret
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import Arrived, Event, Failed, Interrupted, Run, Tick, Wait
from offbeat.sideways.port import Program
from offbeat.sideways.topologies import Peers

T = TypeVar("T")
POLL = 0.1  # seconds between looks at the wish to stop


@dataclass(frozen=True)
class Threads:
    """Run steps on threads; BLAS keeps to one thread a worker meanwhile.

    Parameters
    ----------
    workers : int, optional
        Number of threads; by default as many as there are cores for this process, by its affinity, the quota of its
        container, ``OMP_NUM_THREADS``, ``NUMBA_NUM_THREADS`` and the limits of joblib.
    slowdown : mapping of int to float, optional
        Factors by which workers are slowed with sleeps after each step: to see what stragglers do to a fit.

    Examples
    --------
    >>> Threads(2).n_workers
    2
    """

    workers: int | None = None
    slowdown: Mapping[int, float] = field(default_factory=dict)
    name: str = field(default="threads", init=False)
    virtual = False
    depth = 1
    usual = math.inf
    retry = math.inf

    def __post_init__(self) -> None:
        """Refuse numbers of workers and factors that cannot be."""
        if self.workers is not None:
            check_workers("Threads", self.workers)
        check_factors("slowdown of Threads", self.slowdown)

    @property
    def n_workers(self) -> int:
        """Number of threads."""
        return self.workers or available_cores()

    def place(self, shards: list[Shard]) -> list[Shard]:
        """Return the shards as they are; those that are fewer than the workers may use several."""
        spare = self.n_workers // max(len(shards), 1)
        return [replace(shard, threads=spare) for shard in shards] if spare > 1 else shards

    def release(self, shards: list[Shard]) -> None:
        """Do nothing: they go with the last that refers to them."""

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard], *, light: bool = False) -> list[T]:
        """Return ``function`` of each shard, in order; in the calling thread if that is light."""
        if light:
            return [function(shard) for shard in shards]
        with one_blas_thread(), ThreadPoolExecutor(self.n_workers) as pool:
            return list(pool.map(function, shards))

    def drive(self, loop: Loop, steps: Steps, listener: Listener) -> Outcome:
        """Interpret a hub loop to its end."""
        host = _Host(self, steps, listener)
        try:
            with one_blas_thread():
                return interpret(loop, host.start, host.next, listener)
        finally:
            host.close()

    def gang(self, program: Program, shards: list[Shard], topology: Peers, listener: Listener) -> list[Any]:
        """Run a program on every shard, each on a thread of its own."""
        with one_blas_thread():
            return run_gang(program, shards, topology, listener, self.slowdown)

    def run(self, program: Program, dataset: Any, *, topology: Peers | None = None) -> list[Any]:
        """Run a user's program, one rank a thread; see `offbeat.engines.base.run_program`."""
        return run_program(self, program, dataset, topology)


class _Host:
    """One thread a worker, each with its queue of commands; answers come back on one queue."""

    def __init__(self, engine: Threads, steps: Steps, listener: Listener) -> None:
        self._engine, self._steps, self._listener = engine, steps, listener
        self._arrivals: SimpleQueue[Event] = SimpleQueue()
        self._commands: dict[int, SimpleQueue[Run | None]] = {}
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()

    def start(self, command: Run) -> None:
        """Hand a step to its worker, whose thread starts with its first step."""
        if command.worker not in self._commands:
            self._commands[command.worker] = SimpleQueue()
            name = f"offbeat_{command.worker}"
            thread = threading.Thread(target=self._limited, args=(command.worker,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._commands[command.worker].put(command)

    def next(self, wait: Wait) -> Event:
        """Wait for an arrival, the time the loop named, or the wish to stop."""
        while not self._listener.cancelled():
            left = wait.until - self._now()
            try:
                return self._arrivals.get(timeout=max(min(POLL, left), 0.0))
            except Empty:
                if left <= 0:
                    return Tick(self._now())
        return Interrupted(self._now())

    def close(self) -> None:
        """End all threads; steps under way are finished first."""
        self._closed.set()
        for queue in self._commands.values():
            queue.put(None)
        for thread in self._threads:
            thread.join()

    def _limited(self, worker: int) -> None:
        with one_blas_thread():
            self._work(worker)

    def _work(self, worker: int) -> None:
        queue = self._commands[worker]
        while (command := queue.get()) is not None and not self._closed.is_set():
            started = self._now()
            try:
                step = self._steps.step(command, worker)
                lag = (self._engine.slowdown.get(worker, 1.0) - 1.0) * (self._now() - started)
                if lag > 0:
                    self._closed.wait(lag)
                now = self._now()
                self._arrivals.put(Arrived(answer(command, worker, step, started, now - started), now))
            except Cancelled:
                return
            except BaseException as error:  # raised again by the loop, in the caller's thread, which waits for us
                self._arrivals.put(Failed(command.shard, error, self._now()))
                return

    def _now(self) -> float:
        return time.perf_counter() - self._listener.started
