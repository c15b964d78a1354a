"""Offbeat on one thread, BLAS included."""

from typing import Any

from benchmarks.harness.problem import Problem
from benchmarks.solvers._offbeat import Offbeat


class Solver(Offbeat):
    name = "offbeat 1-thread"

    def supports(self, problem: Problem) -> str | None:
        return "no path" if problem.path else None

    def settings(self, problem: Problem) -> dict[str, Any]:
        from offbeat import engines

        return {"engine": engines.Threads(1)}
