"""scikit-learn, `solver="lbfgs"`: its default."""

from benchmarks.solvers._sklearn import Generalised


class Solver(Generalised):
    name, solver, poisson = "sklearn lbfgs", "lbfgs", True
