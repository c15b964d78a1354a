"""scikit-learn, `Lasso`: coordinate descent."""

from typing import Any

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances


class Solver(BaseSolver):
    name, package, module = "sklearn lasso", "scikit-learn", "sklearn"
    sparse = True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("squared",))
        return "L1 only" if reason is None and problem.l1_ratio != 1.0 else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-2, 1e-3, 1e-4, 1e-6, 1e-8, max_iter=100_000)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from sklearn.linear_model import Lasso

        model = Lasso(alpha=problem.alpha, fit_intercept=problem.fit_intercept, **rung).fit(problem.X, problem.y)
        return model.coef_, model.intercept_
