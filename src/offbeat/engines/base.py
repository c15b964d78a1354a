"""What every engine for local data shares: running one shard's step, and feeding a loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol, TypeVar

import numpy as np

from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.data.shards import Shard, Workspace
from offbeat.problem import Problem
from offbeat.sideways import evaluation
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import CERTIFY, Command, Event, Message, Row, Run
from offbeat.sideways.port import Program, within
from offbeat.sideways.protocol import Solver, Step
from offbeat.sideways.topologies import Broadcast, Peers

T = TypeVar("T")
Loop = Generator[Command, "Event | None", Outcome]


class Engine(Protocol):
    """Where steps and programs run, how messages travel, what the time is."""

    @property
    def name(self) -> str:
        """Name in traces and messages."""

    @property
    def n_workers(self) -> int:
        """How many steps run at once."""

    @property
    def virtual(self) -> bool:
        """Whether its clock is simulated, so that wall-clock limits mean nothing to it."""

    @property
    def usual(self) -> float:
        """A guess of the seconds of a step; ``inf`` when there is none."""

    @property
    def retry(self) -> float:
        """Multiples of the usual time after which to ask again; ``inf`` when no message is ever lost."""

    @property
    def depth(self) -> int:
        """How many steps a worker has before it without barrier, so that it need not wait for the next."""

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard], *, light: bool = False) -> list[T]:
        """Return ``function`` of each shard, in order; ``light``: it takes less time than handing it to a thread."""

    def place(self, shards: list[Shard]) -> list[Shard]:
        """Return shards where steps of this engine can run: as they are, if that is in this process."""

    def release(self, shards: list[Shard]) -> None:
        """Let go of shards that were placed, wherever they are still referred to."""

    def drive(self, loop: Loop, steps: Steps, listener: Listener) -> Outcome:
        """Interpret a hub loop to its end."""

    def gang(self, program: Program, shards: list[Shard], topology: Peers, listener: Listener) -> list[Any]:
        """Run a program on every shard, side by side, until rank 0 or all of them end; return what each returned.

        None stands for ranks that were stopped because rank 0 had ended.
        """

    def run(self, program: Program, dataset: Any, *, topology: Peers | None = None) -> list[Any]:
        """Run a user's program: see `run_program`."""


@dataclass(frozen=True)
class Listener:
    """Who hears of a run: where rows of the trace, snapshots and figures of the whole run go; who may cancel it.

    ``lead_ends`` says whether a gang ends with its rank 0; ``about`` tells people of the fit.
    """

    record: Callable[[Row], Any] = lambda row: None
    save: Callable[[Any], Any] = lambda snapshot: None
    report: Callable[[dict[str, str]], Any] = lambda figures: None
    cancelled: Callable[[], bool] = lambda: False
    lead_ends: bool = True
    about: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)


def run_program(engine: Engine, program: Program, dataset: Any, topology: Peers | None) -> list[Any]:
    """Run a program on an engine, one rank a worker, until all ranks have returned.

    Parameters
    ----------
    engine : Engine
    program : callable
        Generator function ``program(port, shard)``: see `offbeat.sideways.port`.
    dataset : Dataset or array
        Cut into one shard for each worker.
    topology : Broadcast, Tree or Gossip, optional
        Whom `push` reaches; everybody by default.

    Returns
    -------
    results : list
        What each rank returned.
    """
    data = dataset if isinstance(dataset, Dataset) else as_dataset(dataset, None)
    shards = data.shards(engine.n_workers)
    return engine.gang(program, shards, topology or Broadcast(), Listener(lead_ends=False))


class Steps:
    """Local states and the step of every shard: the only mutable part of a run besides the loop.

    A local state belongs to a shard as a worker last saw it. A worker that gets a shard whose newest step was made
    elsewhere starts from the shard's contribution: each execution of a step has a stamp, by which it is known again.
    Threads of a process may run steps of one worker at once: no two executions share memory that they write to.

    Parameters
    ----------
    solver, problem
        Whose steps.
    shards : sequence or mapping of int to Shard
    first : int
        First stamp, above 0: those that steps of the same run elsewhere give must be others.
    """

    def __init__(
        self, solver: Solver, problem: Problem, shards: Sequence[Shard] | Mapping[int, Shard], first: int = 1
    ) -> None:
        self.solver, self.problem, self.shards = solver, problem, shards
        self._locals: dict[tuple[int, int], tuple[int, Any]] = {}
        self._stamps = count(first)
        self._pace: dict[int, float] = {}
        self.allowance: Callable[[int, int, float], float] = self._measured

    def step(self, command: Run, worker: int) -> Step:
        """Run one step of a shard."""
        return self.go_on(command, worker, self.take(command, worker))

    def take(self, command: Run, worker: int) -> tuple[int, Any] | None:
        """Return the local state that a step goes on from, with its stamp; None when the worker does not hold it.

        Another worker's answer may have come first, or this one may have been asked twice. A state, and the scratch
        memory in it, belongs to one execution at a time: it is gone from here until that has ended.
        """
        if command.role == CERTIFY:
            return None
        held = self._locals.pop((worker, command.shard), None)
        return held if held is not None and held[0] == command.stamp else None

    def go_on(self, command: Run, worker: int, held: tuple[int, Any] | None) -> Step:
        """Run one step of a shard from what `take` returned."""
        shard = self.shards[command.shard]
        begun = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # solvers look at what comes back
            if command.role == CERTIFY:
                return evaluation.local_step(self.problem, shard, Workspace(), command.query)
            if held is None:
                local = self.solver.init_local(self.problem, shard, command.contribution)
            else:
                local = held[1]
            query = within(command.query, lambda seconds: self.allowance(worker, command.shard, seconds))
            step = self.solver.local_step(self.problem, shard, local, query)
        self._pace[worker] = (time.perf_counter() - begun) / max(step.work * shard.n_rows, 1e-9)
        stamp = next(self._stamps)
        self._locals[worker, command.shard] = (stamp, step.local)
        return step._replace(stamp=stamp)

    def _measured(self, worker: int, shard: int, seconds: float) -> float:
        """Return the work on a shard that a worker does in a time, at the pace of its last step; one pass at first."""
        pace = self._pace.get(worker)
        return 1.0 if pace is None else seconds / max(pace * self.shards[shard].n_rows, 1e-12)

    def forget(self, worker: int) -> None:
        """Drop what a worker held: it is gone."""
        self._locals = {key: value for key, value in self._locals.items() if key[0] != worker}


def answer(command: Run, worker: int, step: Step, started: float, duration: float, incarnation: int = 0) -> Message:
    """Return the message that brings a step's contribution to the loop."""
    return Message(
        0, worker, incarnation, command.shard, command.clock, step.kind, step.payload, started, duration,
        step.work, command.role, step.stamp,
    )  # fmt: skip


def nbytes(query: Any) -> int:
    """Return the size of the arrays in a query."""
    if isinstance(query, np.ndarray):
        return query.nbytes
    return sum(nbytes(part) for part in query) if isinstance(query, tuple) else 8
