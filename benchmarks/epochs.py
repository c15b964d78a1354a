"""What an epoch of SAGA costs, dense, 500,000 x 100: ``python -m benchmarks.epochs``.

An epoch is the difference of two fits with more and fewer of them, over their number. Threads of BLAS are kept to one.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from offbeat import Problem, engines, losses, penalties, solve, solvers

Floats = NDArray[np.float64]
FEW, MANY, ROUNDS = 2, 12, 5
PROBLEM = Problem(losses.Logistic(), penalties.L2(1e-4))


def ours(X: Any, y: Any, epochs: int, **options: Any) -> None:
    """Fit for some passes."""
    solve(PROBLEM, X, y, solver=solvers.SAGA(**options), engine=engines.Serial(), tol=0.0, max_iter=epochs)


def theirs(X: Any, y: Any, epochs: int) -> None:
    """Fit scikit-learn's for some epochs."""
    from sklearn.linear_model import LogisticRegression

    C = 1.0 / (len(y) * 1e-4)
    LogisticRegression(C=C, solver="saga", tol=0.0, max_iter=epochs, random_state=0).fit(X, y)


def read(X: Floats, passes: int) -> None:
    """Look at each number once a pass."""
    for _ in range(passes):
        X.sum()


def seconds(fit: Callable[[int], None]) -> float:
    """Return the seconds of an epoch."""
    taken = []
    for epochs in (FEW, MANY):
        begun = time.perf_counter()
        fit(epochs)
        taken.append(time.perf_counter() - begun)
    return (taken[1] - taken[0]) / (MANY - FEW)


def main(n: int = 500_000, k: int = 100) -> None:
    """Print a table; runs are interleaved, so that a slow minute hits everybody."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, k))
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-X @ rng.standard_normal(k) / np.sqrt(k)))).astype(np.float64)
    chunks = ([X[i : i + n // 10] for i in range(0, n, n // 10)], [y[i : i + n // 10] for i in range(0, n, n // 10)])
    entrants: dict[str, Callable[[int], None]] = {
        "offbeat, one thread": lambda epochs: ours(X, y, epochs),
        "offbeat, two threads": lambda epochs: ours(X, y, epochs, threads=2),
        "offbeat, list of ten chunks": lambda epochs: ours(*chunks, epochs),
        "scikit-learn saga": lambda epochs: theirs(X, y, epochs),
        "reading X once (NumPy sum)": lambda epochs: read(X, epochs),
    }
    times: dict[str, list[float]] = {name: [] for name in entrants}
    with threadpool_limits(1):
        for fit in entrants.values():
            fit(1)
        for _ in range(ROUNDS):
            for name, fit in entrants.items():
                times[name].append(seconds(fit))
    base = times["offbeat, one thread"]
    print("| who | ms an epoch | over offbeat's with one thread |")
    print("|---|---:|---:|")
    for name, each in times.items():
        ratio = statistics.median(a / b for a, b in zip(each, base, strict=True))
        print(f"| {name} | {1e3 * statistics.median(each):.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
