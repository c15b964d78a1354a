"""scikit-learn, one `Ridge` fit for each penalty: what a user writes."""

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only


class Solver(BaseSolver):
    name, package, module = "sklearn Ridge loop", "scikit-learn", "sklearn"

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("squared",), path=True)
        return "ridge only" if reason is None and problem.l1_ratio > 0 else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return [{"solver": "cholesky"}]

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from sklearn.linear_model import Ridge

        models = [
            Ridge(alpha=alpha * problem.n, fit_intercept=problem.fit_intercept, **rung).fit(problem.X, problem.y)
            for alpha in problem.alphas
        ]
        return np.array([m.coef_ for m in models]), np.array([float(m.intercept_) for m in models])
