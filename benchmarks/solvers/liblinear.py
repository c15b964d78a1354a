"""liblinear-official: Newton in the primal (ridge), coordinate descent with Newton (L1), or in the dual (SVM)."""

from typing import Any, ClassVar

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only, tolerances

RIDGE, LASSO = 0, 6
HINGES = {"hinge": 3, "squared-hinge": 1}


class Solver(BaseSolver):
    name, package, module = "liblinear", "liblinear-official", "liblinear"
    sparse = True
    kinds: ClassVar[dict[str, int]] = HINGES

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic", *HINGES))
        if reason is None and 0 < problem.l1_ratio < 1:
            reason = "no elastic net"
        if reason is None and problem.loss in HINGES and (problem.l1_ratio > 0 or problem.fit_intercept):
            reason = "penalises the intercept" if problem.fit_intercept else "no L1 penalty in the dual"
        return reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return tolerances(1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from liblinear import liblinearutil
        from scipy.sparse import csr_matrix

        # It keeps rows as lists of (index, value); from a dense array it would build them in Python, row by row.
        data = liblinearutil.problem(problem.signs, csr_matrix(problem.X))
        kind = LASSO if problem.l1_ratio == 1.0 else RIDGE
        kind, C = self.kinds.get(problem.loss, kind), 1.0 / (problem.n * problem.alpha)
        C = problem.svm_strength if problem.loss in HINGES else C
        bias = "-B 1 -R" if problem.fit_intercept else ""
        options = f"-s {kind} -c {C:.17g} -e {rung['tol']:g} {bias} -q"
        model = liblinearutil.train(data, liblinearutil.parameter(options))
        w = np.array(model.w[: problem.k + problem.fit_intercept])
        # The first label it meets is its positive class.
        w = w if model.get_labels()[0] > 0 else -w
        return w[: problem.k], w[problem.k] if problem.fit_intercept else 0.0
