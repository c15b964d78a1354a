"""Runs in a fresh process: prints one JSON object."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

ROWS, COLUMNS = 20_000, 100


def import_cost() -> dict[str, Any]:
    """Processor time of `import offbeat` after NumPy and SciPy."""
    import numpy  # noqa: F401
    import scipy  # noqa: F401

    wall, started = time.perf_counter(), time.process_time()
    import offbeat  # noqa: F401

    heavy = ("numba", "sklearn", "pandas", "matplotlib", "bokeh", "pyarrow", "polars")
    return {
        "cpu": time.process_time() - started, "wall": time.perf_counter() - wall,
        "loaded": [name for name in heavy if name in sys.modules],
    }  # fmt: skip


def first_fit() -> dict[str, Any]:
    """Seconds of the first and of a later fit, after `import offbeat`."""
    import offbeat
    from benchmarks.datasets.correlated import generate
    from offbeat import Problem, losses, penalties

    X, targets = generate(ROWS, COLUMNS)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        offbeat.solve(Problem(losses.Logistic(), penalties.L2(1e-4)), X, targets["binary"], tol=1e-6, progress=False)
        seconds.append(time.perf_counter() - started)
    return {"first": seconds[0], "warm": sorted(seconds[1:])[1]}


def stream(path: str, budget: str) -> dict[str, Any]:
    """Fit from a file under a memory budget: seconds, passes, and the most memory ever resident."""
    import numpy as np

    import offbeat
    from benchmarks.harness import memory
    from offbeat import Problem, losses, penalties

    y = np.load(Path(path).with_name("y.npy"))
    problem = Problem(losses.Logistic(), penalties.L2(1.0 / y.size))
    small = np.random.default_rng(0).standard_normal((2000, 10))
    offbeat.solve(problem, small, y[:2000], tol=1e-3, progress=False)  # compilation is measured elsewhere
    before = memory.resident()
    started = time.perf_counter()
    solution = offbeat.solve(problem, path, y, tol=1e-6, memory_budget=budget, progress=False)
    return {
        "seconds": time.perf_counter() - started, "passes": solution.passes, "before": before, "peak": memory.peak(),
        "gap": solution.certificate.relative_gap, "status": solution.status,
    }  # fmt: skip


PROBES = {"import-cost": import_cost, "first-fit": first_fit, "stream": stream}

if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](*sys.argv[2:])))  # type: ignore[operator]
