"""skglm, `AndersonCD.path`: coordinate descent with working sets, warm-started."""

from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances


class Solver(BaseSolver):
    name, package, module = "skglm path", "skglm", "skglm"
    sparse = True

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("squared",), path=True)
        if reason is None and problem.l1_ratio == 0.0:
            reason = "no path without an L1 part"
        return "no intercept" if reason is None and problem.fit_intercept else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-2, 1e-4, 1e-6, 1e-8)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from skglm.datafits import Quadratic
        from skglm.penalties import L1, L1_plus_L2
        from skglm.solvers import AndersonCD
        from skglm.utils.jit_compilation import compiled_clone

        first = float(problem.alphas[0])
        penalty = L1(first) if problem.l1_ratio == 1.0 else L1_plus_L2(first, problem.l1_ratio)
        solver = AndersonCD(max_iter=200, tol=rung["tol"], fit_intercept=False)
        # Its `path` takes compiled objects; columns are read one by one, so the copy to Fortran order is part of it.
        X = problem.X.tocsc() if problem.sparse else np.asfortranarray(problem.X)
        found = solver.path(X, problem.y, compiled_clone(Quadratic()), compiled_clone(penalty), alphas=problem.alphas)
        return np.ascontiguousarray(found[1].T), 0.0
