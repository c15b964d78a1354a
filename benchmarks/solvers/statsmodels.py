"""statsmodels, `GLM.fit_regularized`: coordinate descent."""

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only


class Solver(BaseSolver):
    name, package, module, slow = "statsmodels GLM", "statsmodels", "statsmodels", True

    def supports(self, problem: Problem) -> str | None:
        return only(problem, ("logistic", "poisson"))

    def ladder(self, problem: Problem) -> list[Rung]:
        return [{"maxiter": count, "cnvrg_tol": 0.0} for count in (2, 5, 10, 20, 50)]

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from statsmodels.genmod.families import Binomial, Poisson
        from statsmodels.genmod.generalized_linear_model import GLM

        X, free = problem.X, problem.fit_intercept
        if free:
            X = np.hstack([X, np.ones((problem.n, 1), X.dtype)])
        penalty = np.append(np.full(problem.k, problem.alpha), [0.0] * free)
        family = Binomial() if problem.loss == "logistic" else Poisson()
        model = GLM(problem.y, X, family=family)
        w = model.fit_regularized(alpha=penalty, L1_wt=problem.l1_ratio, **rung).params
        return w[: problem.k], w[problem.k] if free else 0.0
