"""Small chunks, a slow worker, a killed worker, and a hundred fits: what they cost."""

from __future__ import annotations

import math
import os
import signal
import time
import warnings
from typing import Any

import offbeat
from benchmarks.asynchrony.common import Outcome
from benchmarks.cluster.common import CHUNK, COLUMNS, ROWS, cluster, features, targets, timed
from offbeat import Problem, engines, losses, penalties, solvers

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-4))


def measure() -> Outcome:
    """Ratios to an undisturbed fit, shares of the client's time, counts before and after."""
    warnings.simplefilter("ignore")
    rows = [*_small_chunks(), *_slow(2), *_slow(4), *_killed(), *_hundred()]
    return Outcome("Trouble, logistic ridge", ("what", "measured", "goal"), rows, [])


def _small_chunks() -> list[tuple[Any, ...]]:
    """Fit 1,000 chunks of 500 rows without a barrier.

    The loop's share is the processor time of the thread that it runs in; that of its process includes the scheduler.
    """
    with cluster() as client:
        X = features(ROWS, COLUMNS, ROWS // 1000)
        y = targets(X, "logistic")
        options = {"solver": solvers.ADMM(), "staleness": math.inf, "tol": 1e-6, "engine": engines.Dask(client)}
        offbeat.solve(RIDGE, X, y, **options)
        begun, busy, loop_busy = time.perf_counter(), time.process_time(), time.thread_time()
        fit = offbeat.solve(RIDGE, X, y, **options)
        seconds, busy = time.perf_counter() - begun, time.process_time() - busy
        loop_busy = time.thread_time() - loop_busy
        frame = fit.trace.to_frame()
        steps = frame[frame["kind"] == "step"]
        loop = float(frame["time"].max() - steps["time"].min())
        return [
            ("1,000 chunks: seconds in all", seconds, ""),
            ("1,000 chunks: processor time of the hub loop, share", loop_busy / seconds, "0.1"),
            ("1,000 chunks: the same with Dask's client and scheduler", busy / seconds, ""),
            ("1,000 chunks: updates a second, once shards are made", len(frame[frame["kind"] == "update"]) / loop, ""),
        ]


def _slow(workers: int) -> list[tuple[Any, ...]]:
    """Slow one of some workers ten times. With n of them, n - 0.9 are left: below 1.5 only from three on."""
    with cluster(workers) as client:
        X = features()
        y = targets(X, "logistic")

        def seconds(solver: Any, slowdown: Any) -> float:
            options = {"solver": solver, "staleness": math.inf, "tol": 1e-4}
            engine = engines.Dask(client, slowdown=slowdown)
            return timed(lambda: offbeat.solve(RIDGE, X, y, engine=engine, **options))[0]

        solved = {"ADMM": solvers.ADMM(), "Newton": solvers.Newton()}
        ratios = {name: seconds(solver, {0: 10.0}) / seconds(solver, {}) for name, solver in solved.items()}
        return [(f"one of {workers} slowed 10x, {name}: times the even time", r, "1.5") for name, r in ratios.items()]


def _killed() -> list[tuple[Any, ...]]:
    return [_kill("barrier", 0.0), _kill("asynchronous", math.inf)]


def _kill(name: str, staleness: float) -> tuple[Any, ...]:
    """Return how much longer a fit takes whose worker is killed at half time."""
    with cluster(4) as client:
        X = features(4 * ROWS, COLUMNS, CHUNK)
        y = targets(X, "logistic")
        options = {"solver": solvers.ADMM(), "staleness": staleness, "tol": 1e-8, "engine": engines.Dask(client)}
        offbeat.solve(RIDGE, X, y, **options)
        plain, _ = timed(lambda: offbeat.solve(RIDGE, X, y, **options), 3)
        pids = client.run(os.getpid)
        killed: list[str] = []

        def kill(progress: Any, row: Any) -> None:
            if row.time > plain / 2.0 and not killed:
                killed.append(sorted(pids)[0])
                os.kill(pids[killed[0]], signal.SIGKILL)

        late, fit = timed(lambda: offbeat.solve(RIDGE, X, y, callback=kill, **options), 1)
        assert killed and fit.certificate.satisfied
        return f"one of four killed at half time, {name}: times {plain:.2f} s", late / plain, "2"


def _hundred() -> list[tuple[Any, ...]]:
    with cluster() as client:
        X = features(20_000, 20, 2_000)
        y = targets(X, "logistic")

        def state() -> tuple[int, float]:
            tasks = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
            memory = client.run(lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6)
            return tasks, sum(memory.values())

        offbeat.solve(RIDGE, X, y, tol=1e-6)
        time.sleep(1.0)
        before = state()
        each, _ = timed(lambda: offbeat.solve(RIDGE, X, y, tol=1e-6), 100)
        time.sleep(1.0)
        after = state()
        return [
            ("tasks on the scheduler after 100 fits, before", f"{after[0]}, {before[0]}", "the same"),
            ("MB of the workers after 100 fits, before", f"{after[1]:.0f}, {before[1]:.0f}", "the same"),
            ("seconds of a fit of 20,000 x 20", each, ""),
        ]
