"""One of 16 pinned shards is thirty times slower: updates when half have reported, and when all have."""

from __future__ import annotations

import math
import statistics
from typing import Any

from benchmarks.asynchrony.common import TOL, Outcome, Run, data, fit, ridge
from offbeat import engines, solvers
from offbeat.engines.faults import Exponential

N = 16
SLOW = 30.0
SEEDS = range(5)
SOLVERS = (solvers.ADMM, solvers.Newton, solvers.DelayedProximalGradient)


def measure() -> Outcome:
    """Virtual seconds to the first update and to a certified gap; medians over data and clusters of several seeds."""
    rows = []
    for solver in SOLVERS:
        waiting = type(solver.__name__, (solver,), {"early": False})
        pairs = [(_run(seed, solver()), _run(seed, waiting())) for seed in SEEDS]
        first = [statistics.median(map(_first_update, runs)) for runs in zip(*pairs, strict=True)]
        end = [statistics.median(run.seconds for run in runs) for runs in zip(*pairs, strict=True)]
        rows.append((solver.__name__, first[0], first[1], end[0], end[1]))
    title = f"One of {N} pinned shards {SLOW:g} times slower, gradient passes of 0.01 s"
    columns = ("solver", "first update", "when all wait", f"to {TOL:g}", f"to {TOL:g} when all wait")
    return Outcome(title, columns, rows, [])


def _run(seed: int, solver: Any) -> Run:
    X, y = data(N, seed=seed)
    engine = engines.Simulated(N, compute=Exponential(0.01), straggler={0: SLOW}, seed=seed)
    return fit(ridge(), X, y, solver=solver, engine=engine, staleness=math.inf, stealing=None, max_iter=2000.0)


def _first_update(run: Run) -> float:
    columns = run.solution.trace.to_arrays()
    return float(columns["time"][columns["batch"] > 0][0])
