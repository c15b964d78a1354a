"""What the snapml contestants share. Its regularizer is on the sum of the losses."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only


class Snap(BaseSolver):
    package, module = "snapml", "snapml"
    sparse = True
    dual: ClassVar[bool]

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic",))
        if reason is None and problem.fit_intercept:
            reason = "penalises the intercept"
        if reason is None and 0 < problem.l1_ratio < 1:
            reason = "no elastic net"
        if reason is None and self.dual and problem.l1_ratio > 0:
            reason = "no L1 penalty in the dual"
        return reason

    def ladder(self, problem: Problem) -> list[Rung]:
        steps = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6, 1e-8)
        return [{"tol": tol, "max_iter": 100_000} for tol in steps]

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from snapml import LogisticRegression

        model = LogisticRegression(
            penalty="l1" if problem.l1_ratio == 1.0 else "l2", regularizer=problem.alpha * problem.n, dual=self.dual,
            n_jobs=problem.threads, fit_intercept=False, random_state=0, **rung,
        )  # fmt: skip
        model.fit(problem.X, problem.y)
        return model.coef_.reshape(-1), 0.0
