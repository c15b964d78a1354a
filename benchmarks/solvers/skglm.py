"""skglm: proximal Newton with working sets (L-BFGS for ridge)."""

from typing import Any

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances


class Solver(BaseSolver):
    name, package, module = "skglm", "skglm", "skglm"
    sparse = True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic", "squared"))
        if reason is None and problem.l1_ratio == 0.0 and (problem.fit_intercept or problem.loss == "squared"):
            reason = "its L-BFGS has no intercept"
        return reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-2, 1e-3, 1e-4, 1e-6, 1e-8)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from skglm import GeneralizedLinearEstimator
        from skglm.datafits import Logistic, Quadratic
        from skglm.penalties import L1, L2, L1_plus_L2
        from skglm.solvers import LBFGS, AndersonCD, ProxNewton

        if problem.l1_ratio == 0.0:
            # Its estimator asks the solver for an intercept, which this one knows nothing of: called directly.
            found = LBFGS(max_iter=5000, tol=rung["tol"]).solve(problem.X, problem.signs, Logistic(), L2(problem.alpha))
            return found[0], 0.0
        penalty = L1(problem.alpha) if problem.l1_ratio == 1.0 else L1_plus_L2(problem.alpha, problem.l1_ratio)
        if problem.loss == "squared":
            descent = AndersonCD(max_iter=200, tol=rung["tol"], fit_intercept=problem.fit_intercept)
            lasso = GeneralizedLinearEstimator(Quadratic(), penalty, descent).fit(problem.X, problem.y)
            return lasso.coef_.reshape(-1), lasso.intercept_
        solver = ProxNewton(max_iter=200, tol=rung["tol"], fit_intercept=problem.fit_intercept)
        model = GeneralizedLinearEstimator(Logistic(), penalty, solver)
        model.fit(problem.X, problem.y)
        return model.coef_.reshape(-1), model.intercept_
