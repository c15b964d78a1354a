"""liblinear-official, squared hinge: trust-region Newton in the primal."""

from typing import ClassVar

from benchmarks.harness.problem import Problem
from benchmarks.solvers import liblinear


class Solver(liblinear.Solver):
    name = "liblinear primal"
    kinds: ClassVar[dict[str, int]] = {"squared-hinge": 2}

    def supports(self, problem: Problem) -> str | None:
        reason = super().supports(problem)
        return "only the squared hinge" if reason is None and problem.loss != "squared-hinge" else reason
