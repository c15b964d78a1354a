"""scikit-learn, `solver="liblinear"`."""

from benchmarks.harness.problem import Problem
from benchmarks.harness.solver import Rung, tolerances
from benchmarks.solvers._sklearn import MANY, Generalised


class Solver(Generalised):
    name, solver, l1, intercept = "sklearn liblinear", "liblinear", True, False

    def supports(self, problem: Problem) -> str | None:
        reason = super().supports(problem)
        return "no elastic net" if reason is None and 0 < problem.l1_ratio < 1 else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, max_iter=MANY)
