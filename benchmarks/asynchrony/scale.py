"""1 to 1,024 workers, strong and weak scaling of Hub, Broadcast and Tree."""

from __future__ import annotations

import math

from benchmarks.asynchrony.common import TOL, Outcome, data, fit, ridge
from offbeat import engines, solvers, topology

WORKERS = (1, 4, 16, 64, 256, 1024)
TOTAL, EACH, COLUMNS = 16_384, 64, 20
PER_ROW = 1e-4  # seconds of a gradient for one row
MOST = 64  # workers that tell each other everything: their messages grow with the square
LINK = 1.25e8  # bytes a second


def measure() -> Outcome:
    """Time to the certificate, messages, and bytes of a worker, for each size and topology."""
    rows = []
    for kind in ("strong", "weak"):
        for n in WORKERS:
            each = TOTAL // n if kind == "strong" else EACH
            X, y = data(n, rows_each=each, columns=COLUMNS)
            for where in (topology.Hub(), topology.Broadcast(), topology.Tree(4)):
                if isinstance(where, topology.Broadcast) and n > MOST:
                    continue
                engine = engines.Simulated(n, compute=PER_ROW * each, latency=2e-4, bandwidth=LINK)
                run = fit(
                    ridge(), X, y, solver=solvers.ADMM(), engine=engine, staleness=math.inf, topology=where,
                    stealing=None, tol=TOL,
                )  # fmt: skip
                label = f"{kind}, {n:,} workers, {where.name}"
                rows.append((label, run.seconds, run.messages, run.bytes / n / 1e3, run.busiest / 1e3, run.status))
    columns = ("work, size, topology", "seconds", "messages", "kB a worker", "kB of the busiest", "status")
    title = f"Scaling of asynchronous ADMM: {TOTAL:,} rows in all (strong), {EACH} a worker (weak)"
    return Outcome(title, columns, rows, [])
