"""Solver for benchopt's `benchmark_logreg_l2`."""

import warnings

from benchopt import BaseSolver
from benchopt.stopping_criterion import SufficientProgressCriterion

import offbeat
from offbeat import Problem, losses, penalties
from offbeat.errors import ConvergenceWarning


class Solver(BaseSolver):
    """Minimises ``sum_i log(1 + exp(-y_i x_i'w)) + lmbd / 2 |w|^2``: n times Offbeat's mean objective."""

    name = "offbeat"
    sampling_strategy = "tolerance"
    # A method with few, large steps meets several tolerances with the same iterate: that is no lack of progress.
    stopping_criterion = SufficientProgressCriterion(patience=6, strategy="tolerance")
    install_cmd = "conda"
    requirements = ("pip::offbeat",)
    references = ("Offbeat: convex models fitted asynchronously, with a certificate of optimality.",)

    def set_objective(self, X, y, lmbd):
        self.X, self.y, self.alpha = X, (y > 0).astype(float), lmbd / X.shape[0]

    def get_next(self, stop_val):
        return min(stop_val, 10.0) / 10.0

    def warm_up(self):
        self.run(1.0)

    def run(self, tolerance):
        with warnings.catch_warnings():
            # The tolerance falls until rounding forbids more: that is what a convergence curve is for.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.solution = offbeat.solve(
                Problem(losses.Logistic(), penalties.L2(self.alpha)), self.X, self.y, fit_intercept=False, tol=tolerance
            )

    def get_result(self):
        return {"beta": self.solution.coef}
