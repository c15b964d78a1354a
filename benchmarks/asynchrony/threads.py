"""Real time: flights on four threads, one of them slowed ten times with sleeps."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np

from benchmarks.asynchrony.common import Outcome, fit, ridge
from offbeat import engines, solvers
from offbeat.datasets import load_flights
from offbeat.sideways.schedule import Stealing

ROUNDS = 3
SLOW = {0: 10.0}


def measure() -> Outcome:
    """Time to a certified gap of 1e-4 with the barrier and without."""
    flights = load_flights()
    X = np.ascontiguousarray(flights.X, np.float64)
    y = np.asarray(flights.y, np.float64)
    rows = []
    for name, solver in {"Newton": solvers.Newton(), "ADMM": solvers.ADMM()}.items():

        def seconds(solver: Any = solver, **options: Any) -> float:
            engine = engines.Threads(4, slowdown=options.pop("slow", SLOW))
            runs = [
                fit(ridge(1e-4), X, y, solver=solver, engine=engine, standardize=True, time_limit=30.0, **options)
                for _ in range(ROUNDS)
            ]
            return statistics.median(run.seconds if run.status == "converged" else math.inf for run in runs)

        even = seconds(staleness=0.0, stealing=None, slow={})
        barrier = seconds(staleness=0.0, stealing=None)
        pinned = seconds(staleness=math.inf, stealing=None)
        free = seconds(staleness=math.inf, stealing=Stealing())
        rows.append((name, even, barrier, pinned, free, barrier / min(pinned, free)))
    columns = ("solver", "even, barrier", "barrier", "asynchronous, pinned", "asynchronous, stealable", "gain")
    title = "Flights on four threads (two cores), one slowed ten times: real seconds to a certified gap of 1e-4"
    return Outcome(title, columns, rows, [])
