"""scikit-learn, `solver="saga"`: the only one of its solvers with all penalties."""

from benchmarks.harness.problem import Problem
from benchmarks.harness.solver import Rung
from benchmarks.solvers._sklearn import Generalised, epochs


class Solver(Generalised):
    name, solver, l1 = "sklearn saga", "saga", True

    def ladder(self, problem: Problem) -> list[Rung]:
        return epochs(2, 5, 10, 20, 50, 100, 300)
