"""How much of their moves threads without locks take from each other: ``python -m benchmarks.races``.

The kernels are those of `SAGA` and `Hogwild`. The loss is the predictor itself, so that every row's move is the same
wherever the point is, and what the point should have become is known: what is missing, was lost.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat import penalties
from offbeat.data.shards import Targets
from offbeat.data.source import CSR
from offbeat.kernels.arguments import DenseMetric, DenseState, PenaltyStep, SparseMetric, SparseState

Floats = NDArray[np.float64]
PASSES = 10


class Linear(NamedTuple):
    """The loss ``z``: no bound, no optimum, and a slope of 1 everywhere."""

    smoothness: float = 0.0

    def value(self, z: float, y: float) -> float:
        """Return the predictor."""
        return z

    def derivative(self, z: float, y: float) -> float:
        """Return 1."""
        return 1.0

    def second_derivative(self, z: float, y: float) -> float:
        """Return 0."""
        return 0.0


def dense(n: int, k: int, threads: int) -> tuple[Floats, Floats, float]:
    """Let threads visit rows of ones; return the moves that arrived and those that were made, by column."""
    from offbeat.kernels import saga

    x, none, ones = np.zeros(k + 1), np.zeros(k + 1), np.ones(k)
    metric, rule = DenseMetric(np.zeros(k), np.ones(k + 1), False), PenaltyStep(ones, ones, ones)
    kernel = saga.dense_shared if threads > 1 else saga.dense_epoch
    seconds = _visited(
        kernel, _frozen(np.ones((n, k))), n, lambda fresh: DenseState(x, none, fresh), metric, rule, threads
    )
    return -x, np.full(k + 1, float(PASSES * n)), seconds


def sparse(n: int, k: int, entries: int, threads: int) -> tuple[Floats, Floats, float]:
    """Do as `dense` for rows with a few ones each; column ``j`` occurs about in proportion to ``1 / (j + 1)``."""
    from offbeat.kernels import saga_sparse

    share = 1.0 / np.arange(1.0, k + 1.0)
    indices = np.random.default_rng(0).choice(k, (n, entries), p=share / share.sum()).astype(np.int32).ravel()
    indptr = np.arange(0, n * entries + 1, entries, dtype=np.int32)
    x, none, ones, numbers = np.zeros(k), np.zeros(k + 1), np.ones(k), np.zeros(3)
    metric = SparseMetric(np.ones(k + 1), ones, none, np.zeros(k), -1.0)
    rule = PenaltyStep(ones, ones, ones)
    X = CSR(*map(_frozen, (indptr, indices, np.ones(n * entries))))
    kernel = saga_sparse.sparse_shared if threads > 1 else saga_sparse.sparse_epoch
    seconds = _visited(kernel, X, n, lambda fresh: SparseState(x, none, fresh, numbers), metric, rule, threads)
    made = PASSES * np.bincount(indices, minlength=k).astype(np.float64)
    return np.append(-x, -numbers[0]), np.append(made, float(PASSES * n)), seconds


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _visited(
    kernel: Any, X: Any, n: int, state: Callable[[Floats], Any], metric: Any, rule: Any, threads: int
) -> float:
    """Have all rows visited, a part by each thread; return the seconds."""
    target = Targets(*map(_frozen, (np.zeros(n), np.empty(0), np.empty(0))))

    def run(rows: NDArray[np.int64]) -> None:
        fresh = np.zeros(len(metric.rate))
        for _ in range(PASSES):  # each with a table that knows of no slopes: moves are held against nothing
            kernel(
                Linear(), penalties.Zero(), X, target, np.zeros(n), rows, state(fresh), metric, rule, np.zeros(5)
            )  # fmt: skip

    run(np.empty(0, np.int64))  # compiles
    parts = np.array_split(np.random.default_rng(1).permutation(n), threads)
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, parts))
    return time.perf_counter() - started


def main(n: int = 200_000) -> None:
    """Print a table."""
    cases: dict[str, Any] = {
        "dense, 10 columns": lambda threads: dense(n, 10, threads),
        "dense, 100 columns": lambda threads: dense(n, 100, threads),
        "sparse, 10 of 1,000 columns": lambda threads: sparse(n, 1_000, 10, threads),
        "sparse, 10 of 100,000 columns": lambda threads: sparse(n, 100_000, 10, threads),
        "sparse, 3 of 10 columns": lambda threads: sparse(n, 10, 3, threads),
    }
    print("| rows | threads | lost, of all moves | lost, of the worst column | lost, of the intercept | seconds |")
    print("|---|---|---|---|---|---|")
    for name, case in cases.items():
        for threads in (1, 2, 4):
            arrived, made, seconds = case(threads)
            lost, often = made - arrived, made >= 0.001 * n
            worst = float(np.max(lost[often] / made[often]))
            print(
                f"| {name} | {threads} | {lost.sum() / made.sum():.1e} | {worst:.1e} | {lost[-1] / made[-1]:.1e} "
                f"| {seconds:.2f} |"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
