"""snapml, `SupportVectorMachine`: dual coordinate ascent."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import Rung, only
from benchmarks.solvers._snapml import Snap


class Solver(Snap):
    name, dual = "snapml svm", True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("hinge", "squared-hinge"))
        if reason is None and problem.l1_ratio > 0:
            reason = "no L1 penalty"
        return "penalises the intercept" if reason is None and problem.fit_intercept else reason

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from snapml import SupportVectorMachine

        model = SupportVectorMachine(
            loss=problem.loss.replace("-", "_"), kernel="linear", regularizer=1.0 / problem.svm_strength,
            n_jobs=problem.threads, fit_intercept=False, random_state=0, **rung,
        )  # fmt: skip
        model.fit(problem.X, problem.y)
        return model.coef_.reshape(-1), 0.0
