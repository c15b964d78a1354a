"""The charts of a page that compares fits, as Bokeh models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from offbeat.diagnostics import report_figures as figures
from offbeat.diagnostics.plots import FAINT, PALETTE
from offbeat.diagnostics.report_figures import Plot
from offbeat.diagnostics.series import Stroke, Unit, time_unit

if TYPE_CHECKING:
    from offbeat.diagnostics.compare import Drawn

ROOM = 1.02  # of the time axis
MANY = 4  # names in one line of a legend


def time_axis(end: float) -> Any:
    """Return the range of time (s) that all charts share."""
    from bokeh.models import Range1d

    reach = end * time_unit(end).factor * ROOM
    return Range1d(start=0, end=reach, bounds=(0, reach * 1.5))


def gaps(fits: Sequence[Drawn], reach: Any, unit: Unit) -> Plot:
    """How the gap of each fit fell; without ``reach``, on a logarithmic axis of time."""
    from bokeh.models import DataRange1d

    times = np.concatenate([fit.curve.points("time", "measure")[0] for fit in fits]) * unit.factor
    ends = (float(times[times > 0].min(initial=times.max())), float(times.max())) if reach is None else (0.0, reach.end)

    labels = {fit.curve.label for fit in fits}
    across = reach or DataRange1d(range_padding=0.03)
    form: Literal["auto", "log"] = "auto" if reach else "log"
    plot = figures.base_figure(
        across, DataRange1d(range_padding=0.06), _label(fits, unit), log=True, height=360, x_axis_type=form
    )
    plot.yaxis.axis_label = labels.pop() if len(labels) == 1 else "distance from the optimum"
    for index, fit in enumerate(fits):
        shade, name = PALETTE[index % len(PALETTE)], figures.plain(fit.name)
        figures.draw_line(plot, fit.curve, "time", unit, Stroke("measure", shade, name, index >= len(PALETTE)))
    wanted = {fit.curve.tolerance for fit in fits if fit.curve.tolerance > 0}
    if len(wanted) == 1:
        figures.draw_tolerance(plot, wanted.pop(), ends[1], ends[0])
    figures.dress_legend(plot)
    plot.legend[0].ncols = min(MANY, len(plot.legend[0].items))
    return plot


def stream(fit: Drawn, shade: str, reach: Any, unit: Unit) -> Plot:
    """What the workers of one fit did: coloured while they work, grey while they wait."""
    from bokeh.models import ColumnDataSource, HoverTool, Range1d

    count, bars = len(fit.workers), fit.bars
    height = int(np.clip(60 + 11 * count, 110, 420))
    plot = figures.base_figure(reach, Range1d(start=count - 0.4, end=-0.6), _label([fit], unit), height=height)
    plot.hbar(y=list(range(count)), left=0, right=fit.end * unit.factor, height=0.8, color=FAINT, line_color=None)
    row = np.searchsorted(np.array(fit.workers), bars.worker).astype(np.float64)
    busy = np.clip(bars.busy / np.maximum(bars.end - bars.start, 1e-300), 0.0, 1.0)
    source = ColumnDataSource({
        "left": bars.start * unit.factor, "right": bars.end * unit.factor, "bottom": row - 0.4, "top": row + 0.4,
        "shade": 0.15 + 0.85 * busy, "busy": bars.busy * unit.factor,
        **{name: getattr(bars, name).astype(np.int32) for name in ("worker", "shard", "clock", "staleness", "steps")},
    })  # fmt: skip
    drawn = plot.quad(
        left="left", right="right", bottom="bottom", top="top", source=source, fill_color=shade, fill_alpha="shade",
        line_color="white", line_width=0.3 if len(bars) < 2000 else 0.0,
    )  # fmt: skip
    names = ("worker", "shard", "clock", "staleness", *(("steps",) if bars.resolution else ()))
    tips = [(name, f"@{name}") for name in names]
    tips += [("began", f"@left{{0.000}} {unit.name}"), ("busy", f"@busy{{0.000}} {unit.name}")]
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=tips, visible=False))
    plot.yaxis.ticker = sorted({0, count - 1})
    plot.yaxis.major_label_overrides = {i: f"worker {fit.workers[i]}" for i in (0, count - 1)}
    plot.grid.visible = False
    return plot


def _label(fits: Sequence[Drawn], unit: Unit) -> str:
    return f"{'virtual ' if any(fit.curve.virtual for fit in fits) else ''}time ({unit.name})"
