"""What our contestants share: `offbeat.solve` with a tolerance on the relative duality gap."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, tolerances

PASSES = (8, 16, 32, 64, 128)


def stated(problem: Problem, alpha: float) -> Any:
    """Return the problem in Offbeat's words."""
    from offbeat import Problem as Stated
    from offbeat import losses, penalties

    loss = {
        "logistic": losses.Logistic, "squared": losses.Squared, "poisson": losses.Poisson, "hinge": losses.Hinge,
        "squared-hinge": losses.SquaredHinge,
    }[problem.loss]()  # fmt: skip
    if problem.l1_ratio == 0.0:
        return Stated(loss, penalties.L2(alpha))
    if problem.l1_ratio == 1.0:
        return Stated(loss, penalties.L1(alpha))
    return Stated(loss, penalties.ElasticNet(alpha, problem.l1_ratio))


class Offbeat(BaseSolver):
    """`offbeat.solve`, or `offbeat.solve_path` where a path is wanted."""

    package, module, ours = "offbeat", "offbeat", True
    sparse = True

    def supports(self, problem: Problem) -> str | None:
        return None

    def settings(self, problem: Problem) -> dict[str, Any]:
        """Return arguments for `offbeat.solve` beyond the defaults."""
        return {}

    def ladder(self, problem: Problem) -> list[Rung]:
        """Return tolerances; before them passes, where ridges are weak: gaps are far above suboptimality there."""
        weak = problem.sparse and problem.l1_ratio == 0.0
        passes: list[Rung] = [{"tol": 1e-3, "max_iter": most} for most in PASSES] if weak else []
        return passes + tolerances(1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        import offbeat

        if problem.path:
            path = offbeat.solve_path(
                stated(problem, float(problem.alphas[0])), problem.X, problem.y, alphas=problem.alphas,
                fit_intercept=problem.fit_intercept, **rung,
            )  # fmt: skip
            return np.asarray(path.coefs), np.asarray(path.intercepts)
        solution = offbeat.solve(
            stated(problem, problem.alpha), problem.X, problem.y, fit_intercept=problem.fit_intercept, progress=False,
            **self.settings(problem), **rung,
        )  # fmt: skip
        return solution.coef, solution.intercept
