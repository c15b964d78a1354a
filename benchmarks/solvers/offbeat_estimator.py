"""Offbeat through its scikit-learn estimators, as most users meet it."""

from typing import Any

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import Rung, only
from benchmarks.solvers._offbeat import Offbeat


class Solver(Offbeat):
    name = "offbeat estimator"

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic", "poisson"))
        return "ridge only" if reason is None and problem.loss == "poisson" and problem.l1_ratio > 0 else reason

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from offbeat.linear_model import LogisticRegression, PoissonRegressor

        if problem.loss == "poisson":
            model: Any = PoissonRegressor(alpha=problem.alpha, fit_intercept=problem.fit_intercept, **rung)
        else:
            C = 1.0 / (problem.n * problem.alpha)
            model = LogisticRegression(C=C, l1_ratio=problem.l1_ratio, fit_intercept=problem.fit_intercept, **rung)
        model.fit(problem.X, problem.y)
        return model.coef_.reshape(-1), model.intercept_
