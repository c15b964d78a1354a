"""snapml, `dual=False`."""

from benchmarks.solvers._snapml import Snap


class Solver(Snap):
    name, dual = "snapml primal", False
