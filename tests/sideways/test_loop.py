"""The hub loop, driven by hand: no engine, no data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offbeat.problem import Certificate
from offbeat.sideways.loop import Outcome, Policy, hub_loop
from offbeat.sideways.messages import Arrived, Failed, Interrupted, Message, Record, Run, Tick, Wait
from offbeat.sideways.protocol import Candidate, Progress


@dataclass(frozen=True)
class State:
    passes: float = 0.0
    progress: Progress | None = None
    status: str | None = None
    candidate: Candidate | None = None
    note: str = ""


@dataclass(frozen=True)
class Halving:
    """A solver whose gap halves at each update, with the gaps of some updates given by hand."""

    gaps: tuple[float, ...] = tuple(0.5**i for i in range(60))
    status_at: int | None = None

    def init_global(self, problem: Any, info: Any) -> tuple[State, int]:
        return State(), 0

    def global_step(self, problem: Any, state: State, board: Any) -> tuple[State, int]:
        gap = self.gaps[int(state.passes)]
        certificate = Certificate(gap, 0.0, gap, gap, "duality gap", 1e-3)
        progress = Progress(np.array([gap]), np.zeros(1), certificate)
        status = "stalled" if self.status_at == state.passes + 1 else None
        return replace(state, passes=state.passes + 1, progress=progress, status=status), int(state.passes) + 1


def drive(solver: Any, policy: Policy, events: Any = None, limit: int = 10_000) -> tuple[Outcome, list[Run]]:
    """Answer every run at once, last asked first; ``events(number)`` may replace an answer."""
    info: Any = SimpleNamespace(n_shards=policy.n_shards)
    loop = hub_loop(solver, None, info, policy)  # type: ignore[arg-type]
    waiting: list[Run] = []
    runs: list[Run] = []
    event: Any = None
    event_time = -1.0
    for number in range(limit):
        try:
            command = loop.send(event)
        except StopIteration as end:
            return end.value, runs
        event = None
        if isinstance(command, Run):
            waiting.append(command)
            runs.append(command)
        elif isinstance(command, Wait) and event_time >= command.until and events is None and policy.staleness > 0:
            event = Tick(event_time)  # nothing else has come in
        elif isinstance(command, Wait):
            event_time = float(number)
            run = waiting.pop()
            message = Message(0, run.worker, 0, run.shard, run.clock, "step", np.ones(1))
            event = (events and events(number)) or Arrived(message, float(number))
        else:
            assert isinstance(command, Record)
    raise AssertionError("the loop does not end")


def test_stops_on_the_certificate_and_returns_the_certified_point() -> None:
    outcome, _ = drive(Halving(), Policy(3))
    assert outcome.status == "converged"
    assert outcome.best is not None
    assert outcome.best.certificate.relative_gap <= 1e-3
    assert outcome.best.coef[0] == outcome.best.certificate.gap


def test_barrier_runs_every_shard_once_per_update() -> None:
    outcome, runs = drive(Halving(), Policy(4, 4))
    assert len(runs) == 4 * outcome.clock
    for update in range(outcome.clock):
        part = runs[4 * update : 4 * update + 4]
        assert [run.shard for run in part] != []
        assert {run.shard for run in part} == {0, 1, 2, 3}
        assert {run.query for run in part} == {update}
        assert {run.clock for run in part} == {update + 1}


def test_without_barrier_clocks_stay_within_the_staleness() -> None:
    _, runs = drive(Halving(), Policy(3, 3, staleness=2.0))
    clocks = {0: 0, 1: 0, 2: 0}
    for run in runs:
        assert run.clock - 1 - min(clocks.values()) <= 2 + 1  # started, not yet arrived, counts one
        clocks[run.shard] = run.clock
    assert max(clocks.values()) > 1


def test_the_best_point_is_kept_when_later_ones_are_worse() -> None:
    outcome, _ = drive(Halving(gaps=(1.0, 0.01, 0.5, 0.7)), Policy(1, max_passes=4))
    assert outcome.status == "max_iter"
    assert outcome.best is not None
    assert outcome.best.certificate.gap == 0.01


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (Policy(2, max_passes=3), "max_iter"),
        (Policy(2, time_limit=5.0), "time_limit"),
        (Policy(2, time_limit=0.0), "time_limit"),
        (Policy(2, callback=lambda progress, row: progress.certificate.gap < 0.2), "callback"),
    ],
)
def test_other_reasons_to_stop(policy: Policy, status: str) -> None:
    assert drive(Halving(), policy)[0].status == status


def test_a_solver_may_end_the_run() -> None:
    assert drive(Halving(status_at=2), Policy(1))[0].status == "stalled"


def test_an_interrupt_returns_the_best_so_far() -> None:
    outcome, _ = drive(Halving(), Policy(1), lambda number: Interrupted(1.0) if number > 8 else None)
    assert outcome.status == "interrupted"
    assert outcome.best is not None


def test_an_interrupt_past_the_time_limit_is_the_time_limit() -> None:
    outcome, _ = drive(Halving(), Policy(1, time_limit=50.0), lambda n: Interrupted(60.0) if n > 8 else None)
    assert outcome.status == "time_limit"


def test_what_a_step_raises_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        drive(Halving(), Policy(1), lambda number: Failed(0, ZeroDivisionError(), 1.0))


def test_what_a_callback_raises_reaches_the_caller() -> None:
    def broken(progress: Any, row: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        drive(Halving(), Policy(1, callback=broken))
