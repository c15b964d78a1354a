"""Offbeat with `solver=LBFGS()`."""

from typing import Any

from benchmarks.harness.problem import Problem
from benchmarks.solvers._offbeat import Offbeat


class Solver(Offbeat):
    name, slow = "offbeat lbfgs", True

    def supports(self, problem: Problem) -> str | None:
        if problem.path:
            return "no path"
        return "smooth penalties only" if problem.l1_ratio > 0 else None

    def settings(self, problem: Problem) -> dict[str, Any]:
        from offbeat import solvers

        return {"solver": solvers.LBFGS()}
