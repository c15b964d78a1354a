"""scikit-learn, `lasso_path` / `enet_path` with `precompute=True`: coordinate descent on the Gram matrix."""

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances


class Solver(BaseSolver):
    name, package, module = "sklearn path Gram", "scikit-learn", "sklearn"
    precompute: Any = True
    sparse = False  # the Gram matrix of many columns would not fit

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("squared",), path=True)
        if reason is None and problem.l1_ratio == 0.0:
            reason = "no path without an L1 part"
        return "no intercept" if reason is None and problem.fit_intercept else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, max_iter=100_000)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from sklearn.linear_model import enet_path

        X = problem.X.tocsc() if problem.sparse else problem.X
        _, coefs, _ = enet_path(
            X, problem.y, alphas=problem.alphas, l1_ratio=problem.l1_ratio, precompute=self.precompute, **rung
        )
        return np.ascontiguousarray(coefs.T), 0.0
