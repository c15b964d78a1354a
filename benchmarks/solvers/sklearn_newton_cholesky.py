"""scikit-learn, `solver="newton-cholesky"`: Newton's method, for many rows and few columns."""

from benchmarks.solvers._sklearn import Generalised


class Solver(Generalised):
    name, solver, poisson = "sklearn newton-cholesky", "newton-cholesky", True
