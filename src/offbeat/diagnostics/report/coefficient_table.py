"""The table of all coefficients, which can be searched by name and sorted by each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat.diagnostics.formatting import UNKNOWN

if TYPE_CHECKING:
    from bokeh.models import Column


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
