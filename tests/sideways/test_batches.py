"""An update takes in all that has come in since the last, or as many contributions as the hub is told to wait for."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.datasets import make_classification
from offbeat.diagnostics.trace import Trace

PROBLEM = Problem(losses.Logistic(), penalties.L2(1e-3))
ABLE = [solvers.ADMM(), solvers.DelayedProximalGradient(), solvers.Newton(), solvers.SDCA(), solvers.SAGA()]
BUSY = 0.004  # seconds of an update, in which four workers answer


class SlowHub(solvers.DelayedProximalGradient):
    """Its updates take as long as several steps."""

    def global_step(self, problem: Any, state: Any, board: Any) -> Any:
        time.sleep(0.01)
        return super().global_step(problem, state, board)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    made = make_classification(1600, 5, seed=0)
    return made.X, made.y


def fit(data: tuple[Any, Any], engine: Any, batch: int | None, **options: Any) -> offbeat.Solution:
    how: dict[str, Any] = {"solver": solvers.DelayedProximalGradient(), "tol": 1e-3, "staleness": math.inf, **options}
    return offbeat.solve(PROBLEM, *data, engine=engine, topology=topology.Hub(batch), **how)


def batches(trace: Trace) -> np.ndarray:
    """Return the sizes of the batches after the first, which waits for every shard."""
    sizes = trace.to_arrays()["batch"]
    return sizes[sizes > 0][1:]


def cluster(update: float) -> engines.Simulated:
    return engines.Simulated(16, compute=engines_model(), straggler={0: 5.0}, update=update)


def engines_model() -> Any:
    from offbeat.engines.simulation.models import Exponential

    return Exponential(0.016)


@pytest.mark.parametrize("solver", ABLE, ids=lambda solver: solver.name)
def test_a_busy_hub_takes_in_all_that_came_in_meanwhile(solver: Any, data: tuple[Any, Any]) -> None:
    single = fit(data, cluster(BUSY), 1, solver=solver)
    batched = fit(data, cluster(BUSY), None, solver=solver)
    assert single.status == batched.status == "converged"
    assert set(batches(single.trace)) == {1}
    assert batches(batched.trace).mean() > 1.5
    assert float(batched.trace.metadata["seconds"]) < float(single.trace.metadata["seconds"])


def test_a_hub_that_is_never_busy_takes_in_one_at_a_time(data: tuple[Any, Any]) -> None:
    assert set(batches(fit(data, cluster(0.0), None).trace)) == {1}


@pytest.mark.parametrize("size", [2, 5])
def test_a_hub_waits_for_a_batch_of_the_size_it_is_told(size: int, data: tuple[Any, Any]) -> None:
    assert set(batches(fit(data, cluster(0.0), size).trace)) == {size}


def test_a_round_is_a_batch_of_all_shards(data: tuple[Any, Any]) -> None:
    assert set(batches(fit(data, cluster(BUSY), None, staleness=0.0).trace)) == {16}


def test_threads_hand_over_what_is_there(data: tuple[Any, Any]) -> None:
    single = fit(data, engines.Threads(4), 1, solver=SlowHub())
    batched = fit(data, engines.Threads(4), None, solver=SlowHub())
    assert set(batches(single.trace)) == {1}
    assert batches(batched.trace).max() > 1


def test_one_worker_hands_over_one_at_a_time(data: tuple[Any, Any]) -> None:
    class FourShards(engines.Serial):
        n_workers = 4

    assert set(batches(fit(data, FourShards(), None, stealing=None).trace)) == {1}


@pytest.mark.parametrize(("batch", "busy"), [(None, BUSY), (1, 0.0)])
def test_the_staleness_of_a_step_is_that_of_its_query(batch: int | None, busy: float, data: tuple[Any, Any]) -> None:
    """It does not grow with the fit: the slow worker misses as many updates as the others make meanwhile."""
    columns = fit(data, cluster(busy), batch, tol=1e-5).trace.to_arrays()
    slow, steps = columns["worker"] == 0, columns["kind"] == "step"
    updates = columns["time"][columns["batch"] > 0]
    for row in np.flatnonzero(steps & slow):
        begun, over = columns["time"][row], columns["time"][row] + columns["duration"][row]
        missed = int(np.count_nonzero((updates > begun) & (updates <= over)))
        stale = int(columns["staleness"][row])
        if stale == 0:  # an evaluation of a candidate, which does not age
            continue
        assert abs(stale - missed) <= 6 + missed // 4  # messages are under way as well
    fast = columns["staleness"][steps & ~slow]
    assert columns["staleness"][steps & slow].mean() > 2.0 * fast.mean()
    assert fast[len(fast) // 2 :].mean() < 2.0 * fast[: len(fast) // 2].mean() + 1.0
    barrier = fit(data, cluster(busy), batch, staleness=0.0).trace.to_arrays()
    assert not barrier["staleness"].any()
