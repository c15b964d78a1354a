"""8 of 128 workers lose all they hold at half time, and start again at once."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

from benchmarks.asynchrony.common import Outcome, data, fit, ridge
from offbeat import engines, solvers, topology
from offbeat.engines import faults

N = 128
SEEDS = 5
FEW = 1  # where everybody tells everybody, a fit takes minutes
SOLVERS = {
    "Newton": solvers.Newton(),
    "ADMM": solvers.ADMM(),
    "DelayedProximalGradient": solvers.DelayedProximalGradient(),
}


STEPS = faults.HeavyTailed(1.0, spread=0.1)
"""Steps differ a little, so that seeds do: a certificate falls a little earlier or later."""


def measure() -> Outcome:
    """Time to the certificate with and without the crashes: medians of five seeds (of one for broadcasts)."""
    X, y = data(N, rows_each=100, columns=20)
    rows = []
    for name, solver in SOLVERS.items():
        for where in (topology.Hub(), topology.Broadcast(), topology.Tree(4)):
            options = {"solver": solver, "staleness": math.inf, "topology": where, "stealing": None, "tol": 1e-6}
            calm, hurt, lost = [], [], []
            for seed in range(FEW if isinstance(where, topology.Broadcast) else SEEDS):
                cluster = engines.Simulated(N, compute=STEPS, latency=0.01, seed=seed)
                calm.append(fit(ridge(), X, y, engine=cluster, **options).seconds)
                crashes = tuple(faults.Crash(worker, 0.5 * calm[-1], 0.0) for worker in range(8))
                hurt.append(fit(ridge(), X, y, engine=replace(cluster, faults=crashes), **options).seconds)
                lost.append(100.0 * (hurt[-1] / calm[-1] - 1.0))
            middle = (statistics.median(times) for times in (calm, hurt, lost))
            rows.append((f"{name}, {where.name}", *middle, min(lost), max(lost)))
    title = f"8 of {N} workers lose their state at half time: virtual seconds to a certified gap of 1e-6"
    columns = ("solver, topology", "undisturbed", "with crashes", "lost, %", "least", "most")
    return Outcome(title, columns, rows, [])
