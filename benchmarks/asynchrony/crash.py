"""8 of 128 workers lose all they hold at half time, and start again at once."""

from __future__ import annotations

import math

from benchmarks.asynchrony.common import Outcome, data, fit, ridge
from offbeat import engines, solvers, topology
from offbeat.engines.faults import Crash

N = 128
SOLVERS = {
    "Newton": solvers.Newton(),
    "ADMM": solvers.ADMM(),
    "DelayedProximalGradient": solvers.DelayedProximalGradient(),
}


def measure() -> Outcome:
    """Time to the certificate with and without the crashes."""
    X, y = data(N, rows_each=100, columns=20)
    rows = []
    for name, solver in SOLVERS.items():
        for where in (topology.Hub(), topology.Broadcast(), topology.Tree(4)):
            options = {"solver": solver, "staleness": math.inf, "topology": where, "stealing": None, "tol": 1e-6}
            calm = fit(ridge(), X, y, engine=engines.Simulated(N, compute=1.0, latency=0.01), **options)
            crashes = tuple(Crash(worker, 0.5 * calm.seconds, 0.0) for worker in range(8))
            hurt = fit(ridge(), X, y, engine=engines.Simulated(N, compute=1.0, latency=0.01, faults=crashes), **options)
            lost = (hurt.seconds - calm.seconds) / calm.seconds
            rows.append((f"{name}, {where.name}", calm.seconds, hurt.seconds, f"{100 * lost:.1f} %", hurt.status))
    title = f"8 of {N} workers lose their state at half time: virtual seconds to a certified gap of 1e-6"
    return Outcome(title, ("solver, topology", "undisturbed", "with crashes", "lost", "status"), rows, [])
