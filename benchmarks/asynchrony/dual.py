"""Dual ascent on sparse rows, with rounds and without: even workers, and one that is ten times slower."""

from __future__ import annotations

import math
import statistics
from typing import Any

from benchmarks.asynchrony.common import Outcome, fit
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.datasets import make_sparse_classification
from offbeat.sideways.schedule import Stealing

N = 8
ROWS, COLUMNS = 3200, 300
SEEDS = range(3)
PROBLEMS: list[tuple[Problem, float]] = [
    (Problem(losses.Logistic(), penalties.L2(1e-2)), 1e-4),
    (Problem(losses.Hinge(), penalties.L2(1e-2)), 1e-2),
]
SHARED = solvers.SDCA()
MODES: list[tuple[str, Any, dict[str, Any]]] = [
    ("SDCA, barrier, pinned", SHARED, {"staleness": 0.0, "stealing": None}),
    ("SDCA, barrier, stealable", SHARED, {"staleness": 0.0, "stealing": Stealing()}),
    ("SDCA, asynchronous, pinned", SHARED, {"staleness": math.inf, "stealing": None}),
    ("SDCA, asynchronous, stealable", SHARED, {"staleness": math.inf, "stealing": Stealing()}),
    (
        "DelayedProximalGradient, asynchronous, pinned",
        solvers.DelayedProximalGradient(),
        {"staleness": math.inf, "stealing": None},
    ),
    (
        "DelayedProximalGradient, asynchronous, stealable",
        solvers.DelayedProximalGradient(),
        {"staleness": math.inf, "stealing": Stealing()},
    ),
]


def measure() -> Outcome:
    """Virtual seconds and passes to a certified gap, even cluster and straggler; medians over data of three seeds."""
    rows = []
    for problem, tol in PROBLEMS:
        for name, solver, options in MODES:
            if problem.loss.name == "hinge" and solver is not SHARED:
                continue
            even, slow = (_median(problem, tol, solver, options, straggler) for straggler in ({}, {0: 10.0}))
            rows.append((f"{problem.loss.name} to {tol:g}, {name}", *even, *slow, slow[0] / even[0]))
    title = f"Sparse rows ({ROWS:,} x {COLUMNS}) on {N} workers, one of them ten times slower: virtual seconds"
    return Outcome(title, ("what", "even", "passes", "straggler", "passes", "ratio"), rows, [])


def _median(
    problem: Problem, tol: float, solver: Any, options: dict[str, Any], straggler: dict[int, float]
) -> tuple[float, float]:
    """Return the medians of virtual seconds and passes."""
    runs = []
    for seed in SEEDS:
        X, y = make_sparse_classification(ROWS, COLUMNS, seed=seed)
        engine = engines.Simulated(N, compute=1.0, latency=0.01, straggler=straggler)
        runs.append(fit(problem, X, y, solver=solver, engine=engine, tol=tol, max_iter=5000.0, **options))
        assert runs[-1].status == "converged"
    return statistics.median(run.seconds for run in runs), statistics.median(run.passes for run in runs)
