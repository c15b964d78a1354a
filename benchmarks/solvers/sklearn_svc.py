"""scikit-learn, `LinearSVC`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances
from benchmarks.solvers._sklearn import MANY


class Solver(BaseSolver):
    name, package, module = "sklearn LinearSVC", "scikit-learn", "sklearn"
    sparse = True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("hinge", "squared-hinge"))
        if reason is None and problem.l1_ratio > 0:
            reason = "ridge only"
        return "penalises the intercept" if reason is None and problem.fit_intercept else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-1, 1e-2, 1e-3, 1e-4, 1e-6, max_iter=MANY)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from sklearn.svm import LinearSVC

        model = LinearSVC(
            loss=problem.loss.replace("-", "_"), C=problem.svm_strength, dual=problem.loss == "hinge",
            fit_intercept=False, random_state=0, **rung,
        )  # fmt: skip
        model.fit(problem.X, problem.y)
        return model.coef_.reshape(-1), 0.0
