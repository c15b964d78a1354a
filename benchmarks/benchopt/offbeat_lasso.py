"""Solver for benchopt's `benchmark_lasso`."""

import warnings

import numpy as np
from benchopt import BaseSolver
from benchopt.stopping_criterion import SufficientProgressCriterion

import offbeat
from offbeat import Problem, losses, penalties
from offbeat.errors import ConvergenceWarning


class Solver(BaseSolver):
    """Minimises ``|y - X w|^2 / 2 + lmbd |w|_1``: n times Offbeat's mean objective."""

    name = "offbeat"
    sampling_strategy = "tolerance"
    # A method with few, large steps meets several tolerances with the same iterate: that is no lack of progress.
    stopping_criterion = SufficientProgressCriterion(patience=6, strategy="tolerance")
    install_cmd = "conda"
    requirements = ("pip::offbeat",)
    references = ("Offbeat: convex models fitted asynchronously, with a certificate of optimality.",)

    def set_objective(self, X, y, lmbd, fit_intercept):
        self.X, self.y, self.alpha, self.fit_intercept = X, y, lmbd / X.shape[0], fit_intercept

    def get_next(self, stop_val):
        return min(stop_val, 10.0) / 10.0

    def warm_up(self):
        self.run(1.0)

    def run(self, tolerance):
        with warnings.catch_warnings():
            # The tolerance falls until rounding forbids more: that is what a convergence curve is for.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.solution = offbeat.solve(
                Problem(losses.Squared(), penalties.L1(self.alpha)), self.X, self.y, fit_intercept=self.fit_intercept,
                tol=tolerance,
            )  # fmt: skip

    def get_result(self):
        coef = self.solution.coef
        return {"beta": np.append(coef, self.solution.intercept) if self.fit_intercept else coef}
