"""Dual ascent without rounds: slow workers, late and lost messages, lost state; what keeps it from overshooting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from conformance.oracle import Data, optimum
from offbeat import Problem, engines, losses, penalties, solve, solvers, topology
from offbeat.data.load import as_dataset
from offbeat.engines import faults
from offbeat.fit.inspection import Options, inspect
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Message
from offbeat.solvers.dual import shard as dual_rows
from offbeat.solvers.dual.shard import SdcaContribution
from support.bench import gappy

LOSSES = [losses.Logistic(), losses.SquaredHinge(), losses.Hinge(), losses.Squared(), losses.Huber()]
RIDGE = penalties.L2(1e-2)


def fit(problem: Problem, X: Any, y: Any, **options: Any) -> Any:
    settings = {"tol": 1e-8, "max_iter": 4000.0, "solver": solvers.SDCA(), "staleness": np.inf} | options
    return solve(problem, X, y, **settings)


CLUSTERS = {
    "hub": {"topology": topology.Hub()},
    "hub-pinned": {"topology": topology.Hub(batch=1), "stealing": None},
    "broadcast": {"topology": topology.Broadcast()},
    "tree": {"topology": topology.Tree(2)},
    "gossip": {"topology": topology.Gossip(2)},
}
BAD = (faults.Loss(0.1), faults.Duplicate(0.1), faults.Delay(0.3, 1.5))


@pytest.mark.parametrize("cluster", CLUSTERS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_nobody_waits_for_a_slow_worker(loss: Any, cluster: str) -> None:
    """A tenfold straggler, with an intercept and soft thresholds."""
    given, problem = gappy(), Problem(loss, penalties.ElasticNet(8e-2, 0.3))
    tol = {"hinge": 3e-3, "logistic": 1e-8}.get(loss.name, 1e-5)
    engine = engines.Simulated(4, compute=1.0, latency=0.01, straggler={0: 10.0}, seed=3)
    solution = fit(problem, given.X, given.y, engine=engine, tol=tol, **CLUSTERS[cluster])
    assert solution.status == "converged"
    if loss.name != "hinge":
        assert_allclose(solution.certificate.primal, optimum(problem, given), rtol=10.0 * tol)


def test_eight_shards_at_once_do_not_swing_about_the_intercept() -> None:
    """As on two workers with four threads each; with as many passes as a fit in rounds takes."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((4000, 20))
    y = (X @ rng.standard_normal(20) + rng.standard_normal(4000) > 0.0).astype(float)
    given, problem = Data(X, y), Problem(losses.Logistic(), penalties.L2(1e-3))
    engine = engines.Simulated(8)
    solution = fit(problem, X, y, engine=engine, stealing=None, tol=3e-5, max_iter=150.0)
    assert solution.status == "converged"
    assert_allclose(solution.certificate.primal, optimum(problem, given), rtol=1e-4)


@pytest.mark.parametrize("staleness", [1.0, np.inf])
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_bad_network_and_lost_state_leave_the_optimum(cluster: str, staleness: float) -> None:
    given, problem = gappy(), Problem(losses.SquaredHinge(), penalties.L2(5e-2))
    dying = (*BAD, faults.Crash(1, 5.0, 2.0), faults.Crash(2, 20.0, 0.0))
    engine = engines.Simulated(4, compute=1.0, latency=0.01, faults=dying, seed=3)
    solution = fit(problem, given.X, given.y, engine=engine, staleness=staleness, tol=1e-6, **CLUSTERS[cluster])
    assert solution.status == "converged"
    assert_allclose(solution.certificate.primal, optimum(problem, given), rtol=1e-5)


@pytest.mark.parametrize("latency", [3.0, 10.0])
@pytest.mark.parametrize("cluster", ["hub", "hub-pinned", "broadcast", "tree"])
def test_messages_that_take_longer_than_steps(cluster: str, latency: float) -> None:
    """Ranks make ten steps and more before they hear of the others' first: they hold back by as much."""
    given, problem = gappy(), Problem(losses.Logistic(), penalties.L2(2e-3))
    engine = engines.Simulated(4, compute=1.0, latency=latency)
    solution = fit(problem, given.X, given.y, engine=engine, tol=1e-5, **CLUSTERS[cluster])
    assert solution.status == "converged"
    assert_allclose(solution.certificate.primal, optimum(problem, given), rtol=1e-4)


def test_a_straggler_costs_less_than_with_a_barrier() -> None:
    given, problem = gappy(), Problem(losses.SquaredHinge(), penalties.L2(5e-2))
    engine = engines.Simulated(4, compute=1.0, latency=0.01, straggler={0: 10.0})
    options = {"engine": engine, "stealing": None, "tol": 1e-5}
    runs = [fit(problem, given.X, given.y, staleness=staleness, **options) for staleness in (0.0, np.inf)]
    seconds = [float(run.trace.metadata["seconds"]) for run in runs]
    assert seconds[1] < 0.7 * seconds[0]


def test_slow_shards_take_long_steps_and_all_together_are_safe() -> None:
    """The reciprocals of all that shards hold back by add up to the share of them that is at work."""
    given, problem, solver = gappy(), Problem(losses.Logistic(), RIDGE), solvers.SDCA()
    dataset = as_dataset(given.X, given.y)
    shards = dataset.shards(3)
    info = inspect(problem, dataset, shards, engines.Serial(), Options())
    info = replace(info, staleness=np.inf, at_once=3)
    state, asked = solver.init_global(problem, info)
    board = Board(3, exact=False)
    for i, steps in enumerate((8, 4, 1)):
        local = solver.init_local(problem, shards[i])
        for clock in range(1, steps + 1):
            step = solver.local_step(problem, shards[i], local, asked)
            local = step.local
            board.put(Message(0, i, 0, i, clock, step.kind, step.payload))
    state, asked = solver.global_step(problem, state, board)
    sigma = [
        dual_rows.with_own_sigma(asked, SdcaContribution.unflat(board.slot(i).payload, 13)).sigma  # type: ignore[union-attr]
        for i in range(3)
    ]
    assert_allclose([each / sigma[2] for each in sigma], [8.0, 4.0, 1.0])
    assert_allclose(sum(1.0 / each for each in sigma), 3.0 / state.window)
    assert asked.seen == 13.0


def test_ranks_that_hear_in_another_order_come_to_the_same_point() -> None:
    """Anchors are sums over the board too: nothing that a rank alone remembers is in them."""
    given, problem, solver = gappy(), Problem(losses.Huber(), RIDGE), solvers.SDCA()
    dataset = as_dataset(given.X, given.y)
    shards = dataset.shards(2)
    info = replace(inspect(problem, dataset, shards, engines.Serial(), Options()), staleness=np.inf, at_once=2)
    state, asked = solver.init_global(problem, info)
    local = [solver.init_local(problem, shard) for shard in shards]
    ranks, boards = [state, state], [Board(2), Board(2)]
    for clock in range(1, 9):
        news = []
        for i, shard in enumerate(shards):
            step = solver.local_step(problem, shard, local[i], asked)
            local[i] = step.local
            news.append(Message(0, i, 0, i, clock, step.kind, step.payload))
        for board, order in zip(boards, (news, news[::-1]), strict=True):
            for message in order:
                board.put(message)
        ranks[0], asked = solver.global_step(problem, ranks[0], boards[0])
        if clock % 3 == 1:  # the other rank misses some
            ranks[1], other = solver.global_step(problem, ranks[1], boards[1])
            assert_array_equal(other.point, asked.point)
            assert_array_equal(other.anchor, asked.anchor)
