"""celer, `celer_path`."""

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances


class Solver(BaseSolver):
    name, package, module = "celer path", "celer", "celer"
    sparse = True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("squared", "logistic"), path=True)
        if reason is None and problem.l1_ratio == 0.0:
            reason = "no path without an L1 part"
        if reason is None and problem.loss == "logistic" and problem.l1_ratio != 1.0:
            reason = "no elastic net"
        return "no intercept" if reason is None and problem.fit_intercept else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-2, 1e-4, 1e-6, 1e-9, max_iter=200)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from celer import celer_path

        X = problem.X if not problem.sparse else problem.X.tocsc()
        if problem.loss == "logistic":  # its strengths are on the sum of the losses
            alphas = problem.alphas * problem.n
            return np.ascontiguousarray(celer_path(X, problem.signs, "logreg", alphas=alphas, **rung)[1].T), 0.0
        # "lasso" is its name for the squared loss: the elastic net goes by its l1_ratio.
        found = celer_path(X, problem.y, "lasso", alphas=problem.alphas, l1_ratio=problem.l1_ratio, **rung)
        return np.ascontiguousarray(found[1].T), 0.0
