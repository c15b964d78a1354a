"""The hub loop: dispatch, gather, update, stop. A generator that yields commands and is sent events; no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from offbeat.problem import Problem
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Arrived, Command, Event, Failed, Interrupted, Record, Row, Run, Wait
from offbeat.sideways.protocol import DataInfo, Hub, Progress, Solver


@dataclass(frozen=True)
class Policy:
    """When shards run and when the fit stops.

    Parameters
    ----------
    n_shards : int
    staleness : float
        How many clocks a shard may run ahead of the slowest: 0 waits for all, ``inf`` never waits.
    topology : Hub
    max_passes : float
        Passes over the data.
    time_limit : float
        Seconds of the engine's clock.
    callback : callable, optional
        Called with `Progress` and the trace row after each certified update; true stops the fit.
    """

    n_shards: int
    staleness: float = 0.0
    topology: Hub = field(default_factory=Hub)
    max_passes: float = math.inf
    time_limit: float = math.inf
    callback: Callable[[Progress, Row], Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the best certified point (None when none was reached), why, and after how many passes."""

    best: Progress | None
    status: str
    passes: float
    clock: int


class _Schedule:
    """Which shards may start, and when the iterate may move: the staleness rule."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.clocks = [0] * policy.n_shards
        self.idle = list(range(policy.n_shards))

    def startable(self) -> list[int]:
        slowest = min(self.clocks)
        ready = [s for s in self.idle if self.clocks[s] - slowest <= self.policy.staleness]
        self.idle = [s for s in self.idle if s not in ready]
        return ready

    def arrived(self, shard: int) -> None:
        self.clocks[shard] += 1
        self.idle.append(shard)

    def may_update(self, board: Board, fresh: int) -> bool:
        if not board.complete:
            return False
        if self.policy.staleness == 0:
            return len(self.idle) == self.policy.n_shards
        return fresh >= (self.policy.topology.batch or 1)


def hub_loop(
    solver: Solver, problem: Problem, info: DataInfo, policy: Policy
) -> Generator[Command, Event | None, Outcome]:
    """Drive a solver until its certificate, its budget or the user says stop.

    Yields `Run`, `Record` and `Wait`; the engine answers each `Wait` with an event. The returned point is the one
    whose certificate is the smallest seen; its dual bound is the best seen.

    Raises
    ------
    BaseException
        Whatever a step or the callback raised.
    """
    state, query = solver.init_global(problem, info)
    board = Board(policy.n_shards, exact=policy.staleness == 0)
    schedule = _Schedule(policy)
    best = _Best()
    update, fresh, now = 0, 0, 0.0
    while True:
        for shard in schedule.startable():
            yield Run(shard, schedule.clocks[shard] + 1, query)
        event = yield Wait()
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Interrupted):
            reason = "time_limit" if event.time >= policy.time_limit else "interrupted"
            return Outcome(best.progress, reason, state.passes, update)
        assert isinstance(event, Arrived)
        now = event.time
        schedule.arrived(event.message.shard)
        fresh += board.put(event.message)
        yield Record(_step_row(event, update))
        if schedule.may_update(board, fresh):
            fresh, update = 0, update + 1
            state, query = solver.global_step(problem, state, board)
            row = best.see(state, now, update)
            yield Record(row)
            status = _ending(state, best, policy, row)
            if status is not None:
                return Outcome(best.progress, status, state.passes, update)
        elif now >= policy.time_limit:
            return Outcome(best.progress, "time_limit", state.passes, update)


class _Best:
    """The best certified point, and the best dual bound of all points."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.fresh: Progress | None = None

    def see(self, state: Any, now: float, update: int) -> Row:
        progress: Progress | None = state.progress
        self.fresh = None
        note = getattr(state, "note", "")
        if progress is None:
            return Row(time=now, passes=state.passes, clock=update, note=note)
        self.fresh = progress
        if self.progress is None or progress.certificate.relative_gap <= self.progress.certificate.relative_gap:
            self.progress = progress
        c = progress.certificate
        return Row(
            time=now, passes=state.passes, clock=update, primal=c.primal, dual=c.dual, gap=c.gap,
            primal_residual=progress.primal_residual, dual_residual=progress.dual_residual, note=note,
        )  # fmt: skip


def _ending(state: Any, best: _Best, policy: Policy, row: Row) -> str | None:
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


def _step_row(event: Arrived, update: int) -> Row:
    """Return the trace row of one worker's step."""
    m = event.message
    return Row(
        time=m.started, duration=m.duration, kind="step", worker=m.worker, shard=m.shard, clock=m.clock,
        staleness=max(update + 1 - m.clock, 0), bytes=m.payload.nbytes, note=m.kind,
    )  # fmt: skip
