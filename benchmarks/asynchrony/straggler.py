"""One of 16 workers is ten times slower: with a barrier, without, and with shards that can be taken over."""

from __future__ import annotations

import math

from benchmarks.asynchrony.common import TOL, Outcome, Run, data, fit, ridge
from offbeat import engines, solvers
from offbeat.sideways.schedule import Stealing

N = 16
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
    """Time to a certified relative gap of 1e-4, even cluster and straggler, for each solver and mode."""
    X, y = data(N)
    rows = []
    for name, solver in SOLVERS.items():
        for mode, options in MODES.items():

            def one(straggler: dict[int, float], solver=solver, options=options) -> Run:  # type: ignore[no-untyped-def]
                engine = engines.Simulated(N, compute=1.0, latency=0.01, straggler=straggler)
                return fit(ridge(), X, y, solver=solver, engine=engine, **options)

            even, slow = one({}), one({0: 10.0})
            rows.append((f"{name}, {mode}", even.seconds, slow.seconds, slow.seconds / even.seconds, slow.status))
    title = f"One of {N} workers ten times slower: virtual seconds to a certified gap of {TOL:g}"
    return Outcome(title, ("solver", "even", "straggler", "ratio", "status"), rows, [])
