"""The tables of the pages: what stands in them, without HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from offbeat.diagnostics.formatting import UNKNOWN, duration, significant, size
from offbeat.diagnostics.series import Updates, elapsed
from offbeat.diagnostics.trace_table import TraceTable

MAX_MILESTONES = 8
MAX_WORKERS = 64


class Table(NamedTuple):
    """Names of the columns, rows of cells, and how many rows there would be if all were shown."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    n_rows: int


def text(value: object) -> str:
    """A value as text for people: six digits, thousands apart, a dash for what is not known.

    Examples
    --------
    >>> text(1234567), text(True), text(0.1234567)
    ('1,234,567', 'yes', '0.123457')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        return significant(float(value))
    return UNKNOWN if value is None else str(value)


def milestones(updates: Updates) -> Table:
    """When the gap first came below each power of ten: the table people compare solvers by.

    Parameters
    ----------
    updates : Updates
    """
    time, measure = updates.points("time", "measure")
    passes, _ = updates.points("passes", "measure")
    head = (f"{updates.label} at most", "time", "passes")
    if not len(measure) or len(passes) != len(time) or measure.min() <= 0:
        return Table(head, (), 0)
    first, last = math.floor(math.log10(measure.max())), math.ceil(math.log10(measure.min()))
    step = max(1, math.ceil((first - last + 1) / MAX_MILESTONES))
    levels = {float(f"1e{power}") for power in range(first, last - 1, -step)} | {updates.tolerance}
    rows: list[tuple[object, ...]] = []
    for level in sorted((level for level in levels if level > 0), reverse=True):
        below = np.flatnonzero(measure <= level)
        if len(below):
            name = f"{level:.0e}{' (tolerance)' if level == updates.tolerance else ''}"
            rows.append((name, duration(float(time[below[0]])), significant(float(passes[below[0]]), 4)))
    return Table(head, rows, len(rows))


def workers(trace: TraceTable) -> Table:
    """Steps, busy and idle time, lengths of steps, staleness and bytes of each worker.

    Parameters
    ----------
    trace : Trace
    """
    columns = trace.to_arrays()
    steps, moved = columns["kind"] == "step", columns["kind"] == "transfer"
    span = elapsed(trace)
    names = np.unique(columns["worker"][steps])
    rows = [_worker(columns, int(worker), steps, moved, span) for worker in names[:MAX_WORKERS]]
    head = ["", "steps", "busy", "of the time", "idle", "median step", "longest step", "most stale", "sent"]
    head += ["moved there", "in"] if moved.any() else []
    return Table(head, rows, len(names))


def _worker(columns: Mapping[str, Any], worker: int, steps: Any, moved: Any, span: float) -> tuple[object, ...]:
    mine = steps & (columns["worker"] == worker)
    took = columns["duration"][mine]
    busy, longest = float(np.nansum(took)), float(np.nanmax(took, initial=0.0))
    median = float(np.nanmedian(took)) if np.isfinite(took).any() else math.nan
    return (
        f"worker {worker}", int(mine.sum()), duration(busy), f"{busy / span:.0%}" if span > 0 else UNKNOWN,
        duration(max(span - busy, 0.0)), duration(median), duration(longest),
        int(columns["staleness"][mine].max()), size(int(columns["bytes"][mine].sum())),
        *_received(columns, moved, worker),
    )  # fmt: skip


def _received(columns: Mapping[str, Any], moved: Any, worker: int) -> tuple[object, ...]:
    """Bytes that were moved to a worker and the time that took, where anything was moved to any."""
    mine = moved & (columns["worker"] == worker)
    took = duration(float(columns["duration"][mine].sum())) if mine.any() else UNKNOWN
    return (size(int(columns["bytes"][mine].sum())), took) if moved.any() else ()
