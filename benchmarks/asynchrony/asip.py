"""The published comparison: asynchronous SGD and ADMM against their synchronous selves, at equal virtual time.

Setting of Gonzalez et al. 2015 (arXiv 1510.07092, section 5), scaled down: standardised features, lambda 0.1 (L2) and
1e-5 (L1), 16 machines; a round of the synchronous engine pays for a stage of tasks, a message sideways does not. Times
are those measured on the engines: a stage of empty tasks takes about 0.1 s, a message of a kilobyte between processes
0.3 ms; a pass over a machine's share takes 100 ms, and a tenth of it is looked at between two messages (they sent every
10 ms). The straggler sleeps two seconds of every three. Every method has the best step of the same grid.
"""

from __future__ import annotations

import math
import statistics
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.asynchrony.common import Outcome, geometric_mean, objective
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.data.load import as_dataset
from offbeat.engines import faults
from offbeat.fit.inspection import Options, inspect
from offbeat.fit.settings import FitArguments, Settings
from offbeat.fit.solve import fit
from offbeat.sideways.protocol import internal_to_original

N = 16
END = 10.0
STAGE, MESSAGE, PASS = 0.05, 0.0003, 0.1
PROBLEMS = {
    "hinge, L2": Problem(losses.Hinge(), penalties.L2(0.1)),
    "hinge, L1": Problem(losses.Hinge(), penalties.L1(1e-5)),
    "logistic, L2": Problem(losses.Logistic(), penalties.L2(0.1)),
    "logistic, L1": Problem(losses.Logistic(), penalties.L1(1e-5)),
}
ROWS_EACH, COLUMNS = 500, 54
STEPS = (0.3, 1.0, 3.0, 10.0, 30.0)
SYNCHRONOUS: dict[str, Any] = {"network": STAGE}
SIDEWAYS: dict[str, Any] = {"network": MESSAGE, "staleness": math.inf}
BROADCAST: dict[str, Any] = SIDEWAYS | {"topology": topology.Broadcast()}
AS_PUBLISHED = solvers.ADMM(variant="asip")
BOXED = replace(AS_PUBLISHED, seconds=0.1)
METHODS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "GD": ([solvers.SGD(batch=1.0, eta=eta) for eta in STEPS], SYNCHRONOUS),
    "ASIP-SGD": ([solvers.DualAveraging(batch=0.1, eta=eta, variant="asip") for eta in STEPS], SIDEWAYS),
    "ASIP-SGD, keyed": ([solvers.DualAveraging(batch=0.1, eta=eta) for eta in STEPS], SIDEWAYS),
    "ADMM": ([AS_PUBLISHED], SYNCHRONOUS),
    "ADMM, time-boxed": ([BOXED], SYNCHRONOUS),
    "ASIP-ADMM": ([BOXED], BROADCAST),
    "our ADMM": ([solvers.ADMM()], SIDEWAYS),
}
PAIRS = (
    ("GD", "ASIP-SGD"), ("GD", "ASIP-SGD, keyed"), ("ADMM", "ASIP-ADMM"), ("ADMM, time-boxed", "ASIP-ADMM"),
    ("ADMM", "our ADMM"),
)  # fmt: skip
SLEEPS = (faults.Pause(0, at=0.0, seconds=2.0, every=3.0),)


class Last:
    """Keeps the newest candidate."""

    def __init__(self) -> None:
        self.candidate: Any = None

    def watch(self, candidate: Any, time: float) -> None:
        """Take note of a candidate."""
        if time <= END:
            self.candidate = candidate


def after(problem: Problem, X: Any, y: Any, solver: Any, network: float, **options: Any) -> float:
    """Return the objective of what a method has after so many virtual seconds."""
    last, dataset, how = Last(), as_dataset(X, y), Options(tol=0.0)
    engine = engines.Simulated(N, compute=PASS, latency=network, faults=options.pop("faults", ()))
    arguments = FitArguments(
        solver, engine, Settings(stealing=None, **options), time_limit=END, max_iter=math.inf, random_state=0,
        progress=False, watch=last.watch,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = fit(problem, dataset, how, arguments)
    if last.candidate is None:
        return objective(problem, X, y, solution.coef, float(solution.intercept))
    info = inspect(problem, dataset, dataset.shards(N), engines.Serial(), how)
    coef, intercept = internal_to_original(info, last.candidate.coef, last.candidate.intercept)
    return objective(problem, X, y, coef[:, 0], float(intercept[0]))


def optimum(problem: Problem, X: Any, y: Any) -> float:
    """Return the optimal objective, certified."""
    arguments = FitArguments(solvers.ADMM(), engines.Serial(), max_iter=20_000, progress=False)
    return fit(problem, as_dataset(X, y), Options(tol=1e-9), arguments).certificate.dual


def data() -> tuple[Any, Any]:
    """Return standardised features, correlated as real ones are, and classes that a logistic model drew."""
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.standard_normal((COLUMNS, COLUMNS)))
    X = (rng.standard_normal((N * ROWS_EACH, COLUMNS)) * np.arange(1, COLUMNS + 1) ** -0.7) @ rotation.T
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    z = X @ rng.standard_normal(COLUMNS)
    chances = 1.0 / (1.0 + np.exp(-3.0 * z / z.std()))
    return X, (rng.random(len(X)) < chances).astype(float)


def measure() -> Outcome:
    """Objective above the optimum after ten virtual seconds, four tasks, with and without the straggler."""
    X, y = data()
    rows: list[tuple[Any, ...]] = []
    for task, problem in PROBLEMS.items():
        least = optimum(problem, X, y)

        for slow in (False, True):
            extra: dict[str, Any] = {"faults": SLEEPS} if slow else {}
            reached = [
                min(after(problem, X, y, solver, **(how | extra)) for solver in able) - least
                for able, how in METHODS.values()
            ]
            rows.append((task + slow * ", straggler", *(max(above, 1e-16) for above in reached)))
    return Outcome(f"Objective above the optimum after {END:g} virtual seconds", ("task", *METHODS), rows, notes(rows))


def notes(rows: list[tuple[Any, ...]]) -> list[str]:
    """Return how many times lower the asynchronous methods are: means of ratios, as published, and geometric means."""
    names = ["task", *METHODS]
    found = []
    for slower, faster in PAIRS:
        for slow in (False, True):
            of = [row for row in rows if row[0].endswith("straggler") == slow]
            ratios = [row[names.index(slower)] / row[names.index(faster)] for row in of]
            means = f"{statistics.fmean(ratios):.3g} (geometric mean {geometric_mean(ratios):.3g})"
            found.append(f"{faster} against {slower}{slow * ', straggler'}: {means} times lower")
    return found
