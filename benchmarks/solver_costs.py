"""The table by which ``solver="auto"`` chooses on dense rows: ``python -m benchmarks.solver_costs [OUT.json]``.

Measures logistic ridges of many shapes by each method, in seconds of the processor on one thread, so that a busy
machine does little harm; fits the terms of `offbeat.fit.costs` to them, none of them negative; prints what was
measured, what the fit says, and the table to put there.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from offbeat import Problem, engines, losses, penalties, solve, solvers
from offbeat.fit import costs

SHAPES = [
    (100, 100), (500, 100), (5000, 100), (50_000, 100), (300, 300), (2000, 300), (20_000, 300), (100, 1000),
    (300, 1000), (1000, 1000), (4000, 1000), (200, 3000), (600, 3000), (1500, 2000), (2500, 2000), (100, 8000),
    (500, 8000),
]  # fmt: skip
CLASS_SHAPES = [(200, 100), (2000, 100), (20_000, 100), (200, 1000), (1000, 1000), (100, 5000), (500, 5000)]
METHODS = {"newton": "Newton", "lbfgs": "LBFGS", "newton-cg": "NewtonCG", "row-space": "RowSpace"}
CONDITIONS = [(shared, C) for shared in (0.0, 0.9) for C in (1.0, 100.0)]
CLASSES = 5
MOST = {"newton": 1500, "row-space": 2000}  # columns, and rows, beyond which a method is not tried
ROUNDS = 2


def rows(n: int, k: int, shared: float, n_outputs: int) -> tuple[Any, Any]:
    """Make rows whose columns share this part of their variance, and targets."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, k))
    factors = rng.standard_normal((n, max(3, k // 50)))
    mixed = factors @ rng.standard_normal((factors.shape[1], k)) / math.sqrt(factors.shape[1])
    X = math.sqrt(1.0 - shared) * X + math.sqrt(shared) * mixed
    z = X @ (rng.standard_normal((k, n_outputs)) * (rng.random((k, 1)) < 0.2))
    z = 2.0 * z / np.maximum(z.std(axis=0), 1e-12) + rng.logistic(size=z.shape)
    return X, (z[:, 0] > 0.0).astype(float) if n_outputs == 1 else z.argmax(axis=1).astype(float)


def fitted(method: str, X: Any, y: Any, C: float, n_outputs: int) -> float:
    """Return the seconds of a fit, the least of several."""
    loss = losses.Logistic() if n_outputs == 1 else losses.Multinomial(n_outputs)
    problem, solver = Problem(loss, penalties.L2(1.0 / (C * len(y)))), getattr(solvers, METHODS[method])()
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solve(problem, X, y, tol=1e-6, solver=solver, engine=engines.Serial(), max_iter=1000)
        times.append(time.process_time() - started)
        if times[-1] > 1.0:
            break
    return min(times)


def tried(method: str, n: int, k: int) -> bool:
    """Whether a method is measured on a shape."""
    return not (method == "newton" and k > MOST["newton"]) and not (method == "row-space" and n > min(k, 2000))


def measured(table: dict[str, Any], shapes: list[tuple[int, int]], n_outputs: int) -> list[dict[str, Any]]:
    """Return what each method took on each shape: the geometric mean over conditions."""
    found = []
    for n, k in shapes:
        data = {shared: rows(n, k, shared, n_outputs) for shared in {shared for shared, _ in CONDITIONS}}
        for method in table:
            if tried(method, n, k):
                times = [fitted(method, *data[shared], C, n_outputs) for shared, C in CONDITIONS]
                each = {"method": method, "rows": n, "columns": k, "outputs": n_outputs, "seconds": times}
                found.append(each | {"mean": math.exp(np.mean(np.log(times)))})
                print(f"{n:7,} x {k:6,} x {n_outputs}  {method:10s} {found[-1]['mean']:8.4f} s", flush=True)
    return found


def refitted(method: str, found: list[dict[str, Any]]) -> list[float]:
    """Return the coefficients of a method's terms, none negative, that are nearest in relative terms."""
    own = [each for each in found if each["method"] == method]
    terms = np.array([costs.terms(method, each["rows"], each["columns"], each["outputs"]) for each in own])
    relative = terms / np.array([each["mean"] for each in own])[:, None]
    largest = relative.max(axis=0)
    solution = nnls(relative / largest, np.ones(len(own)))[0] / largest
    print(f"{method:10s} predicted / measured:", " ".join(f"{ratio:.2f}" for ratio in relative @ solution))
    return [float(f"{c:.2g}") for c in solution]


def main() -> None:
    """Measure, fit and print."""
    with threadpool_limits(1):
        one = measured(costs.COSTS, SHAPES, 1)
        several = measured(costs.CLASS_COSTS, CLASS_SHAPES, CLASSES)
    for name, table, found in (("COSTS", costs.COSTS, one), ("CLASS_COSTS", costs.CLASS_COSTS, several)):
        new = {method: tuple(refitted(method, found)) for method in table}
        print(name, "=", json.dumps(new, indent=4).replace("[", "(").replace("]", ")"))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(one + several, indent=1))


if __name__ == "__main__":
    main()
