"""What the scikit-learn contestants share: each names its `solver=` in a file of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances

MANY = 100_000


class Generalised(BaseSolver):
    """`LogisticRegression`, and `PoissonRegressor` for the solvers it has."""

    package, module = "scikit-learn", "sklearn"
    solver: ClassVar[str]
    l1: ClassVar[bool] = False
    poisson: ClassVar[bool] = False
    intercept: ClassVar[bool] = True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic", "poisson") if self.poisson else ("logistic",))
        if reason is None and problem.l1_ratio > 0 and not self.l1:
            reason = "no L1 penalty"
        if reason is None and problem.fit_intercept and not self.intercept:
            reason = "penalises the intercept"
        return reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(max_iter=MANY)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from sklearn.linear_model import LogisticRegression, PoissonRegressor

        common = {"solver": self.solver, "fit_intercept": problem.fit_intercept, **rung}
        if problem.loss == "poisson":
            model = PoissonRegressor(alpha=problem.alpha, **common)
        else:
            C = 1.0 / (problem.n * problem.alpha)
            model = LogisticRegression(C=C, l1_ratio=problem.l1_ratio, random_state=0, **common)
        model.fit(problem.X, problem.y)
        return model.coef_.reshape(-1), model.intercept_


def epochs(*counts: int) -> list[Rung]:
    """Return rungs of so many passes over the rows, with no other stopping rule."""
    return [{"max_iter": count, "tol": 0.0} for count in counts]
