"""glum, `solver="irls-ls"`: its default without an L1 part."""

from benchmarks.solvers._glum import Glum


class Solver(Glum):
    name, solver, l1 = "glum irls-ls", "irls-ls", False
