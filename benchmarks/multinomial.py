"""Thirteen languages at once, 650,000 x 192,972: ``python -m benchmarks.multinomial [C] [seconds] [rows] [solvers]``.

Each solver has a process of its own, which reads the rows from a file; what a fit takes beyond them is its own doing.
Everybody minimises ``mean log-loss + |W|^2 / (2 n C)`` without intercepts, on a ladder of its own tolerances.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, load_npz, save_npz
from scipy.special import logsumexp

from benchmarks.datasets.languages import LATIN, words_of
from benchmarks.harness import memory

Floats = NDArray[np.float64]
GOALS = (1e-3, 1e-6, 1e-9)
REPEATS = 3


class Rung(NamedTuple):
    """A fit with one tolerance: seconds, its objective, and bytes beyond rows and coefficients."""

    seconds: float
    objective: float
    extra: int


def offbeat_auto(X: csr_matrix, y: Floats, alpha: float, tol: float) -> Floats:
    """Return the coefficients of `LogisticRegression`, one row a class."""
    from offbeat.linear_model import LogisticRegression

    C = 1.0 / (alpha * X.shape[0])
    return np.asarray(LogisticRegression(C=C, fit_intercept=False, tol=tol, max_iter=5000).fit(X, y).coef_)


def sklearn(solver: str) -> Callable[[csr_matrix, Floats, float, float], Floats]:
    """Return a function that fits scikit-learn's logistic regression."""

    def fit(X: csr_matrix, y: Floats, alpha: float, tol: float) -> Floats:
        from sklearn.linear_model import LogisticRegression

        C = 1.0 / (alpha * X.shape[0])
        model = LogisticRegression(C=C, solver=solver, fit_intercept=False, tol=tol, max_iter=2000)
        return np.asarray(model.fit(X, y).coef_)

    return fit


SOLVERS = {
    "offbeat": (offbeat_auto, (1e-2, 1e-3, 1e-5, 1e-7, 1e-9)),
    "sklearn lbfgs": (sklearn("lbfgs"), (1e-3, 1e-4, 1e-5, 1e-7, 1e-9)),
    "sklearn newton-cg": (sklearn("newton-cg"), (1e-2, 1e-4, 1e-6, 1e-8)),
}


def objective(X: csr_matrix, y: Floats, W: Floats, alpha: float) -> float:
    """Return the mean loss plus the penalty."""
    total = 0.0
    for first in range(0, X.shape[0], 50_000):
        z = X[first : first + 50_000] @ W.T
        rows = np.arange(len(z))
        total += float((logsumexp(z, axis=1) - z[rows, y[first : first + 50_000].astype(int)]).sum())
    return total / X.shape[0] + alpha / 2.0 * float((W**2).sum())


def climb(name: str, folder: str, alpha: float, budget: float) -> list[Rung]:
    """Fit with one tolerance after the other, until a fit takes longer than the budget."""
    warnings.simplefilter("ignore")
    X, y = load_npz(Path(folder) / "X.npz"), np.load(Path(folder) / "y.npy")
    fit, ladder = SOLVERS[name]
    some = np.arange(2000)
    fit(X[some], y[some], alpha, 1e-2)
    rungs = []
    for tol in ladder:
        memory.reset_peak()
        before = memory.resident() or 0
        times = []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            W = fit(X, y, alpha, tol)
            times.append(time.perf_counter() - begun)
            if times[-1] > budget / REPEATS:
                break
        extra = (memory.peak() or 0) - before - W.nbytes
        rungs.append(Rung(statistics.median(times), objective(X, y, W, alpha), extra))
        if times[-1] > budget:
            break
    return rungs


def main(C: float = 1.0, budget: float = 120.0, rows: int = 650_000, names: str = ",".join(SOLVERS)) -> None:
    """Print what each solver took as soon as it is known, and a table at the end."""
    X, y = words_of(LATIN)
    X, y = X[:rows], y[:rows]
    alpha = 1.0 / (X.shape[0] * C)
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    print(f"{X.shape[0]:,} x {X.shape[1]:,}, {X.nnz:,} entries, {size / 2**20:.0f} MiB, C = {C:g}\n")
    with TemporaryDirectory() as folder:
        save_npz(Path(folder) / "X.npz", X, compressed=False)
        np.save(Path(folder) / "y.npy", y)
        del X, y
        found = {}
        for name in names.split(","):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                found[name] = pool.submit(climb, name, folder, alpha, budget).result()
            print(name, *(f"{r.seconds:.1f} s: {r.objective:.10f}" for r in found[name]), sep="; ", flush=True)
    print()
    best, zero = min(r.objective for rungs in found.values() for r in rungs), np.log(len(LATIN))
    print("| solver | " + " | ".join(f"to {goal:g}" for goal in GOALS) + " | extra memory, of X | nearest |")
    print("|---|" + "---:|" * (len(GOALS) + 2))
    for name, rungs in found.items():
        _show(name, rungs, [(r.objective - best) / zero for r in rungs], size)


def _show(name: str, rungs: list[Rung], gaps: list[float], size: int) -> None:
    cells: list[Any] = []
    for goal in GOALS:
        reached = [r.seconds for r, gap in zip(rungs, gaps, strict=True) if gap <= goal]
        cells.append(f"{min(reached):.2f} s" if reached else f"> {max(r.seconds for r in rungs):.0f} s")
    extra = max(r.extra for r in rungs) / size
    print(f"| {name} | " + " | ".join(cells) + f" | {100 * extra:.0f} % | {min(gaps):.1e} |", flush=True)


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((float, float, int, str), sys.argv[1:], strict=False)))
