"""20 % of messages lost, 20 % duplicated, some held up so that others overtake them."""

from __future__ import annotations

import math

from benchmarks.asynchrony.common import Outcome, data, fit, median, ridge
from offbeat import engines, solvers, topology
from offbeat.engines.faults import Delay, Duplicate, Loss

N = 16
SOLVERS = {
    "Newton": solvers.Newton(),
    "ADMM": solvers.ADMM(),
    "DelayedProximalGradient": solvers.DelayedProximalGradient(),
}
FAULTS = (Loss(0.2), Duplicate(0.2), Delay(0.2, 1.0))


def measure() -> Outcome:
    """Time to the certificate on a good and on a bad network: medians of five seeds."""
    X, y = data(N)
    rows = []
    for name, solver in SOLVERS.items():
        for where in (topology.Hub(), topology.Broadcast(), topology.Tree(2), topology.Gossip(3)):
            options = {"solver": solver, "staleness": math.inf, "topology": where, "tol": 1e-6}
            calm = fit(ridge(), X, y, engine=engines.Simulated(N, compute=1.0, latency=0.01), **options)
            hurt = median(
                lambda seed, o=options: fit(  # type: ignore[misc]
                    ridge(), X, y, engine=engines.Simulated(N, compute=1.0, latency=0.01, faults=FAULTS, seed=seed), **o
                )
            )
            ratio = hurt.seconds / calm.seconds
            rows.append((f"{name}, {where.name}", calm.seconds, hurt.seconds, ratio, hurt.status))
    title = "20 % of messages lost, 20 % duplicated, 20 % late: virtual seconds to a certified gap of 1e-6"
    return Outcome(title, ("solver, topology", "good network", "bad network", "ratio", "status"), rows, [])
