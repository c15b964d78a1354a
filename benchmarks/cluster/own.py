"""The fits of `benchmarks.cluster.glm` against our own threads: as rounds of tasks, and among peers."""

from __future__ import annotations

import statistics
import time
import warnings
from typing import Any

import offbeat
from benchmarks.asynchrony.common import Outcome
from benchmarks.cluster.common import ROUNDS, cluster
from benchmarks.cluster.glm import GOAL, data
from offbeat import Problem, engines, topology


def measure() -> Outcome:
    """Seconds to a certified 1e-6 and their ratio to those of two threads, in turns."""
    warnings.simplefilter("ignore")
    rows: list[tuple[Any, ...]] = []
    with cluster() as client:
        dask, threads = engines.Dask(client), engines.Threads(2)
        for case, X, y, here, target in data():
            ways: dict[str, tuple[Any, Any, dict[str, Any]]] = {
                "two threads": (here, target, {"engine": threads}),
                "Dask, rounds of tasks": (X, y, {"engine": dask}),
                "Dask, peers": (X, y, {"engine": dask, "topology": topology.Broadcast()}),
            }
            times: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS + 1):  # the first compiles
                for name, (A, b, how) in ways.items():
                    begun = time.perf_counter()
                    offbeat.solve(Problem(case.loss, case.penalty), A, b, tol=GOAL, fit_intercept=False, **how)
                    times[name].append(time.perf_counter() - begun)
            seconds = {name: statistics.median(each[1:]) for name, each in times.items()}
            rows += [(case.name, name, s, s / seconds["two threads"]) for name, s in seconds.items()]
    title = "500,000 x 100 in chunks of 50,000: seconds to a certified 1e-6"
    return Outcome(title, ("problem", "who", "seconds", "times two threads"), rows, [])
