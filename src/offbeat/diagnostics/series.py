"""The numbers of a trace that charts and tables show: its updates in time order, and the spans of its workers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from offbeat.diagnostics.trace_table import TraceTable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_Table = dict[str, npt.NDArray[Any]]

# A relative gap below rounding is rounding: drawn here, so that a zero still shows on a log axis.
ROUNDING = float(np.finfo(np.float64).eps)
MAX_SPANS = 20_000  # of one chart: more only make a page slow
MAX_LABELS = 6  # kinds of steps that are told apart by their colour


class Unit(NamedTuple):
    """A unit of time: ``factor`` of them make a second."""

    factor: float
    name: str


def time_unit(seconds: float) -> Unit:
    """Unit in which a span of ``seconds`` is easy to read.

    Examples
    --------
    >>> time_unit(0.02).name, time_unit(30.0).name, time_unit(1e4).name
    ('ms', 's', 'h')
    """
    limits = ((2e-3, Unit(1e6, "µs")), (2.0, Unit(1e3, "ms")), (600.0, Unit(1.0, "s")), (7200.0, Unit(1 / 60, "min")))
    return next((unit for limit, unit in limits if seconds < limit), Unit(1 / 3600, "h"))


@dataclass(frozen=True)
class Updates:
    """Updates of one trace in time order: ``time`` (s), ``passes`` and values, each of shape (n_updates,).

    ``measure`` is the relative gap where its scale is known, else the gap, else a residual;
    ``label`` names it. Unknown values are NaN.
    """

    time: Floats
    passes: Floats
    primal: Floats
    dual: Floats
    measure: Floats
    label: str
    tolerance: float
    virtual: bool

    def points(self, x: str, y: str) -> tuple[Floats, Floats]:
        """Known points of column ``y`` against column ``x`` (``time`` or ``passes``)."""
        across, up = getattr(self, x), getattr(self, y)
        known = np.isfinite(across) & np.isfinite(up)
        return across[known], up[known]


def number(text: str | None) -> float:
    """Number that ``text`` spells, NaN when it spells none."""
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def updates_of(trace: TraceTable, scale: float = math.nan) -> Updates:
    """Updates of ``trace`` in time order.

    Parameters
    ----------
    trace : Trace
    scale : float, optional
        Gap that counts as a relative gap of 1; by default ``gap_scale`` of the metadata.
    """
    columns = trace.to_arrays()
    rows = np.flatnonzero((columns["kind"] == "update") & np.isfinite(columns["time"]))
    rows = rows[np.argsort(columns["time"][rows], kind="stable")]
    scale = scale if math.isfinite(scale) else number(trace.metadata.get("gap_scale"))
    relative = math.isfinite(scale) and scale > 0
    measure, label = _measure({name: columns[name][rows] for name in ("gap", "primal_residual", "dual_residual")})
    if trace.metadata.get("certificate") == "gradient" and label == "duality gap":
        label = "optimality"
    if relative and label != "residual":
        measure, label = measure / scale, f"relative {label}"
    known = measure[np.isfinite(measure)]
    floor = ROUNDING * (1.0 if relative else float(np.abs(known).max(initial=0.0)) or 1.0)
    measure = np.where(np.isfinite(measure), np.maximum(measure, floor), np.nan)
    tolerance = number(trace.metadata.get("tolerance"))
    return Updates(
        time=columns["time"][rows],
        passes=columns["passes"][rows],
        primal=columns["primal"][rows],
        dual=columns["dual"][rows],
        measure=measure,
        label=label,
        tolerance=tolerance if relative else math.nan,
        virtual=trace.metadata.get("clock") == "virtual",
    )


def _measure(columns: dict[str, Floats]) -> tuple[Floats, str]:
    """How far from the optimum: the gap if ever known, else the larger known residual."""
    if np.isfinite(columns["gap"]).any():
        return columns["gap"], "duality gap"
    residual = np.fmax(columns["primal_residual"], columns["dual_residual"])
    return (residual, "residual") if np.isfinite(residual).any() else (columns["gap"], "duality gap")


def objective_range(primal: Sequence[Floats], dual: Sequence[Floats]) -> tuple[float, float] | None:
    """Limits of an axis on which primal curves are seen whole; a dual that starts far below enters from there."""
    high = np.concatenate([values[np.isfinite(values)] for values in primal] or [np.empty(0)])
    low = np.concatenate([values[np.isfinite(values)] for values in dual] or [np.empty(0)])
    if not high.size:
        return (float(low.min()), float(low.max()) + 1e-12) if low.size else None
    bottom, top = float(high.min()), float(high.max())
    span = top - bottom or max(abs(top), 1.0) * 0.1
    if low.size:
        bottom = max(float(low.min()), bottom - 0.5 * span)
    return bottom - 0.06 * span, top + 0.06 * span


def thin(y: Floats, limit: int) -> Ints:
    """Indices of at most about ``limit`` points that keep the look of a curve: the extremes of equal runs.

    Parameters
    ----------
    y : ndarray of shape (n,)
    limit : int
        At least 4.

    Examples
    --------
    >>> thin(np.arange(10.0), 4).tolist()
    [0, 4, 5, 9]
    """
    if len(y) <= limit:
        return np.arange(len(y))
    edges = np.linspace(0, len(y), limit // 2 + 1).astype(np.int64)
    keep = {0, len(y) - 1}
    for start, stop in pairwise(edges.tolist()):
        keep.update((start + int(y[start:stop].argmin()), start + int(y[start:stop].argmax())))
    return np.array(sorted(keep), dtype=np.int64)


@dataclass(frozen=True)
class Spans:
    """Spans of time in which a worker took steps, or was sent data. Each array has the shape (n_spans,).

    ``start`` and ``end`` are times (s). A span stands for ``steps`` steps, which took ``busy`` (s) and sent ``bytes``;
    of transfers, ``bytes`` is what was moved. ``shard`` and ``clock`` are those of the first step, ``staleness`` is
    the largest. ``resolution`` (s) is the pause below which steps of one worker were joined; 0 when each step has
    its own span.
    """

    worker: Ints
    start: Floats
    end: Floats
    busy: Floats
    shard: Ints
    clock: Ints
    staleness: Ints
    steps: Ints
    bytes: Ints
    label: npt.NDArray[np.object_]
    resolution: float

    def __len__(self) -> int:
        return len(self.worker)


def spans_of(
    trace: TraceTable, limit: int = MAX_SPANS, kind: str = "step", workers: Collection[int] | None = None
) -> Spans:
    """Spans of the steps of ``trace``, or of its transfers.

    If there are more than ``limit``, steps of one worker and one label are joined that are less than some pause apart.
    The pause is doubled until few enough spans are left. Idle time shorter than the pause is then no longer seen, but
    ``busy`` does not count it. Every worker keeps at least one span, so there may be more than ``limit``.

    Parameters
    ----------
    trace : Trace
    limit : int
    kind : {"step", "transfer"}
    workers : collection of int, optional
        Those to take; by default all.
    """
    columns = trace.to_arrays()
    known = np.isfinite(columns["time"]) & np.isfinite(columns["duration"])
    wanted = (columns["kind"] == kind) & known
    if workers is not None:
        wanted &= np.isin(columns["worker"], sorted(workers))
    rows = np.flatnonzero(wanted)
    table = {name: column[rows] for name, column in columns.items()}
    table["label"] = labels(table["note"])
    table["end"] = table["time"] + table["duration"]
    order = np.lexsort((table["time"], table["worker"]))
    table = {name: column[order] for name, column in table.items()}
    first, resolution = np.ones(len(order), dtype=bool), 0.0
    span = float(table["end"].max(initial=0.0))
    while first.sum() > limit and resolution < span:
        resolution = resolution * 2 if resolution else span / limit
        first = _span_starts(table, resolution)
    return _joined(table, np.flatnonzero(first), resolution)


def _span_starts(table: _Table, resolution: float) -> npt.NDArray[np.bool_]:
    """True where a span begins: another worker or label, or a pause of at least ``resolution``."""
    worker, start, end, label = (table[name] for name in ("worker", "time", "end", "label"))
    begins = np.ones(len(worker), dtype=bool)
    # A span also ends after 20 times the pause, so that a worker that never pauses still shows some texture.
    cell = np.floor(start / (20 * resolution))
    begins[1:] = (worker[1:] != worker[:-1]) | (start[1:] - end[:-1] >= resolution) | (cell[1:] != cell[:-1])
    if resolution < 0.01 * end.max():
        begins[1:] |= label[1:] != label[:-1]
    return begins


def _joined(table: _Table, first: Ints, resolution: float) -> Spans:
    """Spans that begin at the rows ``first`` of a table sorted by worker and start."""
    begin = {name: table[name][first] for name in ("worker", "shard", "clock", "label")}
    steps = np.diff(np.append(first, len(table["worker"])))
    end, busy, staleness, sent = table["end"], table["duration"], table["staleness"], table["bytes"]
    if len(first):
        end, staleness = np.maximum.reduceat(end, first), np.maximum.reduceat(staleness, first)
        busy, sent = np.add.reduceat(busy, first), np.add.reduceat(sent, first)
    start = table["time"][first]
    return Spans(
        **begin, start=start, end=end, busy=busy, staleness=staleness, steps=steps, bytes=sent, resolution=resolution
    )


def elapsed(trace: TraceTable) -> float:
    """Seconds from the start to the last update or the end of the last step; NaN for an empty trace."""
    ends = (row.time + row.duration for row in trace)
    return max((end for end in ends if math.isfinite(end)), default=math.nan)


def passes_of(trace: TraceTable) -> float:
    """Passes over the data that the updates count; NaN when there are none."""
    passes = (row.passes for row in trace if row.kind == "update")
    return max((value for value in passes if math.isfinite(value)), default=math.nan)


def labels(notes: npt.NDArray[np.object_], most: int = MAX_LABELS) -> npt.NDArray[np.object_]:
    """Category of each step for its colour: its note; "step" without one, or with too many notes to tell apart."""
    kinds = {note for note in notes if note}
    if len(kinds) > most:
        return np.full(len(notes), "step", dtype=object)
    return np.array([note or "step" for note in notes], dtype=object)
