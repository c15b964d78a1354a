"""Shards whose rows must be moved: to whom they go, when, and that a slow worker is left alone."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from offbeat import Problem, engines, losses, penalties, solve, solvers
from offbeat.sideways.moving import TRIAL, Moving
from offbeat.sideways.schedule import Stealing
from support.bench import gappy

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-2))


def test_where_moving_costs_nothing_nobody_waits() -> None:
    moving = Moving([0, 1], 0.0)
    moving.ended(0, 5.0)
    assert not moving.costs and moving.due(0, 1, 3.0) == 3.0


def test_rows_are_moved_when_the_wait_was_as_long_as_moving_them_takes() -> None:
    moving = Moving([0, 1], 4.0)
    assert moving.due(0, 0, 1.0) == 1.0 and moving.due(0, 1, 1.0) == 5.0
    moving.begins(0, 1)
    assert moving.due(0, 1, 1.0) == 1.0  # it has them now
    moving.lost(0)
    assert moving.due(0, 1, 1.0) == 5.0


def test_a_slow_worker_leaves_shards_to_others_and_is_tried_again_later() -> None:
    moving = Moving([0, 1], 4.0)
    moving.begins(0, 1)
    moving.ended(0, 2.0)
    assert moving.due(0, 1, 100.0) == 102.0
    moving.parks(0, 50.0)
    moving.parks(0, 60.0)
    assert moving.due(0, 1, 60.0) == 62.0 and moving.due(0, 1, 100.0) == 100.0  # idle since 50, TRIAL times 2 s
    assert 50.0 + TRIAL * 2.0 < 100.0
    moving.begins(0, 0)
    assert moving.due(0, 1, 100.0) == 102.0


@pytest.mark.parametrize("solver", [solvers.ADMM(), solvers.Newton(), solvers.SAGA()], ids=lambda solver: solver.name)
def test_shards_leave_a_slow_worker_although_moving_them_takes_several_steps(solver: solvers.Solver) -> None:
    given = gappy(400)
    even, slow = (
        solve(
            RIDGE, given.X, given.y, solver=solver, staleness=math.inf, tol=1e-8, max_iter=4000.0,
            stealing=Stealing(shards_per_worker=2, least=2.0),
            engine=engines.Simulated(2, compute=1.0, latency=0.01, straggler=straggler),
        )
        for straggler in ({}, {0: 10.0})
    )  # fmt: skip
    assert even.certificate.satisfied and slow.certificate.satisfied
    steps = [row for row in slow.trace if row.kind == "step"]
    late = Counter(row.worker for row in steps[len(steps) // 2 :])
    assert late[0] <= late[1] / 10
    assert slow.trace[-1].time < 2.0 * even.trace[-1].time  # 1.1 of two workers are left


def test_even_workers_keep_what_they_have() -> None:
    given = gappy(400)
    engine = engines.Simulated(2, compute=1.0, latency=0.01)
    solution = solve(
        RIDGE, given.X, given.y, solver=solvers.ADMM(), staleness=math.inf, tol=1e-8, max_iter=4000.0, engine=engine,
        stealing=Stealing(shards_per_worker=2, least=2.0),
    )  # fmt: skip
    assert {(row.worker, row.shard) for row in solution.trace if row.kind == "step"} == {
        (0, 0),
        (0, 1),
        (1, 2),
        (1, 3),
    }
