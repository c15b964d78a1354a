"""The problem of Rocklin & White 2017, scaled down: ADMM with a barrier, one at a time and in batches."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import numpy as np

import offbeat
from benchmarks.asynchrony.common import Outcome
from benchmarks.cluster.common import cluster, features, targets, timed
from offbeat import Problem, engines, losses, penalties, solvers, topology

ROWS, LAMDUH, RHO = 2_500_000, 7.2, 1.2
GOAL = 1e-6
LONGEST = 200.0  # seconds for the published loop


def local_update(X: Any, y: Any, beta: Any, z: Any, u: Any) -> Any:
    """Return the minimiser of squares plus the distance from ``z - u``, by L-BFGS as published."""
    from scipy.optimize import fmin_l_bfgs_b

    def both(b: Any) -> Any:
        residual, away = X @ b - y, b - z + u
        return residual @ residual + RHO / 2.0 * (away @ away), 2.0 * X.T @ residual + RHO * away

    return fmin_l_bfgs_b(both, beta)[0]


def published(client: Any, X: Any, y: Any, near: Any) -> tuple[float, float]:
    """Run the synchronous loop until it is near the optimum, or for `LONGEST`: one task a chunk, gather, update."""
    from distributed import futures_of

    chunks = list(zip(futures_of(X.persist()), futures_of(y.persist()), strict=True))
    k, n = X.shape[1], len(chunks)
    z, u, betas = np.zeros(k), np.zeros((n, k)), np.zeros((n, k))
    begun = time.perf_counter()
    while time.perf_counter() - begun < LONGEST:
        tasks = [client.submit(local_update, *c, betas[i], z, u[i], pure=False) for i, c in enumerate(chunks)]
        betas = np.array(client.gather(tasks))
        mean = np.mean(betas + u, axis=0)
        z = np.sign(mean) * np.maximum(np.abs(mean) - LAMDUH / (RHO * n), 0.0)
        u += betas - z
        if near(z) <= GOAL:
            break
    return time.perf_counter() - begun, near(z)


def measure() -> Outcome:
    """Seconds to a certified 1e-6, and in passes' worth of time: a pass is a gradient on all rows."""
    warnings.simplefilter("ignore")
    alpha = LAMDUH / (2.0 * ROWS)
    problem = Problem(losses.Squared(), penalties.L1(alpha))
    rows: list[tuple[Any, ...]] = []
    with cluster() as client:
        X = features(ROWS)
        y = targets(X, "squared")
        options = {"tol": GOAL, "fit_intercept": False, "engine": engines.Dask(client)}
        exact = offbeat.solve(problem, X, y, **{**options, "tol": 1e-12})
        whole, at_zero = exact.certificate.primal, float((y**2).mean().compute()) / 2.0
        gram, product, square = (v.compute() for v in (X.T @ X, X.T @ y, y @ y))

        def near(w: Any) -> float:
            value = (w @ gram @ w - 2.0 * w @ product + square) / (2.0 * ROWS) + alpha * np.abs(w).sum()
            return float((value - whole) / at_zero)

        one_pass, _ = timed(lambda: (X.T @ (X @ np.ones(X.shape[1]) - y)).compute())
        for name, extra in {
            "synchronous": {},
            "asynchronous, one at a time": {"staleness": math.inf, "topology": topology.Hub(batch=1)},
            "asynchronous, batched": {"staleness": math.inf, "topology": topology.Hub(batch=None)},
        }.items():
            seconds, fit = timed(
                lambda extra=extra: offbeat.solve(problem, X, y, solver=solvers.ADMM(), **options, **extra)
            )
            rows.append((f"ADMM, {name}", seconds, seconds / one_pass, fit.certificate.relative_gap, near(fit.coef)))
        seconds, _ = timed(lambda: offbeat.solve(problem, X, y, **options))
        rows.append(("what auto takes", seconds, seconds / one_pass, math.nan, math.nan))
        seconds, gap = published(client, X, y, near)
        rows.append(("the published loop", seconds, seconds / one_pass, math.nan, gap))
    title = "2,500,000 x 100 in chunks of 50,000, squared loss + L1, two workers"
    return Outcome(title, ("who", "seconds", "passes' worth", "certified", "suboptimality"), rows, [])
