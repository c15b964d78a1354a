"""One worker, in the calling thread."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from offbeat.data.shards import Cancelled, Shard
from offbeat.engines.base import Listener, Loop, Steps, answer, run_program
from offbeat.engines.blas import one_blas_thread
from offbeat.engines.interpreter import interpret
from offbeat.engines.threads import Threads
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import Arrived, Event, Interrupted, Run, Tick, Wait
from offbeat.sideways.port import Program
from offbeat.sideways.topologies import Peers

T = TypeVar("T")


@dataclass(frozen=True)
class Serial:
    """Run every step in the calling thread, first come, first served.

    Examples
    --------
    >>> Serial().n_workers
    1
    """

    name = "serial"
    virtual = False
    depth = 1
    usual = math.inf
    retry = math.inf

    @property
    def n_workers(self) -> int:
        """One."""
        return 1

    def place(self, shards: list[Shard]) -> list[Shard]:
        """Return the shards as they are."""
        return shards

    def release(self, shards: list[Shard]) -> None:
        """Do nothing: they go with the last that refers to them."""

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard], *, light: bool = False) -> list[T]:
        """Return ``function`` of each shard, in order."""
        return [function(shard) for shard in shards]

    def drive(self, loop: Loop, steps: Steps, listener: Listener) -> Outcome:
        """Interpret a hub loop to its end."""
        host = _Host(steps, listener)
        with one_blas_thread():
            return interpret(loop, host.start, host.next, listener)

    def gang(self, program: Program, shards: list[Shard], topology: Peers, listener: Listener) -> list[Any]:
        """Run a program on every shard, on threads: programs wait for each other."""
        return Threads(len(shards)).gang(program, shards, topology, listener)

    def run(self, program: Program, dataset: Any, *, topology: Peers | None = None) -> list[Any]:
        """Run a user's program on one worker; see `offbeat.engines.base.run_program`."""
        return run_program(self, program, dataset, topology)


class _Host:
    """Runs a step when the loop waits for it."""

    def __init__(self, steps: Steps, listener: Listener) -> None:
        self._steps, self._listener = steps, listener
        self._waiting: deque[Run] = deque()

    def start(self, command: Run) -> None:
        self._waiting.append(command)

    def next(self, wait: Wait) -> Event:
        started = self._now()
        if not self._waiting or wait.until <= started:  # nothing comes in before
            return Tick(started)
        command = self._waiting.popleft()
        try:
            step = self._steps.step(command, 0)
        except Cancelled:
            return Interrupted(self._now())
        if self._listener.cancelled():
            return Interrupted(self._now())
        return Arrived(answer(command, command.worker, step, started, self._now() - started), self._now())

    def _now(self) -> float:
        return time.perf_counter() - self._listener.started
