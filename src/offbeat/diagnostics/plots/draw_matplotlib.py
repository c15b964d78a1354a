"""Draws charts by Matplotlib's object interface: no global figure, no display needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat.diagnostics.plots.charts import Axis, Boxes, Chart, Curve, Marks, Rule
from offbeat.diagnostics.plots.palette import GREY

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

INK, SPINE, GRID = "#2b2f36", "#8a919c", "#d5d9df"
DASHES, RULE_DASHES = (0, (4, 1.5)), (0, (4, 3))
MAX_DOTTED = 40  # points of a curve that get a dot each


def draw_charts(panels: Sequence[tuple[Chart, Axes]]) -> None:
    """Draw each chart into its axes, and give linked axes the same range.

    Parameters
    ----------
    panels : sequence of (Chart, matplotlib.axes.Axes)
    """
    first: dict[tuple[str, str], Axes] = {}
    for chart, axes in panels:
        for name, axis, share in (("x", chart.x, axes.sharex), ("y", chart.y, axes.sharey)):
            other = first.setdefault((name, axis.link), axes) if axis.link else axes
            if other is not axes:
                share(other)
    for chart, axes in panels:
        _draw(chart, axes)
    for chart, axes in panels:  # after all is drawn: a linked axis reaches as far as any of its charts
        _limit(chart.x, axes.set_xlim, axes.get_xlim)
        _limit(chart.y, axes.set_ylim, axes.get_ylim)


def plain(name: str) -> str:
    """Name that Matplotlib neither takes for TeX nor leaves out of the legend."""
    shown = f"\u200a{name}" if name.startswith("_") else name
    return shown.replace("$", r"\$")


def legend_entries(chart: Chart) -> dict[str, Artist]:
    """Return the names of the legend, each with the artist that shows its look.

    Parameters
    ----------
    chart : Chart
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: dict[str, Artist] = {}
    for curve in chart.curves:
        entries[curve.name] = Line2D([], [], **_look(curve, len(curve.x) <= MAX_DOTTED))
    for key in chart.keys:
        entries[key.name] = Line2D([], [], color=key.color, linestyle=DASHES if key.dashed else "solid")
    for boxes in chart.boxes:
        entries[boxes.name] = Patch(color=boxes.color if isinstance(boxes.color, str) else boxes.color[0])
    for marks in chart.marks:
        entries[marks.name] = Line2D([], [], color=marks.color, linewidth=1.5)
    for rule in chart.rules:
        entries[rule.name] = Line2D([], [], **_rule_look(rule))
    return {plain(name): artist for name, artist in entries.items() if name}


def _draw(chart: Chart, axes: Axes) -> None:
    _dress(chart, axes)
    for curve in chart.curves:
        axes.plot(curve.x, curve.y, zorder=3, label=_label(curve.name), **_look(curve, len(curve.x) <= MAX_DOTTED))
    for boxes in chart.boxes:
        _draw_boxes(boxes, axes)
    for marks in chart.marks:
        _draw_marks(marks, axes)
    for rule in chart.rules:
        line = axes.axhline if rule.axis == "y" else axes.axvline
        line(rule.at, zorder=1 if rule.axis == "y" else 3, label=_label(rule.name), **_rule_look(rule))
    if chart.empty and chart.nothing:
        axes.text(0.5, 0.5, chart.nothing, transform=axes.transAxes, ha="center", va="center", color=GREY)


def _label(name: str) -> str:
    return plain(name) or "_"  # Matplotlib leaves names that begin so out of legends


def _look(curve: Curve, dots: bool) -> dict[str, Any]:
    inner, edge = ("white", curve.color) if curve.dashed else (curve.color, "white")
    return {
        "color": curve.color, "linewidth": 1.8, "linestyle": DASHES if curve.dashed else "solid",
        "marker": "o" if dots else "None", "markersize": 4, "markerfacecolor": inner, "markeredgecolor": edge,
        "markeredgewidth": 0.8,
    }  # fmt: skip


def _rule_look(rule: Rule) -> dict[str, Any]:
    dashed = {"linewidth": 1.0, "linestyle": RULE_DASHES}
    return {"color": INK, **(dashed if rule.dashed else {"linewidth": 1.2})}


def _draw_boxes(boxes: Boxes, axes: Axes) -> None:
    from matplotlib.collections import PolyCollection

    if not len(boxes):
        return
    left, right, low, high = boxes.left, boxes.right, boxes.bottom, boxes.top
    corners = np.stack(
        [np.stack(each, axis=-1) for each in ((left, low), (right, low), (right, high), (left, high))], 1
    )
    axes.add_collection(
        PolyCollection(
            list(corners), facecolors=boxes.color, edgecolors=boxes.outline or "none", alpha=boxes.opacity,
            linewidths=0.25, label=_label(boxes.name),
        )
    )  # fmt: skip


def _draw_marks(marks: Marks, axes: Axes) -> None:
    axes.vlines(marks.x, marks.low, marks.high, color=marks.color, linewidth=1.5, label=_label(marks.name))


def _dress(chart: Chart, axes: Axes) -> None:
    """Give axes the look of all figures, their labels and ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SPINE)
    axes.tick_params(colors=INK, labelsize=9, which="major")
    axes.tick_params(which="minor", length=0)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    axes.set_xlabel(chart.x.label)
    axes.set_ylabel(chart.y.label)
    if chart.x.log:
        axes.set_xscale("log")
    if chart.y.log:
        axes.set_yscale("log")
    axes.grid(True, color=GRID, linewidth=0.6)
    for name, axis, lines in (("x", chart.x, axes.xaxis), ("y", chart.y, axes.yaxis)):
        if axis.ticks is not None:
            lines.set_ticks([place for place, _ in axis.ticks], [plain(text) for _, text in axis.ticks])
            lines.set_tick_params(length=0)
        if not axis.grid:
            axes.grid(False, axis=name)  # type: ignore[arg-type]
    if chart.title:
        axes.set_title(plain(chart.title), loc="left", fontsize=9, color=INK, pad=3)


def _limit(axis: Axis, put: Any, get: Any) -> None:
    """Set the ends of an axis that its description knows."""
    if axis.low is not None or axis.high is not None:
        low, high = get()
        put(low if axis.low is None else axis.low, high if axis.high is None else axis.high)
