"""The charts of the HTML report, as Bokeh models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from offbeat.diagnostics.plots import PALETTE
from offbeat.diagnostics.series import Curves, Stroke, Unit, objective_range, thin, time_unit

Plot: TypeAlias = Any  # bokeh.plotting.figure, whose generated properties type checkers do not follow
Axis = Literal["time", "passes"]
POINTS = 3000  # of one curve
_INK, _SOFT, _LINE, _GRID = "#1d2127", "#5b6470", "#a9b0ba", "#e6e9ed"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
_POSITIVE, _NEGATIVE = PALETTE[0], PALETTE[1]


def plain(text: str) -> str:
    """Text that Bokeh will not take for TeX, for which it would want to load MathJax."""
    return re.sub(r"\$(?=\$)|\\(?=[\[(])", lambda match: match.group() + "\u200b", text)


def shorten(text: str, most: int) -> str:
    """``text``, with its middle left out when it is longer than ``most``: both ends of a feature's name matter."""
    return text if len(text) <= most else f"{text[: most * 2 // 3 - 1]}…{text[-(most - most * 2 // 3) :]}"


def convergence_grid(curve: Curves) -> list[Plot]:
    """Gap and objective, each against time and passes: four linked figures, row by row."""
    from bokeh.models import DataRange1d, Range1d

    longest = float(curve.time.max()) if len(curve.time) else 1.0
    limits = objective_range([curve.primal], [curve.dual])
    shared = {
        "gap": DataRange1d(only_visible=True, range_padding=0.08),
        "objective": Range1d(start=limits[0], end=limits[1]) if limits else DataRange1d(),
    }
    across = {"time": DataRange1d(start=0, range_padding=0.03), "passes": DataRange1d(start=0, range_padding=0.03)}
    figures = []
    for kind in ("gap", "objective"):
        for x in ("time", "passes"):
            unit = time_unit(longest) if x == "time" else Unit(1.0, "")
            label = (
                f"{'virtual ' if curve.virtual else ''}time ({unit.name})" if x == "time" else "passes over the data"
            )
            plot = base_figure(across[x], shared[kind], label, log=kind == "gap")
            (_draw_gap if kind == "gap" else _draw_objective)(plot, curve, x, unit)
            figures.append(plot)
    return figures


def base_figure(
    x_range: Any,
    y_range: Any,
    x_label: str,
    *,
    log: bool = False,
    height: int = 270,
    x_axis_type: Literal["auto", "log"] = "auto",
) -> Plot:
    """Return an empty plot in the look of the page."""
    from bokeh.plotting import figure

    plot = figure(
        x_range=x_range, y_range=y_range, x_axis_label=x_label, y_axis_type="log" if log else "auto",
        x_axis_type=x_axis_type, height=height, min_border_left=72, sizing_mode="stretch_width",
        tools="box_zoom,wheel_zoom,pan,reset,save", active_drag="box_zoom", active_scroll=None,
    )  # fmt: skip
    dress(plot)
    return plot


def dress(plot: Plot) -> None:
    """Clean look; the tags tell the page's script what to repaint for dark pages."""
    from bokeh.events import DoubleTap
    from bokeh.models import CustomJS

    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.background_fill_color = plot.border_fill_color = None
    plot.outline_line_color = None
    for axis in plot.axis:
        axis.tags = ["axis"]
        axis.axis_label_text_color = axis.major_label_text_color = _SOFT
        axis.axis_line_color = axis.major_tick_line_color = _LINE
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font = axis.major_label_text_font = _FONT
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "13px", "12px"
    for grid in plot.grid:
        grid.tags, grid.grid_line_color = ["grid"], _GRID
    plot.js_on_event(DoubleTap, CustomJS(args={"plot": plot}, code="plot.reset.emit()"))


def dress_legend(plot: Plot) -> None:
    """One line above the plot, where it hides nothing."""
    legend = plot.legend[0]
    plot.add_layout(legend, "above")
    legend.tags = ["legend"]
    legend.location, legend.orientation = "top_right", "horizontal"
    legend.background_fill_alpha = legend.border_line_alpha = 0
    legend.label_text_color, legend.label_text_font, legend.label_text_font_size = _INK, _FONT, "12px"
    legend.click_policy = "hide"
    legend.padding, legend.margin, legend.spacing = 4, 0, 18


def _say(plot: Plot, text: str) -> None:
    from bokeh.models import Range1d
    from bokeh.models.annotations import Label

    plot.x_range, plot.y_range = Range1d(start=0, end=1), Range1d(start=0, end=1)
    plot.axis.visible = plot.grid.visible = False
    label = Label(
        x=0.5, y=0.5, text=text, text_color=_SOFT, text_font=_FONT, text_font_size="13px", text_align="center"
    )
    label.tags = ["label"]
    plot.add_layout(label)


def _draw_gap(plot: Plot, curve: Curves, x: Axis, unit: Unit) -> None:
    plot.yaxis.axis_label = curve.label
    if not draw_line(plot, curve, x, unit, Stroke("measure", PALETTE[0], curve.label)):
        _say(plot, "No gap was recorded.")
        return
    if curve.tolerance > 0:
        draw_tolerance(plot, curve.tolerance, curve.points(x, "measure")[0].max() * unit.factor)
    dress_legend(plot)


def draw_tolerance(plot: Plot, tolerance: float, end: float, begin: float = 0.0) -> None:
    """Draw the gap that was asked for, from ``begin`` to ``end`` of the axis across."""
    # A line, not a Span: it has a place in the legend and keeps itself inside the axis.
    wanted = f"tolerance {tolerance:.0e}"
    rule = plot.line([begin, end], [tolerance] * 2, color=_SOFT, line_dash="dashed", legend_label=wanted)
    rule.glyph.tags = ["rule"]


def _draw_objective(plot: Plot, curve: Curves, x: Axis, unit: Unit) -> None:
    plot.yaxis.axis_label = "objective"
    seen = draw_line(plot, curve, x, unit, Stroke("primal", PALETTE[0], "primal"))
    seen |= draw_line(plot, curve, x, unit, Stroke("dual", PALETTE[1], "dual (lower bound)", dashed=True))
    if not seen:
        _say(plot, "No objective was recorded.")
        return
    dress_legend(plot)


def draw_line(plot: Plot, curve: Curves, x: Axis, unit: Unit, stroke: Stroke) -> bool:
    """Draw one curve with its tooltips; whether there was anything to draw."""
    from bokeh.models import ColumnDataSource, HoverTool

    across, up = curve.points(x, stroke.y)
    keep = thin(up, POINTS)
    if not len(keep):
        return False
    look = {"color": stroke.color, "legend_label": stroke.label}
    source = ColumnDataSource({"x": across[keep] * unit.factor, "y": up[keep]})
    plot.line("x", "y", source=source, line_width=2, line_dash="dashed" if stroke.dashed else "solid", **look)
    size = 6 if len(keep) <= 60 else 3 if len(keep) <= 300 else 1
    dots = plot.scatter("x", "y", source=source, size=size, **look)
    form = "%.2e" if stroke.y == "measure" else "%.9g"
    tips = [(stroke.label, f"@y{{{form}}}"), (f"time ({unit.name})" if x == "time" else "passes", "@x{%.4g}")]
    formatters: Any = {"@x": "printf", "@y": "printf"}
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tips, formatters=formatters, visible=False))
    return True


def coefficient_bars(names: Sequence[str], values: Sequence[float], effects: Sequence[float]) -> Plot:
    """Horizontal bars of standardised effects, the first on top; sequences of one length."""
    from bokeh.models import ColumnDataSource, HoverTool, Range1d

    rows = np.arange(len(names), dtype=np.float64)
    right = np.asarray(effects, dtype=np.float64)
    far = float(np.abs(right).max(initial=0.0)) or 1.0
    reach = Range1d(start=min(0.0, float(right.min())) - 0.03 * far, end=max(0.0, float(right.max())) + 0.03 * far)
    height = 70 + 22 * len(names)
    plot = base_figure(reach, Range1d(start=len(names) - 0.4, end=-0.6), "standardised effect", height=height)
    source = ColumnDataSource({
        "row": rows, "effect": right, "value": np.asarray(values, dtype=np.float64),
        "name": [plain(name) for name in names],
        "color": [_POSITIVE if effect >= 0 else _NEGATIVE for effect in right],
    })  # fmt: skip
    bars = plot.hbar(y="row", left=0, right="effect", height=0.72, source=source, fill_color="color", line_color=None)
    plot.yaxis.ticker = list(range(len(names)))
    plot.yaxis.major_label_overrides = {i: plain(shorten(name, 38)) for i, name in enumerate(names)}
    plot.ygrid.visible = False
    plot.toolbar.tools = [tool for tool in plot.toolbar.tools if type(tool).__name__ in ("SaveTool", "ResetTool")]
    plot.add_tools(
        HoverTool(
            renderers=[bars], visible=False,
            tooltips=[("feature", "@name"), ("effect", "@effect{%.4g}"), ("coefficient", "@value{%.6g}")],
            formatters={"@effect": "printf", "@value": "printf"},
        )
    )  # fmt: skip
    return plot
