"""Several fits side by side: how the gap of each fell, and what the workers of each did meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offbeat.diagnostics.formatting import counted, duration
from offbeat.diagnostics.plots.charts import Axis, Boxes, Chart, Rule
from offbeat.diagnostics.plots.convergence_charts import Across, gap_chart, time_label
from offbeat.diagnostics.plots.palette import WAITING, fit_color
from offbeat.diagnostics.plots.worker_charts import busy_share, step_details
from offbeat.diagnostics.series import Spans, Updates, elapsed, spans_of, time_unit, updates_of
from offbeat.diagnostics.trace_table import TraceTable

MAX_WORKERS = 32  # drawn of each fit
MAX_SPANS = 8000  # of each fit
MAX_OUTLINED = 2000  # boxes with an outline: of more, nothing else would be seen
MAX_RATIO = 12.0  # of the longest fit to the shortest on one axis of time
BEYOND = 1.25  # times the longest fit that converged: where the axis of time ends for those that did not
MARGIN = 1.02  # of the axis of time
HEIGHTS = (110, 420)  # least and most of the workers of one fit (pixels)


@dataclass(frozen=True)
class Fit:
    """One fit as it is drawn.

    ``workers`` are those shown, of ``n_workers``; ``end`` is when it ended (s); ``converged`` is None where its trace
    has no status.
    """

    name: str
    updates: Updates
    spans: Spans
    workers: tuple[int, ...]
    n_workers: int
    end: float
    converged: bool | None

    @property
    def title(self) -> str:
        """Return what is said above its workers."""
        shown = f", {len(self.workers)} of them shown" if len(self.workers) < self.n_workers else ""
        ended = "" if self.converged is None else "certified after " if self.converged else "not certified after "
        return f"{self.name}: {ended}{duration(self.end)} ({counted(self.n_workers, 'worker')}{shown})"


def fit_of(name: str, trace: TraceTable) -> Fit:
    """Return what is drawn of a trace.

    Parameters
    ----------
    name : str
    trace : Trace
    """
    there = sorted({row.worker for row in trace if row.kind == "step"})
    chosen = sorted({int(i) for i in np.linspace(0, len(there) - 1, min(MAX_WORKERS, len(there)))})
    workers = tuple(there[i] for i in chosen)
    spans, status, end = spans_of(trace, MAX_SPANS, workers=workers), trace.metadata.get("status"), elapsed(trace)
    converged = None if status is None else status == "converged"
    return Fit(name, updates_of(trace), spans, workers, len(there), end if math.isfinite(end) else 0.0, converged)


def comparison_charts(traces: Mapping[str, TraceTable]) -> tuple[Chart, list[Chart]]:
    """Chart of the gaps of all fits, and a chart of the workers of each.

    All share one axis of time, unless some fits took so much longer than others that the short ones could not be seen.
    The gaps then have a logarithmic axis of time, and the workers of each fit an axis of their own.

    Parameters
    ----------
    traces : mapping of str to Trace
        By the names to show.
    """
    fits = [fit_of(name, trace) for name, trace in traces.items()]
    own = _need_own_axes(fits)
    end = max((fit.end for fit in fits), default=0.0) if own else horizon(fits)
    updates = {fit.name: fit.updates for fit in fits}
    shared = _time_axis(updates, end, link="" if own else "time")
    if own:
        gaps = gap_chart(updates, shared._replace(axis=replace(shared.axis, log=True, low=None, high=None)), height=360)
    else:
        gaps = gap_chart(updates, shared, height=360)
    sides = [_time_axis({"": fit.updates}, fit.end) if own else shared for fit in fits]
    return gaps, [_workers(fit, fit_color(i), side) for i, (fit, side) in enumerate(zip(fits, sides, strict=True))]


def horizon(fits: Sequence[Fit]) -> float:
    """Return where the axis of time ends (s): fits that never converge do not squeeze the others into a corner."""
    longest = max((fit.end for fit in fits), default=0.0) or 1.0
    good = max((fit.end for fit in fits if fit.converged), default=longest) or 1.0
    return min(longest, BEYOND * good)


def _need_own_axes(fits: Sequence[Fit]) -> bool:
    ends = [fit.end for fit in fits if fit.end > 0.0]
    return len(ends) > 1 and max(ends) > MAX_RATIO * min(ends)


def _time_axis(updates: Mapping[str, Updates], end: float, link: str = "") -> Across:
    unit = time_unit(end or 1.0)
    axis = Axis(time_label(updates, unit), low=0.0, high=(end or 1.0) * unit.factor * MARGIN, link=link)
    return Across("time", unit, axis)


def _workers(fit: Fit, color: str, side: Across) -> Chart:
    """What the workers of one fit did: coloured while they work, grey while they wait."""
    count, factor, spans = len(fit.workers), side.unit.factor, fit.spans
    line, end = np.arange(count, dtype=np.float64), np.full(count, fit.end * factor)
    waiting = Boxes(np.zeros(count), end, line - 0.4, line + 0.4, WAITING)
    left, row = spans.start * factor, np.searchsorted(np.array(fit.workers), spans.worker).astype(np.float64)
    shade, outline = 0.15 + 0.85 * busy_share(spans), "white" if len(spans) < MAX_OUTLINED else ""
    details = step_details(spans, left, side.unit)
    steps = Boxes(left, spans.end * factor, row - 0.4, row + 0.4, color, "", shade, outline, details)
    ends = sorted({0, count - 1}) if count else []
    ticks = tuple((float(row), f"worker {fit.workers[row]}") for row in ends)
    return Chart(
        replace(side.axis, grid=False),
        Axis(low=max(count, 1) - 0.4, high=-0.6, ticks=ticks, grid=False),
        title=fit.title,
        boxes=(waiting, steps),
        rules=(Rule(fit.end * factor, "x"),) if fit.converged and count else (),
        nothing="No step was recorded.",
        height=int(np.clip(60 + 11 * count, *HEIGHTS)),
        zoom="x",
    )
