"""The trace and the certificates left on: share of the time of an asynchronous fit."""

from __future__ import annotations

import math
import statistics

from benchmarks.asynchrony.common import Outcome, Run, data, fit, ridge
from offbeat import engines, solvers
from offbeat.sideways import certify, loop

ROUNDS = 15


def measure() -> Outcome:
    """Real time of fits on two threads for a fixed number of passes, with and without recording rows."""
    X, y = data(2, rows_each=100_000, columns=50)
    rows = []
    for name, solver in {"ADMM": solvers.ADMM(), "DelayedProximalGradient": solvers.DelayedProximalGradient()}.items():
        options = {"solver": solver, "engine": engines.Threads(2), "staleness": math.inf, "tol": 0.0, "max_iter": 60}
        times: dict[str, list[float]] = {"on": [], "off": []}
        for _ in range(ROUNDS):
            times["on"].append(_each(fit(ridge(), X, y, **options)))
            with _off():
                times["off"].append(_each(fit(ridge(), X, y, **options)))
        on, off = statistics.median(times["on"]), statistics.median(times["off"])
        rows.append((name, off, on, f"{100 * (on / off - 1):.1f} %"))
    title = "Diagnostics left on: real milliseconds a pass over 200,000 x 50, two threads"
    return Outcome(title, ("solver", "without", "with", "cost"), rows, [])


def _each(run: Run) -> float:
    """Return the milliseconds of a pass: fits end at whole rounds, so that they differ by a pass or two."""
    return 1e3 * run.seconds / run.passes


class _off:  # noqa: N801  (a context manager)
    """Do without trace rows and without certificates on the way."""

    def __enter__(self) -> None:
        self.row, self.share = loop.step_row, certify.Certifier.wants
        nothing = loop.Row(time=0.0)
        loop.step_row = lambda event, update: nothing
        certify.Certifier.wants = lambda self, candidate, last=False: last  # type: ignore[method-assign]

    def __exit__(self, *error: object) -> None:
        loop.step_row, certify.Certifier.wants = self.row, self.share  # type: ignore[method-assign]
