"""Engines: the same iterates, errors that reach the caller, Ctrl-C that keeps the model."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat.data.arrays.in_memory import array_source
from offbeat.data.dataset import Dataset
from offbeat.engines import Serial, Threads
from offbeat.engines.interrupt import interruptible
from offbeat.errors import ConvergenceWarning

PROBLEM = Problem(losses.Logistic(), penalties.L2(1e-3))


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A small classification problem."""
    X = rng.standard_normal((900, 5))
    return X, (rng.random(900) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)


class SerialShards(Serial):
    """The serial engine over as many shards as `Threads(3)` has."""

    @property
    def n_workers(self) -> int:
        """Three."""
        return 3


def test_barrier_iterates_do_not_depend_on_the_engine(data) -> None:
    results = []
    for engine in (SerialShards(), Threads(3), Threads(3)):
        seen: list[np.ndarray] = []

        def keep(progress: Any, row: Any, seen: list[np.ndarray] = seen) -> None:
            seen.append(progress.coef.copy())

        solve(PROBLEM, *data, engine=engine, tol=1e-9, callback=keep)
        results.append(np.array(seen))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[1], results[2])


@pytest.mark.parametrize("engine", [Serial(), Threads(2)])
def test_map_keeps_the_order(engine: Any) -> None:
    shards = Dataset(array_source(np.ones((10, 1))), np.zeros(10)).shards(5)
    assert engine.map(lambda shard: shard.start, shards) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("engine", [Serial(), Threads(2)])
def test_an_error_in_a_step_reaches_the_caller(engine: Any, data, monkeypatch) -> None:
    def broken(self: Any, *args: Any) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(solvers.Newton, "local_step", broken)
    with pytest.raises(MemoryError, match="no more"):
        solve(PROBLEM, *data, engine=engine, solver=solvers.Newton())


@pytest.mark.parametrize("engine", [Serial(), Threads(2)])
def test_an_interrupt_returns_the_best_model_and_its_certificate(engine: Any, data) -> None:
    def press(progress: Any, row: Any) -> None:
        if row.clock == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        solution = solve(PROBLEM, *data, engine=engine, tol=0.0, callback=press, on_interrupt="return")
    assert solution.status == "interrupted"
    assert np.isfinite(solution.certificate.gap)
    assert np.any(solution.coef)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_thread_outlives_a_fit(data) -> None:
    before = threading.active_count()
    solve(PROBLEM, *data, engine=Threads(3))
    assert threading.active_count() == before


def test_a_second_interrupt_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible() as interrupted:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted.is_set()
        os.kill(os.getpid(), signal.SIGINT)


def test_fits_outside_the_main_thread_leave_signals_alone(data) -> None:
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(solve(PROBLEM, *data).status))
    thread.start()
    thread.join()
    assert statuses == ["converged"]


@pytest.mark.parametrize("engine", [Serial(), Threads(2)])
def test_a_time_limit_of_zero_ends_with_a_defined_result(engine: Any, data) -> None:
    with pytest.warns(ConvergenceWarning, match="time_limit"):
        solution = solve(PROBLEM, *data, engine=engine, time_limit=0.0)
    assert solution.status == "time_limit"
    assert np.all(np.isfinite(solution.coef))
    assert not solution.certificate.satisfied


def test_threads_need_a_worker() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Threads(0)
