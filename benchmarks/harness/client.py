"""The parent's end of a worker process."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.harness.problem import Problem

ROOT = Path(benchmarks.__file__).resolve().parent.parent
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "BLIS", "VECLIB_MAXIMUM")


class WorkerError(RuntimeError):
    """A contestant failed, died, or took longer than allowed."""


class WorkerTimeoutError(WorkerError):
    """It took longer than allowed."""


class Worker:
    """One solver in a process of its own, with one problem loaded."""

    def __init__(self, solver: str, problem: Problem, target: str, patience: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker"],
            cwd=ROOT, env=environment(problem.threads), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        request = {
            "do": "open", "solver": solver, "data": str(problem.data), "target": target, "name": problem.name,
            "loss": problem.loss, "alphas": problem.alphas.tolist(), "l1_ratio": problem.l1_ratio,
            "fit_intercept": problem.fit_intercept, "threads": problem.threads,
        }  # fmt: skip
        try:
            answer = self._ask(request, patience)
        except WorkerError:
            self.close()
            raise
        self.first: float = answer["first"]
        self.ladder: list[dict[str, Any]] = answer["ladder"]

    def fit(self, rung: dict[str, Any], patience: float) -> dict[str, Any]:
        """Fit once, at most for ``patience`` seconds.

        Raises
        ------
        WorkerError
            If the fit failed, or the process died.
        WorkerTimeoutError
            If it took too long: the process is ended, and this object is of no more use.
        """
        return self._ask({"do": "fit", "rung": rung}, patience)

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, request: dict[str, Any], patience: float) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise WorkerError("the process has ended") from error
        if not select.select([stdout], [], [], patience)[0]:
            self.close()
            raise WorkerTimeoutError(f"more than {patience:.0f} s")
        line = stdout.readline()
        if not line:
            raise WorkerError(f"the process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer


def environment(threads: int) -> dict[str, str]:
    """Return the environment that gives every library the same number of threads."""
    return {**os.environ, **{f"{library}_NUM_THREADS": str(threads) for library in THREADS}}
