"""One of 16 workers is ten times slower: with a barrier, without, and with shards that can be taken over."""

from __future__ import annotations

import math
import statistics
from typing import Any

from benchmarks.asynchrony.common import TOL, Outcome, data, fit, ridge
from offbeat import engines, solvers
from offbeat.sideways.schedule import Stealing

N = 16
SEEDS = range(5)
SOLVERS = {
    "Newton": solvers.Newton(),
    "ADMM": solvers.ADMM(),
    "DelayedProximalGradient": solvers.DelayedProximalGradient(),
}
MODES = {
    "barrier, pinned": {"staleness": 0.0, "stealing": None},
    "barrier, stealable": {"staleness": 0.0, "stealing": Stealing()},
    "asynchronous, pinned": {"staleness": math.inf, "stealing": None},
    "asynchronous, stealable": {"staleness": math.inf, "stealing": Stealing()},
}


def measure() -> Outcome:
    """Time to a certified relative gap of 1e-4, even cluster and straggler; medians over data of several seeds."""
    rows = []
    for name, solver in SOLVERS.items():
        for mode, options in MODES.items():
            pairs = [_pair(seed, solver, options) for seed in SEEDS]
            ratios = [slow / even for even, slow in pairs]
            even, slow = (statistics.median(each) for each in zip(*pairs, strict=True))
            rows.append((f"{name}, {mode}", even, slow, statistics.median(ratios), min(ratios), max(ratios)))
    title = f"One of {N} workers ten times slower: virtual seconds to a certified gap of {TOL:g}"
    return Outcome(title, ("solver", "even", "straggler", "ratio", "least", "most"), rows, [])


def _pair(seed: int, solver: Any, options: dict[str, Any]) -> tuple[float, float]:
    """Return the virtual seconds of an even cluster, and of one with a slow worker."""
    X, y = data(N, seed=seed)

    def one(straggler: dict[int, float]) -> float:
        engine = engines.Simulated(N, compute=1.0, latency=0.01, straggler=straggler)
        run = fit(ridge(), X, y, solver=solver, engine=engine, **options)
        assert run.status == "converged"
        return run.seconds

    return one({}), one({0: 10.0})
