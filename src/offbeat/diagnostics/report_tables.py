"""The tables of the HTML report."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat.diagnostics.progress import UNKNOWN, duration
from offbeat.diagnostics.series import Curves, span_of
from offbeat.diagnostics.trace import Trace

if TYPE_CHECKING:
    from bokeh.models import Column

_MILESTONES = 8
_WORKERS = 64


def text(value: object) -> str:
    """A value as escaped text for people: six digits, thousands apart, a dash for what is not known."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        return figure(float(value))
    if value is None:
        return UNKNOWN
    return html.escape(str(value))


def figure(value: float, digits: int = 6) -> str:
    """A number with ``digits`` significant digits.

    Examples
    --------
    >>> figure(0.123456789), figure(2.5e-9)
    ('0.123457', '2.5e-09')
    """
    if math.isnan(value):
        return UNKNOWN
    return f"{value:.{digits}g}".replace("inf", "∞")


def pairs(values: Mapping[str, object]) -> str:
    """Two-column table of names and values."""
    rows = "".join(f"<tr><td>{text(name)}</td><td>{text(value)}</td></tr>" for name, value in values.items())
    return f'<table class="pairs"><tbody>{rows}</tbody></table>' if rows else '<p class="soft">Nothing recorded.</p>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Table with a head; empty text when there are no rows."""
    lines = ["".join(f"<td>{text(cell)}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    top = "".join(f"<th>{text(name)}</th>" for name in head)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def milestones(curve: Curves) -> str:
    """When the gap first came below each power of ten: the table people compare solvers by."""
    time, measure = curve.points("time", "measure")
    passes, _ = curve.points("passes", "measure")
    if not len(measure) or len(passes) != len(time) or measure.min() <= 0:
        return ""
    first, last = math.floor(math.log10(measure.max())), math.ceil(math.log10(measure.min()))
    step = max(1, math.ceil((first - last + 1) / _MILESTONES))
    levels = {float(f"1e{power}") for power in range(first, last - 1, -step)} | {curve.tolerance}
    rows: list[tuple[object, ...]] = []
    for level in sorted((level for level in levels if level > 0), reverse=True):
        below = np.flatnonzero(measure <= level)
        if len(below):
            name = f"{level:.0e}{' (tolerance)' if level == curve.tolerance else ''}"
            rows.append((name, duration(float(time[below[0]])), figure(float(passes[below[0]]), 4)))
    return table((f"{curve.label} at most", "time", "passes"), rows)


def workers(trace: Trace) -> str:
    """Steps, busy and idle time, lengths of steps, staleness and bytes of each worker."""
    columns = trace.to_arrays()
    steps, moved = columns["kind"] == "step", columns["kind"] == "transfer"
    span = span_of(trace)
    names = np.unique(columns["worker"][steps])
    rows: list[tuple[object, ...]] = []
    for worker in names[:_WORKERS]:
        mine = steps & (columns["worker"] == worker)
        took = columns["duration"][mine]
        busy, longest = float(np.nansum(took)), float(np.nanmax(took, initial=0.0))
        rows.append((
            f"worker {worker}", int(mine.sum()), duration(busy), f"{busy / span:.0%}" if span > 0 else UNKNOWN,
            duration(max(span - busy, 0.0)),
            duration(float(np.nanmedian(took)) if np.isfinite(took).any() else math.nan), duration(longest),
            int(columns["staleness"][mine].max()), size(int(columns["bytes"][mine].sum())),
            *_received(columns, moved, worker),
        ))  # fmt: skip
    head = ["", "steps", "busy", "of the time", "idle", "median step", "longest step", "most stale", "sent"]
    head += ["moved there", "in"] if moved.any() else []
    more = f'<p class="hint">The first {_WORKERS} of {len(names):,} workers.</p>' if len(names) > _WORKERS else ""
    return table(head, rows) + more


def _received(columns: Mapping[str, Any], moved: Any, worker: int) -> tuple[object, ...]:
    """Bytes that were moved to a worker and the time that took, where anything was moved to any."""
    mine = moved & (columns["worker"] == worker)
    took = duration(float(columns["duration"][mine].sum())) if mine.any() else UNKNOWN
    return (size(int(columns["bytes"][mine].sum())), took) if moved.any() else ()


def size(count: int) -> str:
    """Bytes for people.

    Examples
    --------
    >>> size(312), size(5_000_000)
    ('312 B', '4.8 MiB')
    """
    value, names = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(names) > 1:
        value /= 1024
        names.pop(0)
    return f"{value:.0f} {names[0]}" if names[0] == "B" else f"{value:.1f} {names[0]}"


def coefficient_table(names: Sequence[str], values: Sequence[float], effects: Sequence[float]) -> Column:
    """Table of all coefficients that can be searched by name and sorted by each column."""
    from bokeh.models import CDSView, Column, ColumnDataSource, CustomJS, CustomJSFilter
    from bokeh.models.widgets import DataTable, TableColumn, TextInput

    effect, value = np.asarray(effects, dtype=np.float64), np.asarray(values, dtype=np.float64)
    source = ColumnDataSource({"name": list(names), "value": value, "effect": effect, "size": np.abs(effect)})
    search = TextInput(placeholder="Search features …", sizing_mode="stretch_width", margin=0, stylesheets=[_sheet()])
    keep = CustomJSFilter(
        args={"search": search},
        code="""
        const words = search.value_input.toLowerCase().split(/\\s+/).filter((word) => word);
        return source.data.name.map((name) => words.every((word) => name.toLowerCase().includes(word)));
        """,
    )
    search.js_on_change("value_input", CustomJS(args={"source": source}, code="source.change.emit()"))
    columns = [
        TableColumn(field="name", title="feature", formatter=_cell("left"), width=420),
        TableColumn(field="effect", title="standardised effect", formatter=_cell("right"), width=150),
        TableColumn(field="size", title="|effect|", formatter=_cell("right"), width=150),
        TableColumn(field="value", title="coefficient", formatter=_cell("right"), width=150),
    ]
    grid = DataTable(
        source=source, view=CDSView(filter=keep), columns=columns, index_position=None, selectable=False,
        reorderable=False,
        height=min(420, 34 + 26 * (len(names) + 1)), row_height=26, sizing_mode="stretch_width",
        margin=(8, 0, 0, 0), stylesheets=[_sheet()],
    )  # fmt: skip
    return Column(children=[search, grid], sizing_mode="stretch_width")


def _cell(align: str) -> Any:
    """Formatter of a cell: escaped text, or a number with six digits."""
    from bokeh.models.widgets import HTMLTemplateFormatter

    number = (
        "Number.isFinite(value) ? (value === 0 ? '0' : parseFloat(value.toPrecision(6)).toString()) : '" + UNKNOWN + "'"
    )
    # <%- %> escapes: names of features come from files.
    shown = "value" if align == "left" else number
    return HTMLTemplateFormatter(template=f'<div style="text-align:{align}"><%- {shown} %></div>')


def _sheet() -> Any:
    """Colours of the page inside Bokeh's widgets, which page-wide rules do not reach but variables do."""
    from bokeh.models import InlineStyleSheet

    return InlineStyleSheet(
        css="""
        :host { font-family: var(--sans); font-size: 14px; color: var(--ink); }
        input.bk-input { background: var(--card); color: var(--ink); border-color: var(--line); }
        .bk-data-table, .slick-pane, .slick-viewport, .grid-canvas { background: var(--card); color: var(--ink); }
        .slick-header-column.ui-state-default { background: var(--stripe); color: var(--soft); font-weight: 600; }
        .slick-header-column.ui-state-default { border-color: var(--line); height: 26px; }
        .slick-header-column.ui-state-default:not(:first-child) { text-align: right; }
        .slick-row, .slick-row.odd { background: var(--card); color: var(--ink); }
        .slick-row.odd { background: var(--stripe); }
        .slick-cell, .slick-header-column { font: 13px/1.5 var(--sans); }
        .slick-cell { border: 0; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
        """
    )
