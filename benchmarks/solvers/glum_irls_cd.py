"""glum, `solver="irls-cd"`: its default with an L1 part."""

from benchmarks.solvers._glum import Glum


class Solver(Glum):
    name, solver, l1 = "glum irls-cd", "irls-cd", True
