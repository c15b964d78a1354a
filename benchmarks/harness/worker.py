"""The process in which one solver fits: reads requests as JSON lines, answers likewise.

Whatever a library prints goes to standard error, so that it cannot garble an answer.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.harness import matrix, memory, registry
from benchmarks.harness.problem import Problem
from benchmarks.harness.solver import BaseSolver, Rung

WARM_ROWS = 2000
SHORT = 0.05
"""A fit faster than this is repeated within one run, for `LONG` seconds, and the median is its time."""
LONG = 0.3


def open_problem(request: dict[str, Any]) -> Problem:
    """Load the data into this process's own memory."""
    folder = Path(request["data"])
    y = np.load(folder / f"y-{request['target']}.npy")
    alphas = np.array(request["alphas"])
    return Problem(
        request["name"], request["loss"], alphas, request["l1_ratio"], request["fit_intercept"],
        matrix.load(folder), y, request["threads"], folder,
    )  # fmt: skip


def warm(solver: BaseSolver, problem: Problem) -> dict[str, Any]:
    """Fit a small slice once, untimed by the race: imports, compilation, thread pools."""
    started = time.perf_counter()
    ladder = solver.ladder(problem)
    small = problem.head(WARM_ROWS)
    solver.prepare(small)
    solver.fit(small, ladder[len(ladder) // 2])
    seconds = time.perf_counter() - started
    solver.prepare(problem)
    return {"first": seconds, "ladder": ladder}


def fit(solver: BaseSolver, problem: Problem, rung: Rung) -> dict[str, Any]:
    """Time one fit."""
    gc.collect()
    tracked = memory.reset_peak()
    before = memory.resident()
    times, processor = [], time.process_time()
    while True:
        started = time.perf_counter()
        coef, intercept = solver.fit(problem, rung)
        times.append(time.perf_counter() - started)
        if times[0] >= SHORT or sum(times) >= LONG:
            break
    processor = (time.process_time() - processor) / len(times)
    after = memory.peak()
    extra = after - before if tracked and after is not None and before is not None else None
    coef = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    intercept = np.broadcast_to(np.asarray(intercept, dtype=np.float64).ravel(), (len(coef),))
    return {
        "seconds": statistics.median(times), "cpu_seconds": processor, "extra_bytes": extra,
        "coef": matrix.pack(coef), "intercept": intercept.tolist(),
    }  # fmt: skip


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer requests until they end."""
    warnings.simplefilter("ignore")
    solver: BaseSolver | None = None
    problem: Problem | None = None
    for line in requests:
        request = json.loads(line)
        try:
            if request["do"] == "open":
                solver, problem = registry.solvers()[request["solver"]], open_problem(request)
                answer = warm(solver, problem)
            else:
                assert solver is not None and problem is not None
                answer = fit(solver, problem, request["rung"])
        except Exception as error:  # a contestant may fail in any way: the race goes on without it
            answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serve standard input, with the real standard output kept for answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
