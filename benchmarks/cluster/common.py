"""Clusters, data and clocks that the experiments share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS, CHUNK = 500_000, 100, 50_000
ROUNDS = 5


@contextmanager
def cluster(workers: int = 2) -> Iterator[Any]:
    """Start workers of one thread each, and yield their client."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0, host="127.0.0.1"
        ) as made,
        Client(made) as client,
    ):
        yield client


def features(n: int = ROWS, k: int = COLUMNS, chunk: int = CHUNK) -> Any:
    """Return normal features in chunks, kept by the workers."""
    import dask.array as da

    return da.random.default_rng(0).normal(size=(n, k), chunks=(chunk, k)).persist()


def truth(k: int = COLUMNS) -> NDArray[np.float64]:
    """Return coefficients, a tenth of them zero."""
    rng = np.random.default_rng(1)
    coef = rng.normal(size=k) / np.sqrt(k)
    coef[rng.choice(k, k // 10, replace=False)] = 0.0
    return coef


def targets(X: Any, loss: str) -> Any:
    """Return targets that fit a loss, kept by the workers."""
    import dask.array as da

    z, n, chunk = X @ truth(X.shape[1]), X.shape[0], X.chunks[0]
    if loss == "logistic":
        return (
            (da.random.default_rng(2).uniform(size=n, chunks=(chunk,)) < 1.0 / (1.0 + da.exp(-z)))
            .astype(float)
            .persist()
        )
    if loss == "poisson":
        return da.random.default_rng(2).poisson(da.exp(z)).astype(float).persist()
    return (z + 2.0 * da.random.default_rng(2).normal(size=n, chunks=(chunk,))).persist()


def timed(action: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, Any]:
    """Return the median seconds of an action, and what it returned last."""
    times, result = [], None
    for _ in range(rounds):
        begun = time.perf_counter()
        result = action()
        times.append(time.perf_counter() - begun)
    return statistics.median(times), result
