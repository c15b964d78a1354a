"""copt: accelerated proximal gradient with backtracking."""

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only


class Solver(BaseSolver):
    name, package, module = "copt FISTA", "copt", "copt"

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic",))
        return "no intercept" if reason is None and problem.fit_intercept else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return [{"max_iter": count} for count in (5, 10, 20, 50, 100, 200, 500)]

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        import copt
        from copt.loss import LogLoss

        loss = LogLoss(problem.X, problem.y, alpha=problem.l2)

        def shrink(x: Floats, step: float) -> Floats:
            return np.sign(x) * np.maximum(np.abs(x) - step * problem.l1, 0.0)

        found = copt.minimize_proximal_gradient(
            loss.f_grad,
            np.zeros(problem.k),
            shrink if problem.l1 else None,
            jac=True,
            accelerated=True,
            tol=0.0,
            **rung,
        )
        return found.x, 0.0
