"""snapml, `dual=True`: its default."""

from benchmarks.solvers._snapml import Snap


class Solver(Snap):
    name, dual = "snapml dual", True
