"""scikit-learn, `solver="newton-cg"`: Newton's method with conjugate gradients."""

from benchmarks.solvers._sklearn import Generalised


class Solver(Generalised):
    name, solver = "sklearn newton-cg", "newton-cg"
