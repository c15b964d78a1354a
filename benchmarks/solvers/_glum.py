"""What the glum contestants share. glum's alpha is per sample, as ours."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only

FAMILIES = {"logistic": "binomial", "squared": "normal", "poisson": "poisson"}


class Glum(BaseSolver):
    package, module = "glum", "glum"
    solver: ClassVar[str]
    l1: ClassVar[bool]

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic", "poisson"))
        if reason is None and (problem.l1_ratio > 0) != self.l1:
            reason = "for penalties with an L1 part" if self.l1 else "no L1 penalty"
        return reason

    def ladder(self, problem: Problem) -> list[Rung]:
        steps = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10)
        return [{"gradient_tol": tol, "max_iter": 5000} for tol in steps]

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from glum import GeneralizedLinearRegressor

        model = GeneralizedLinearRegressor(
            family=FAMILIES[problem.loss], alpha=problem.alpha, l1_ratio=problem.l1_ratio, solver=self.solver,
            fit_intercept=problem.fit_intercept, **rung,
        )  # fmt: skip
        model.fit(problem.X, problem.y)
        return model.coef_, model.intercept_
