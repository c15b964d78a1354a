"""The published comparison: asynchronous SGD and ADMM against their synchronous selves, at equal virtual time.

Setting of Gonzalez et al. 2015 (arXiv 1510.07092, section 5), scaled down: standardised features, lambda 0.1 (L2) and 1e-5
(L1), 16 machines; a round of the synchronous engine pays for a stage of tasks, a message sideways does not. Times are those
measured on the engines: a stage of empty tasks takes about 0.1 s, a message of a kilobyte between processes 0.3 ms, and a
pass over a machine's share 20 ms. The straggler sleeps two seconds of every three.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

from benchmarks.asynchrony.common import Outcome, data, geometric_mean, objective
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.data.load import as_dataset
from offbeat.engines import faults
from offbeat.fitting import Settings, fit
from offbeat.inspection import Options, inspect
from offbeat.sideways.protocol import internal_to_original

N = 16
END = 10.0
STAGE, MESSAGE, PASS = 0.05, 0.0003, 0.02
PROBLEMS = {
    "hinge, L2": Problem(losses.Hinge(), penalties.L2(0.1)),
    "hinge, L1": Problem(losses.Hinge(), penalties.L1(1e-5)),
    "logistic, L2": Problem(losses.Logistic(), penalties.L2(0.1)),
    "logistic, L1": Problem(losses.Logistic(), penalties.L1(1e-5)),
}
SLEEPS = (faults.Pause(0, at=0.0, seconds=2.0, every=3.0),)


class Last:
    """Keeps the newest candidate."""

    def __init__(self) -> None:
        self.candidate: Any = None

    def watch(self, candidate: Any, time: float) -> None:
        if time <= END:
            self.candidate = candidate


def after(problem: Problem, X: Any, y: Any, solver: Any, network: float, **options: Any) -> float:
    """Return the objective of what a method has after so many virtual seconds."""
    last, dataset, how = Last(), as_dataset(X, y), Options(tol=0.0)
    engine = engines.Simulated(N, compute=PASS, latency=network, faults=options.pop("faults", ()))
    settings = Settings(
        solver, engine, time_limit=END, max_iter=math.inf, random_state=0, progress=False, stealing=None,
        watch=last.watch, **options,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = fit(problem, dataset, how, settings)
    if last.candidate is None:
        return objective(problem, X, y, solution.coef, float(solution.intercept))
    info = inspect(problem, dataset, dataset.shards(N), engines.Serial(), how)
    coef, intercept = internal_to_original(info, last.candidate.coef, last.candidate.intercept)
    return objective(problem, X, y, coef[:, 0], float(intercept[0]))


def optimum(problem: Problem, X: Any, y: Any) -> float:
    """Return the optimal objective, certified."""
    settings = Settings(solvers.ADMM(), engines.Serial(), max_iter=20_000, progress=False)
    return fit(problem, as_dataset(X, y), Options(tol=1e-9), settings).certificate.dual


def measure() -> Outcome:
    """Objective above the optimum after ten virtual seconds, four tasks, with and without the straggler."""
    X, y = data(N, rows_each=500, columns=54)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    admm = solvers.ADMM(variant="asip")
    sync, wide = {"network": STAGE}, {"network": MESSAGE, "staleness": math.inf, "topology": topology.Broadcast()}
    methods: dict[str, tuple[Any, dict[str, Any]]] = {
        "GD": (solvers.SGD(batch=1.0), sync),
        "ASIP-SGD": (solvers.DualAveraging(batch=0.1, variant="asip"), wide),
        "DualAveraging": (solvers.DualAveraging(batch=0.1), wide),
        "ADMM": (admm, sync),
        "ADMM, time-boxed": (replace(admm, seconds=0.1), sync),
        "ASIP-ADMM": (replace(admm, seconds=0.1), wide),
        "our ADMM": (solvers.ADMM(), wide),
    }
    rows: list[tuple[Any, ...]] = []
    above: dict[tuple[str, str, bool], float] = {}
    for task, problem in PROBLEMS.items():
        least = optimum(problem, X, y)
        for slow in (False, True):
            for name, (solver, options) in methods.items():
                reached = after(problem, X, y, solver, **options, **({"faults": SLEEPS} if slow else {}))
                above[task, name, slow] = max(reached - least, 1e-16)
            rows.append((f"{task}{', straggler' if slow else ''}", *(above[task, name, slow] for name in methods)))

    def gain(slower: str, faster: str, slow: bool) -> float:
        return geometric_mean([above[task, slower, slow] / above[task, faster, slow] for task in PROBLEMS])

    notes = [
        f"{faster} against {slower}{', straggler' if slow else ''}: {gain(slower, faster, slow):.3g} times lower (geometric mean)"
        for slower, faster in (
            ("GD", "ASIP-SGD"), ("GD", "DualAveraging"), ("ADMM", "ASIP-ADMM"), ("ADMM, time-boxed", "ASIP-ADMM"),
            ("ADMM", "our ADMM"),
        )
        for slow in (False, True)
    ]  # fmt: skip
    return Outcome(f"Objective above the optimum after {END:g} virtual seconds", ("task", *methods), rows, notes)
