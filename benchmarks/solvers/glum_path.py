"""glum, `alpha_search=True`: a warm-started path."""

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only


class Solver(BaseSolver):
    name, package, module = "glum path", "glum", "glum"

    def supports(self, problem: Problem) -> str | None:
        return only(problem, ("squared",), path=True)

    def ladder(self, problem: Problem) -> list[Rung]:
        return [{"gradient_tol": tol, "max_iter": 1000} for tol in (1e-2, 1e-4, 1e-6, 1e-9)]

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from glum import GeneralizedLinearRegressor

        model = GeneralizedLinearRegressor(
            family="normal", alphas=problem.alphas, alpha_search=True, l1_ratio=problem.l1_ratio,
            fit_intercept=problem.fit_intercept, **rung,
        )  # fmt: skip
        model.fit(problem.X, problem.y)
        return np.asarray(model.coef_path_), np.asarray(model.intercept_path_)
