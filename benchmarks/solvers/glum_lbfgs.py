"""glum, `solver="lbfgs"`."""

from benchmarks.solvers._glum import Glum


class Solver(Glum):
    name, solver, l1 = "glum lbfgs", "lbfgs", False
