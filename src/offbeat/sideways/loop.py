"""The hub loop: dispatch, gather, update, stop. A generator that yields commands and is sent events; no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from offbeat.problem import Problem
from offbeat.sideways import early
from offbeat.sideways.board import Board
from offbeat.sideways.certify import Certifier
from offbeat.sideways.flights import Flight
from offbeat.sideways.messages import (
    CERTIFY,
    Arrived,
    Command,
    Event,
    Failed,
    Idle,
    Interrupted,
    Joined,
    Lost,
    Record,
    Row,
    Run,
    Save,
    Wait,
)  # fmt: skip
from offbeat.sideways.protocol import DataInfo, Progress, Solver, State, limited
from offbeat.sideways.schedule import Schedule, Stealing
from offbeat.sideways.topologies import Hub, Topology

LAST_LOOK = ("max_iter", "stalled")
"""Reasons to stop that wait for a certificate of what has been reached: a fit that never looked has nothing else."""
ELSEWHERE = -1  # stamp of a step of another run: nobody holds what goes with it


@dataclass(frozen=True)
class Policy:
    """When shards run and when the fit stops.

    Parameters
    ----------
    n_shards, n_workers : int
        Shard ``s`` is at home on worker ``s * n_workers // n_shards``.
    staleness : float
        How many clocks a shard may run ahead of the slowest: 0 waits for all, ``inf`` never waits.
    topology : Topology
    max_passes : float
        Passes over the data.
    time_limit : float
        Seconds of the engine's clock.
    callback : callable, optional
        Called with `Progress` and the trace row after each certified update; true stops the fit.
    concurrency : float
        Most steps under way at once; 1 visits the shards one after another.
    stealing : Stealing, optional
        Whether shards may move to idle workers.
    retry : float
        Multiples of the usual time of a step after which its worker is asked again: for engines that lose messages.
    usual : float
        First guess of that time, in seconds.
    depth : int
        Steps that a worker has before it without barrier.
    save_every : float
        Seconds between snapshots.
    watch : callable, optional
        Called with every candidate and its time.
    """

    n_shards: int
    n_workers: int = 1
    staleness: float = 0.0
    topology: Topology = field(default_factory=Hub)
    max_passes: float = math.inf
    time_limit: float = math.inf
    callback: Callable[[Progress, Row], Any] | None = None
    concurrency: float = math.inf
    stealing: Stealing | None = None
    retry: float = math.inf
    usual: float = math.inf
    depth: int = 1
    save_every: float = math.inf
    watch: Callable[[Any, float], Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the best certified point (None when none was reached), why, and after how many passes."""

    best: Progress | None
    status: str
    passes: float
    clock: int


@dataclass(frozen=True)
class Snapshot:
    """What a fit continues from: the newest contributions, the solver's state and the best point so far.

    Without a query, the solver begins anew, and so does the count of passes; the best point and that of updates go on.
    """

    state: Any
    query: Any
    contributions: tuple[Any, ...]
    best: Progress | None
    clock: int


def hub_loop(
    solver: Solver, problem: Problem, info: DataInfo, policy: Policy, resume: Snapshot | None = None
) -> Generator[Command, Event | None, Outcome]:
    """Drive a solver until its certificate, its budget or the user says stop.

    Yields `Run`, `Record`, `Save` and `Wait`; the engine answers each `Wait` with an event. The returned point is the
    one whose certificate is the smallest seen.

    Raises
    ------
    BaseException
        Whatever a step or the callback raised.
    """
    hub = _HubRun(solver, problem, info, policy, resume)
    while True:
        if not hub.gathers:
            for flight in hub.schedule.assign(hub.now):
                yield hub.command(flight)
        # An update with all that came in: first whatever else is there already. The answer is a tick when that is all.
        event = yield Wait(hub.now if hub.gathers else min(hub.schedule.next_look(), policy.time_limit))
        assert event is not None
        hub.now = event.time
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Interrupted):
            if math.isfinite(policy.save_every):
                yield Save(hub.snapshot())
            return hub.outcome("time_limit" if event.time >= policy.time_limit else "interrupted")
        for row in hub.take(event):
            yield Record(row)
        if hub.ending is not None:
            if math.isfinite(policy.save_every):  # with a higher limit or a smaller tolerance, it can go on
                yield Save(hub.snapshot())
            return hub.outcome(hub.ending)
        if hub.now >= hub.save_at:
            yield Save(hub.snapshot())


class _HubRun:
    """What the hub knows: the solver's state, the board, who is doing what, the best certified point."""

    def __init__(
        self, solver: Solver, problem: Problem, info: DataInfo, policy: Policy, resume: Snapshot | None
    ) -> None:
        self.solver, self.problem, self.policy = solver, problem, policy
        self.state, self.query = solver.init_global(problem, info)
        self.board = Board(policy.n_shards, exact=policy.staleness == 0)
        self.schedule = Schedule(
            policy.n_shards, policy.n_workers, staleness=policy.staleness, stealing=policy.stealing,
            concurrency=policy.concurrency, retry=policy.retry, usual=policy.usual, depth=policy.depth,
        )  # fmt: skip
        self.certifier = Certifier(problem, info)
        self.best = Best()
        self.update, self.fresh, self.now = 0, 0, 0.0
        self.asked_at: dict[tuple[int, int, int], int] = {}  # the last update when a worker was asked for a step
        self.least_heard = early.least_heard(solver, policy.staleness)
        self.gathers = False  # an update is due, and takes in what else has come in meanwhile
        self.save_at = policy.save_every
        self.ending: str | None = None
        if resume is not None:
            self._resume(resume)

    def command(self, flight: Flight) -> Run:
        """Return the command that starts a step."""
        if flight.role == CERTIFY:
            return Run(flight.shard, flight.clock, self.certifier.point, flight.worker, CERTIFY)
        slot = self.board.slot(flight.shard)
        last, stamp = (None, 0) if slot is None else (slot.payload, slot.stamp)
        query = limited(self.query, self.policy.max_passes - self.state.passes)
        self.asked_at.setdefault((flight.worker, flight.shard, flight.clock), self.update)
        return Run(flight.shard, flight.clock, query, flight.worker, contribution=last, stamp=stamp)

    def take(self, event: Event) -> list[Row]:
        """Take in an event; return what is to be recorded."""
        rows: list[Row] = []
        if isinstance(event, Arrived):
            rows = self._arrived(event)
        elif isinstance(event, Joined):
            self.board.fence(event.worker, event.incarnation)
            self.schedule.joined(event.worker)
        elif isinstance(event, Lost):
            self.board.fence(event.worker, event.incarnation + 1)
            self.schedule.lost(event.worker)
            self.asked_at = {key: update for key, update in self.asked_at.items() if key[0] != event.worker}
        elif isinstance(event, Idle):
            self.schedule.idle(event.worker, event.since)
        elif self.gathers:
            rows = [self._update()]
        else:
            self.schedule.wake()
        if self.ending is None and self.now >= self.policy.time_limit:
            self.ending = "time_limit"
        return rows

    def outcome(self, status: str) -> Outcome:
        """Return how the run ended."""
        return Outcome(self.best.progress, status, self.state.passes, self.update)

    def snapshot(self) -> Snapshot:
        """Return what the fit can be continued from."""
        self.save_at = self.now + self.policy.save_every
        slots = tuple(self.board.slot(s) for s in range(self.policy.n_shards))
        return Snapshot(self.state, self.query, slots, self.best.progress, self.update)

    def _resume(self, old: Snapshot) -> None:
        self.update = old.clock
        self.best.progress = old.best
        if old.query is None:
            return
        self.state, self.query = old.state, old.query
        for message in old.contributions:
            if message is not None:
                self.board.put(message._replace(clock=0, incarnation=0, stamp=ELSEWHERE))

    def _arrived(self, event: Arrived) -> list[Row]:
        message = event.message
        rows = [self._step_row(event)] if self.schedule.expects(message) else []
        if not self.board.alive(message):  # its worker is known to have lost what this came from
            return rows
        first = self.schedule.arrived(message, event.time)
        if message.role == CERTIFY:
            progress = self.certifier.put(message) if first else None
            return rows if progress is None else [*rows, self._certified(progress)]
        if first and self.board.put(message):
            self.fresh += 1
            self.certifier.worked(message.work, message.shard)
        if not self._may_update():
            return rows
        if self.policy.staleness == 0 or self.policy.topology.batch is not None:
            return [*rows, self._update()]
        self.gathers = True
        return rows

    def _step_row(self, event: Arrived) -> Row:
        """Return the trace row of a worker's step: its staleness is the number of updates while it was under way."""
        m = event.message
        asked_at = self.update if m.role == CERTIFY else self.asked_at.pop((m.worker, m.shard, m.clock), self.update)
        return Row(
            time=m.started, duration=m.duration, kind="step", worker=m.worker, shard=m.shard, clock=m.clock,
            staleness=self.update - asked_at, bytes=m.payload.nbytes, note=m.kind,
        )  # fmt: skip

    def _may_update(self) -> bool:
        if not self.fresh or self.board.heard < self.least_heard:
            return False
        if self.policy.staleness == 0:
            return self.schedule.level
        return self.fresh >= (self.policy.topology.batch or 1)

    def _update(self) -> Row:
        batch, self.fresh, self.gathers, self.update = self.fresh, 0, False, self.update + 1
        self.state, self.query = early.global_step(self.solver, self.problem, self.state, self.board)
        self.schedule.new_round()
        row = self.best.see(self.state.progress, self.state, self.now, self.update)._replace(batch=batch)
        candidate = self.state.candidate
        self.ending = why_stop(self.state, self.best, self.policy, row)
        if candidate is not None:
            if self.policy.watch is not None:
                self.policy.watch(candidate, self.now)
            last = self.ending in LAST_LOOK
            self.ending = None if last else self.ending
            if self.certifier.wants(candidate, last=last):
                self.certifier.begin(candidate)
                self.schedule.ask(self.certifier.number)
        return row

    def _certified(self, progress: Progress) -> Row:
        row = self.best.see(progress, self.state, self.now, self.update)
        self.ending = why_stop(self.state, self.best, self.policy, row)
        return row


class Best:
    """The best certified point, and how far the run has come."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.fresh: Progress | None = None
        self.passes, self.updates = 0.0, 0

    def see(self, progress: Progress | None, state: State, now: float, update: int) -> Row:
        """Take note of a point (None: of an update without one); return its row of the trace."""
        self.fresh, self.passes, self.updates = progress, state.passes, update
        note = state.note
        if progress is None:
            return Row(time=now, passes=state.passes, clock=update, note=note)
        best, c = self.progress, progress.certificate
        if progress.finite and (best is None or c.relative_gap <= best.certificate.relative_gap):
            self.progress = progress
        return Row(
            time=now, passes=state.passes, clock=update, primal=c.primal, dual=c.dual, gap=c.gap,
            primal_residual=progress.primal_residual, dual_residual=progress.dual_residual, note=note,
        )  # fmt: skip


def why_stop(state: State, best: Best, policy: Policy, row: Row) -> str | None:
    """Return why to stop now, or None."""
    asked = policy.callback is not None and best.fresh is not None and policy.callback(best.fresh, row)
    if best.progress is not None and best.progress.certificate.satisfied:
        return "converged"
    if asked:
        return "callback"
    if state.status is not None:
        return str(state.status)
    if row.time >= policy.time_limit:
        return "time_limit"
    return "max_iter" if state.passes >= policy.max_passes else None
