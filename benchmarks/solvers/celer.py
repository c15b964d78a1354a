"""celer: working sets for the L1 penalty."""

from typing import Any

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances


class Solver(BaseSolver):
    name, package, module = "celer", "celer", "celer"
    sparse = True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic", "squared"))
        if reason is None and problem.fit_intercept:
            reason = "no intercept"
        return "L1 only" if reason is None and problem.l1_ratio != 1.0 else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, max_iter=200)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from celer import Lasso, LogisticRegression

        if problem.loss == "squared":
            lasso = Lasso(alpha=problem.alpha, fit_intercept=False, **rung).fit(problem.X, problem.y)
            return lasso.coef_, 0.0
        model = LogisticRegression(C=1.0 / (problem.n * problem.alpha), **rung)
        model.fit(problem.X, problem.y)
        return model.coef_.reshape(-1), 0.0
