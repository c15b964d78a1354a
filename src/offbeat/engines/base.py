"""What every engine for local data shares: running one shard's step, and feeding a loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from offbeat.data.shard import Shard
from offbeat.problem import Problem
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import Command, Event, Message, Row, Run
from offbeat.sideways.protocol import Solver

T = TypeVar("T")
Loop = Generator[Command, "Event | None", Outcome]


@cache
def _libraries() -> ThreadpoolController:
    """Find the BLAS libraries once: looking takes milliseconds, setting their threads microseconds."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS keeps to one thread: engines bring their own.

    Examples
    --------
    >>> with one_blas_thread():
    ...     pass
    """
    limit: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limit


class Engine(Protocol):
    """Interprets a loop: where steps run, what the time is."""

    @property
    def name(self) -> str:
        """Name in traces and messages."""

    @property
    def n_workers(self) -> int:
        """How many steps run at once."""

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard]) -> list[T]:
        """Return ``function`` of each shard, in order."""

    def run(self, loop: Loop, steps: Steps, record: Callable[[Row], Any]) -> Outcome:
        """Drive the loop to its end; rows go to ``record``."""


class Steps:
    """Local states and the step of every shard: the only mutable part of a run besides the loop.

    Parameters
    ----------
    solver, problem
        Whose steps.
    shards : list of Shard
    started : float
        Reading of the clock that counts as zero.
    cancelled : callable
        True once the user or the time limit asks to stop.
    """

    def __init__(
        self, solver: Solver, problem: Problem, shards: list[Shard], started: float, cancelled: Callable[[], bool]
    ) -> None:
        self._solver = solver
        self._problem = problem
        self._shards = shards
        self._locals: list[Any] = [None] * len(shards)
        self._started = started
        self.cancelled = cancelled

    def now(self) -> float:
        """Return seconds since the fit began."""
        return time.perf_counter() - self._started

    def step(self, command: Run, worker: int) -> Message:
        """Run one step of a shard and return its contribution."""
        begun = self.now()
        shard = self._shards[command.shard]
        local = self._locals[command.shard]
        if local is None:
            local = self._solver.init_local(self._problem, shard)
        with np.errstate(over="ignore", invalid="ignore"):  # solvers look at what comes back
            local, payload = self._solver.local_step(self._problem, shard, local, command.query)
        self._locals[command.shard] = local
        return Message(
            0, worker, 0, command.shard, command.clock, command.query.label, payload, begun, self.now() - begun
        )
