"""A whole experiment drawn from one seed: problem, solver, topology, staleness, cluster, and what goes wrong in it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from conformance.oracle import Data, objective, optimum
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.engines import faults
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.choice import check_staleness
from offbeat.fit.solution import ADVICE, Solution
from offbeat.fit.solve import solve
from offbeat.sideways.schedule import Stealing
from simulation.invariants import Invariants

TOL = 1e-3
STEP = 0.01  # virtual seconds of a gradient pass over an even share
LIMIT = 40_000 * STEP  # a tree with a slow worker that loses a third of its messages may need more than half
PROBLEMS = [
    (Problem(losses.Logistic(), penalties.L2(0.1)), 120, 4),
    (Problem(losses.Logistic(), penalties.L1(0.03)), 90, 5),
    (Problem(losses.Logistic(), penalties.ElasticNet(0.1, 0.5)), 61, 3),
    (Problem(losses.Squared(), penalties.L2(0.1)), 80, 3),
    (Problem(losses.Squared(), penalties.L1(0.05)), 150, 5),
    (Problem(losses.Huber(), penalties.L2(0.1)), 200, 4),
    (Problem(losses.SquaredHinge(), penalties.L2(0.2)), 75, 3),
]
NOBODY_KNOWS = "none of its neighbours knows"
"""What ends a fit with a barrier and without a hub when a rank and all its neighbours lose their state at once."""


@dataclass(frozen=True)
class Case:
    """What a seed stands for."""

    seed: int
    number: int
    solver: Any
    staleness: float
    topology: Any
    stealing: Stealing | None
    concurrency: float
    engine: engines.Simulated

    @property
    def problem(self) -> Problem:
        """What is to be solved."""
        return PROBLEMS[self.number][0]

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.problem}, {self.solver}, staleness={self.staleness}, {self.topology}, " + (
            f"{self.stealing}, concurrency={self.concurrency}, {self.engine}"
        )


@cache
def data(number: int) -> Data:
    """Return rows that a model with a few non-zero coefficients might have drawn; columns far from standard."""
    problem, n, k = PROBLEMS[number]
    rng = np.random.default_rng((number, 5))
    X = rng.standard_normal((n, k)) * np.geomspace(0.5, 2.0, k) + np.linspace(-1.0, 1.0, k)
    z = X @ rng.standard_normal(k) / np.sqrt(k) + 0.5 * rng.standard_normal(n)
    return Data(X, (z > 0.0).astype(float) if problem.loss.classifier else z)


@cache
def best(number: int) -> float:
    """Return the optimal objective, found by SciPy."""
    return optimum(PROBLEMS[number][0], data(number))


def methods() -> list[Any]:
    """Return all solvers that take one of the problems, with what they are by default."""
    everything = [getattr(solvers, name)() for name in solvers.__all__]
    return [solver for solver in everything if any(accepts(solver, problem) for problem, _, _ in PROBLEMS)]


def exact(solver: Any) -> bool:
    """Whether a certificate is to be expected."""
    return getattr(solver, "exact", True)


def accepts(solver: Any, problem: Problem) -> bool:
    """Whether a solver takes a problem."""
    try:
        solver.check(problem)
    except ProblemError:
        return False
    return True


def draw(seed: int) -> Case:
    """Return the experiment of a seed."""
    rng = np.random.default_rng(seed)

    def one_of(*options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    able = methods()
    solver = able[seed % len(able)]
    number = one_of(*(i for i, (problem, _, _) in enumerate(PROBLEMS) if accepts(solver, problem)))
    staleness = one_of(0.0, 1.0, 4.0, math.inf, math.inf) if solver.max_staleness > 0 else 0.0
    try:
        check_staleness(solver, staleness)
    except ProblemError:
        staleness = 0.0
    where = one_of(topology.Hub(), topology.Hub(), topology.Hub(batch=1), topology.Broadcast(), topology.Tree(2),
                   topology.Tree(3), topology.Gossip(2, seed=seed), topology.Gossip(3, seed=seed))  # fmt: skip
    hub = isinstance(where, topology.Hub)
    n = int(rng.integers(2, 7))
    stealing = one_of(None, Stealing(shards_per_worker=2), Stealing(patience=1.2, shards_per_worker=3)) if hub else None
    concurrency = one_of(math.inf, math.inf, math.inf, 1, 2) if hub else math.inf
    engine = engines.Simulated(
        n,
        compute=one_of(STEP, faults.Exponential(STEP), faults.HeavyTailed(STEP, 1.0), faults.Measured((0.01, 0.02))),
        latency=one_of(0.0, 0.0005, faults.Exponential(0.005), faults.HeavyTailed(0.002, 1.5)),
        bandwidth=one_of(1e9, 1e9, 2e6),
        straggler={0: 10.0} if rng.random() < 0.15 else ({n - 1: 5.0} if rng.random() < 0.3 else {}),
        faults=tuple(_faults(rng, n, hub=hub)),
        seed=seed,
        after=None,
    )
    return Case(seed, number, solver, staleness, where, stealing, concurrency, engine)


def _faults(rng: np.random.Generator, n: int, *, hub: bool) -> list[Any]:
    """Return what goes wrong: at least one machine stays for good."""

    def when(longest: float = 60.0) -> float:
        return STEP * float(rng.uniform(0.0, longest))

    found: list[Any] = []
    likely = float(rng.choice([0.0, 0.2, 0.4]))
    kinds = [
        lambda: faults.Loss(float(rng.uniform(0.01, 0.3))),
        lambda: faults.Duplicate(float(rng.uniform(0.01, 0.3))),
        lambda: faults.Delay(float(rng.uniform(0.1, 1.0)), when(2.0)),
        lambda: faults.Crash(int(rng.integers(n)), when(), when(20.0)),
        lambda: faults.Crash(int(rng.integers(n)), when(), 0.0),
        lambda: faults.Crash(n - 1, when(), math.inf),
        lambda: faults.Join(when()),
        lambda: faults.Pause(int(rng.integers(n)), when(), when(20.0)),
        lambda: faults.Pause(int(rng.integers(n)), when(), STEP * 2.0, every=STEP * 5.0),
        lambda: faults.Partition((0,), when(), when(20.0)),
        lambda: faults.Partition(tuple(range((n + 1) // 2)), when(), when(20.0)),
        lambda: faults.SlowDisk(when(5.0)),
    ]
    for kind in kinds:
        fault = kind()  # drawn in any case, so that one more kind changes little
        if rng.random() < likely and (hub or not isinstance(fault, faults.Join)):
            found.append(fault)
    return found


def run(case: Case) -> tuple[Solution | None, Invariants]:
    """Run an experiment under the invariants; None for the one error that is documented."""
    watch = Invariants(case.staleness)
    given = data(case.number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            solution = solve(
                case.problem, given.X, given.y, solver=case.solver, engine=replace(case.engine, after=watch),
                staleness=case.staleness, topology=case.topology, stealing=case.stealing, tol=TOL,
                concurrency=case.concurrency, max_iter=4000.0 if exact(case.solver) else 10.0,
                time_limit=LIMIT, random_state=case.seed,
            )  # fmt: skip
        except ProblemError as error:
            if NOBODY_KNOWS not in str(error):
                raise
            return None, watch
    watch.ended(solution)
    return solution, watch


def judge(case: Case, solution: Solution | None) -> str:
    """Check how an experiment ended; return its status."""
    if solution is None:
        crashes = [fault for fault in case.engine.faults if isinstance(fault, faults.Crash)]
        assert case.staleness == 0 and crashes, "a rank lost its state without a crash"
        return "state lost"
    c, given, reference = solution.certificate, data(case.number), best(case.number)
    assert solution.status == "converged" or solution.status in ADVICE, f"undocumented: {solution.status}"
    if exact(case.solver):
        assert solution.status == "converged", f"{solution.status}, gap {c.relative_gap:g}"
    slack = 1e-9 * max(abs(reference), 1.0)
    if math.isfinite(c.gap):
        value = objective(case.problem, given, solution.coef, solution.intercept)
        assert abs(c.primal - value) <= slack, f"the certificate is of another point: {c.primal} is {value}"
        assert reference - slack <= c.primal, f"below the optimum: {c.primal} < {reference}"
        assert c.primal <= reference + c.gap + slack, f"gap {c.gap} is too small: {c.primal - reference}"
        assert c.dual <= reference + slack, f"the dual bound {c.dual} is above the optimum {reference}"
    if solution.status == "converged":
        assert c.relative_gap <= TOL
    return solution.status
