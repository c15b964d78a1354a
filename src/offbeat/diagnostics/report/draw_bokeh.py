"""Draws charts as Bokeh models: they zoom, and say what lies under the pointer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from offbeat.diagnostics.plots.charts import Axis, Boxes, Chart, Curve, Detail, Key, Marks, Rule

Plot: TypeAlias = Any  # bokeh.plotting.figure, whose generated properties type checkers do not follow
INK, SOFT, SPINE, GRID = "#1d2127", "#5b6470", "#a9b0ba", "#e6e9ed"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
PADDING = 0.06  # of a range that follows what is drawn
BOUNDS = 1.5  # times its length: how far a range along x can be moved
MAX_LONG_NAMES = 4  # in one line of a legend
LONG = 14  # characters, from which a name of the legend is long


def draw_charts(charts: Mapping[str, Chart]) -> dict[str, Plot]:
    """Draw charts, with linked ranges where their axes are linked.

    Their titles are left out: the page shows them as headings.

    Parameters
    ----------
    charts : mapping of str to Chart

    Returns
    -------
    plots : dict of str to bokeh model
        By the same names.
    """
    ranges: dict[tuple[str, str], Any] = {}
    return {name: _draw(chart, ranges) for name, chart in charts.items()}


def plain(text: str) -> str:
    """Text that Bokeh will not take for TeX, for which it would want to load MathJax."""
    return re.sub(r"\$(?=\$)|\\(?=[\[(])", lambda match: match.group() + "\u200b", text)


def _draw(chart: Chart, ranges: dict[tuple[str, str], Any]) -> Plot:
    if chart.empty:
        return _draw_nothing(chart)
    plot = _empty_plot(chart, _range(chart.x, "x", ranges), _range(chart.y, "y", ranges))
    for curve in chart.curves:
        _draw_curve(plot, curve, chart)
    for boxes in chart.boxes:
        _draw_boxes(plot, boxes)
    for marks in chart.marks:
        _draw_marks(plot, marks)
    for key in chart.keys:
        _draw_key(plot, key)
    for rule in chart.rules:
        _draw_rule(plot, rule, chart)
    if plot.legend:
        _dress_legend(plot)
    return plot


def _draw_nothing(chart: Chart) -> Plot:
    from bokeh.models import Range1d
    from bokeh.models.annotations import Label

    plot = _empty_plot(chart, Range1d(start=0, end=1), Range1d(start=0, end=1))
    plot.axis.visible = plot.grid.visible = False
    label = Label(
        x=0.5, y=0.5, text=chart.nothing, text_color=SOFT, text_font=FONT, text_font_size="13px", text_align="center"
    )
    label.tags = ["label"]
    plot.add_layout(label)
    return plot


def _range(axis: Axis, side: str, ranges: dict[tuple[str, str], Any]) -> Any:
    """Return the range of an axis, which is that of the axes it is linked to."""
    made = ranges.get((side, axis.link)) if axis.link else None
    if made is None:
        made = _new_range(axis, side)
        ranges[side, axis.link] = made
    return made


def _new_range(axis: Axis, side: str) -> Any:
    from bokeh.models import DataRange1d, Range1d

    if axis.low is not None and axis.high is not None:
        bounds = (axis.low, axis.low + BOUNDS * (axis.high - axis.low)) if side == "x" else None
        return Range1d(start=axis.low, end=axis.high, bounds=bounds)
    ends: dict[str, Any] = {name: end for name, end in (("start", axis.low), ("end", axis.high)) if end is not None}
    return DataRange1d(only_visible=True, range_padding=PADDING, **ends)


def _empty_plot(chart: Chart, x_range: Any, y_range: Any) -> Plot:
    from bokeh.plotting import figure

    log_x, log_y = chart.x.log and not chart.empty, chart.y.log and not chart.empty
    plot = figure(
        x_range=x_range, y_range=y_range, x_axis_label=chart.x.label, y_axis_label=chart.y.label or None,
        x_axis_type="log" if log_x else "auto", y_axis_type="log" if log_y else "auto",
        height=chart.height, min_border_left=72, sizing_mode="stretch_width", tools="",
    )  # fmt: skip
    _add_tools(plot, chart)
    _dress(plot)
    for axis, lines, grid in ((chart.x, plot.xaxis, plot.xgrid), (chart.y, plot.yaxis, plot.ygrid)):
        grid.visible = axis.grid
        if axis.ticks is not None:
            lines.ticker = [place for place, _ in axis.ticks]
            lines.major_label_overrides = {_whole(place): plain(text) for place, text in axis.ticks}
    return plot


def _whole(place: float) -> float:
    """Return a whole number as an integer: Bokeh looks names of ticks up by their text."""
    return int(place) if place.is_integer() else place


def _add_tools(plot: Plot, chart: Chart) -> None:
    from bokeh.models import BoxZoomTool, PanTool, ResetTool, SaveTool, WheelZoomTool

    if chart.zoom == "none":
        plot.toolbar.tools = [ResetTool(), SaveTool()]
        return
    along: Any = "width" if chart.zoom == "x" else "both"
    # With a key held: a wheel that zooms by itself would catch readers who only scroll past.
    wheel = WheelZoomTool(dimensions=along, modifiers={"ctrl": True})
    zoom = BoxZoomTool(dimensions=along)
    plot.toolbar.tools = [zoom, wheel, PanTool(dimensions=along), ResetTool(), SaveTool()]
    plot.toolbar.active_drag, plot.toolbar.active_scroll = zoom, wheel


def _dress(plot: Plot) -> None:
    """Give a plot the look of the page; the tags tell the page's script what to repaint for dark pages."""
    from bokeh.events import DoubleTap
    from bokeh.models import CustomJS

    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.background_fill_color = plot.border_fill_color = None
    plot.outline_line_color = None
    for axis in plot.axis:
        axis.tags = ["axis"]
        axis.axis_label_text_color = axis.major_label_text_color = SOFT
        axis.axis_line_color = axis.major_tick_line_color = SPINE
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "13px", "12px"
    for grid in plot.grid:
        grid.tags, grid.grid_line_color = ["grid"], GRID
    plot.js_on_event(DoubleTap, CustomJS(args={"plot": plot}, code="plot.reset.emit()"))


def _dress_legend(plot: Plot) -> None:
    """Put the legend in one line above the plot, or in several of long names: it hides nothing there."""
    legend = plot.legend[0]
    plot.add_layout(legend, "above")
    legend.tags = ["legend"]
    legend.location, legend.orientation = "top_right", "horizontal"
    legend.background_fill_alpha = legend.border_line_alpha = 0
    legend.label_text_color, legend.label_text_font, legend.label_text_font_size = INK, FONT, "12px"
    legend.click_policy = "hide"
    legend.padding, legend.margin, legend.spacing = 4, 0, 18
    if len(legend.items) > MAX_LONG_NAMES and max(len(item.label.value) for item in legend.items) > LONG:
        legend.ncols = MAX_LONG_NAMES


def _named(name: str) -> dict[str, str]:
    return {"legend_label": plain(name)} if name else {}


def _draw_curve(plot: Plot, curve: Curve, chart: Chart) -> None:
    from bokeh.models import ColumnDataSource, HoverTool

    source = ColumnDataSource({"x": curve.x, "y": curve.y})
    dash, look = "dashed" if curve.dashed else "solid", {"color": curve.color, **_named(curve.name)}
    plot.line("x", "y", source=source, line_width=2, line_dash=dash, **look)
    count = len(curve.x)
    dots = plot.scatter("x", "y", source=source, size=6 if count <= 60 else 3 if count <= 300 else 1, **look)
    tips = [(plain(curve.name or chart.y.label), f"@y{{{chart.y.form}}}"), (chart.x.label, f"@x{{{chart.x.form}}}")]
    formatters: Any = {"@x": "printf", "@y": "printf"}
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tips, formatters=formatters, visible=False))


def _draw_boxes(plot: Plot, boxes: Boxes) -> None:
    from bokeh.models import ColumnDataSource, HoverTool

    columns: dict[str, Any] = {"left": boxes.left, "right": boxes.right, "bottom": boxes.bottom, "top": boxes.top}
    look: dict[str, Any] = {"fill_color": boxes.color, "fill_alpha": boxes.opacity}
    if not isinstance(boxes.color, str):
        columns["color"], look["fill_color"] = list(boxes.color), "color"
    if isinstance(boxes.opacity, np.ndarray):
        columns["opacity"], look["fill_alpha"] = boxes.opacity, "opacity"
    look.update(line_color=boxes.outline or None, line_alpha=look["fill_alpha"], line_width=0.4)
    tips, formatters = _tips(boxes.details, columns)
    source = ColumnDataSource(columns)
    sides = {name: name for name in ("left", "right", "bottom", "top")}
    drawn = plot.quad(**sides, source=source, **look, **_named(boxes.name))
    if tips:
        plot.add_tools(HoverTool(renderers=[drawn], tooltips=tips, formatters=formatters, visible=False))


def _tips(details: tuple[Detail, ...], columns: dict[str, Any]) -> tuple[list[tuple[str, str]], Any]:
    """Add what is said of boxes to their columns; return where Bokeh finds it, and which of it printf writes."""
    tips: list[tuple[str, str]] = []
    formatters: dict[str, str] = {}
    for detail in details:
        field = next((name for name, values in columns.items() if values is detail.values), detail.name)
        is_text = detail.values.dtype == object
        columns[field] = [plain(str(value)) for value in detail.values] if is_text else detail.values
        form = detail.form or ("0.000" if detail.values.dtype.kind == "f" else "")
        if detail.form:
            formatters[f"@{{{field}}}"] = "printf"
        tips.append((detail.name, f"@{{{field}}}{f'{{{form}}}' if form else ''} {detail.unit}".strip()))
    return tips, formatters


def _draw_marks(plot: Plot, marks: Marks) -> None:
    plot.segment(marks.x, marks.low, marks.x, marks.high, line_width=1.5, color=marks.color, **_named(marks.name))


def _draw_key(plot: Plot, key: Key) -> None:
    nowhere = [float("nan")]
    dash = "dashed" if key.dashed else "solid"
    plot.line(nowhere, nowhere, color=key.color, line_width=2, line_dash=dash, **_named(key.name))


def _draw_rule(plot: Plot, rule: Rule, chart: Chart) -> None:
    # A line, not a Span: it has a place in the legend and keeps itself inside the axis.
    ends = list(_extent(chart, "x" if rule.axis == "y" else "y"))
    places = (ends, [rule.at] * 2) if rule.axis == "y" else ([rule.at] * 2, ends)
    line = plot.line(*places, color=SOFT, line_dash="dashed" if rule.dashed else "solid", **_named(rule.name))
    line.glyph.tags = ["rule"]


def _extent(chart: Chart, side: str) -> tuple[float, float]:
    """Return where what is drawn along an axis begins and ends, as far as the axis does not say it."""
    axis: Axis = getattr(chart, side)
    drawn = np.concatenate([getattr(curve, side) for curve in chart.curves] or [np.zeros(1)])
    if axis.log and (drawn > 0).any():
        drawn = drawn[drawn > 0]
    low, high = float(drawn.min()), float(drawn.max())
    return (low if axis.low is None else axis.low, high if axis.high is None else axis.high)
