"""The task stream of the HTML report: what each worker did when, and what was moved to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from offbeat.diagnostics.plots import MOVED, PALETTE
from offbeat.diagnostics.report_figures import POINTS, Plot, base_figure, dress_legend, plain
from offbeat.diagnostics.report_tables import size
from offbeat.diagnostics.series import Bars, Unit, thin, time_unit


def task_stream(
    bars: Bars, transfers: Bars, updates: Sequence[float] | np.ndarray[Any, np.dtype[np.float64]], *, virtual: bool
) -> Plot:
    """What each worker did when; zooms along time.

    Parameters
    ----------
    bars : Bars
        Of steps.
    transfers : Bars
        Of what was moved to workers: drawn along the lower edge, as they work meanwhile.
    updates : array of shape (n_updates,)
        Times of the coordinator's updates (s), drawn as ticks above the workers.
    virtual : bool
        Whether time is that of a simulation.
    """
    from bokeh.models import Range1d

    moments = np.asarray(updates, dtype=np.float64)
    workers = sorted({int(worker) for worker in (*bars.worker, *transfers.worker)})
    end = (
        max(float(bars.end.max(initial=0.0)), float(transfers.end.max(initial=0.0)), float(moments.max(initial=0.0)))
        or 1.0
    )
    unit = time_unit(end)
    lines = 1 + len(workers)
    reach = Range1d(start=0, end=end * unit.factor * 1.005, bounds=(0, end * unit.factor * 1.05))
    height = int(np.clip(90 + 26 * lines, 170, 900))
    plot = base_figure(
        reach, Range1d(start=lines - 0.4, end=-0.6), f"{'virtual ' if virtual else ''}time ({unit.name})", height=height
    )
    _stream_tools(plot)
    plot.yaxis.ticker = list(range(lines))
    plot.yaxis.major_label_overrides = {0: "coordinator", **{i + 1: f"worker {w}" for i, w in enumerate(workers)}}
    plot.ygrid.visible = False
    if lines > 30:
        plot.yaxis.ticker = [0, *range(1, lines, lines // 25)]
    _draw_bars(plot, bars, workers, unit)
    _draw_transfers(plot, transfers, workers, unit)
    ticks = moments[thin(moments, POINTS)] * unit.factor
    if len(ticks):
        plot.segment(ticks, -0.3, ticks, 0.3, line_width=1.5, color=PALETTE[4], legend_label="update")
    if plot.legend:
        dress_legend(plot)
    return plot


def _stream_tools(plot: Plot) -> None:
    from bokeh.models import BoxZoomTool, PanTool, ResetTool, SaveTool, WheelZoomTool

    zoom = BoxZoomTool(dimensions="width")
    # With a key held: a wheel that zooms by itself would catch readers who only scroll past.
    wheel = WheelZoomTool(dimensions="width", modifiers={"ctrl": True})
    plot.toolbar.tools = [zoom, wheel, PanTool(dimensions="width"), ResetTool(), SaveTool()]
    plot.toolbar.active_drag, plot.toolbar.active_scroll = zoom, wheel


def _draw_bars(plot: Plot, bars: Bars, workers: list[int], unit: Unit) -> None:
    from bokeh.models import ColumnDataSource, HoverTool

    place = np.searchsorted(np.array(workers, dtype=np.int64), bars.worker) + 1
    renderers: list[Any] = []
    for index, label in enumerate(sorted(set(bars.label))):
        chosen = bars.label == label
        columns = {
            name: getattr(bars, name)[chosen].astype(np.int32)
            for name in ("worker", "shard", "clock", "staleness", "steps")
        }
        start, end = bars.start[chosen], bars.end[chosen]
        times = {"left": start * unit.factor, "right": end * unit.factor, "busy": bars.busy[chosen] * unit.factor}
        middle = place[chosen].astype(np.float64)
        shade = np.where(np.arange(len(middle)) % 2, 0.68, 0.95)  # tells neighbours apart, on light and dark
        if bars.resolution:  # joined steps: the paler, the more of their time was idle
            shade = 0.2 + 0.75 * np.clip(bars.busy[chosen] / np.maximum(end - start, 1e-300), 0.0, 1.0)
        source = ColumnDataSource({**columns, **times, "bottom": middle - 0.38, "top": middle + 0.38, "shade": shade})
        color = PALETTE[(0, 1, 2, 3, 5)[index % 5]]
        bar = plot.quad(
            left="left", right="right", bottom="bottom", top="top", source=source, legend_label=plain(label),
            fill_color=color, fill_alpha="shade", line_color=color, line_alpha="shade", line_width=0.4,
        )  # fmt: skip
        renderers.append(bar)
    tips = [("worker", "@worker"), ("shard", "@shard"), ("clock", "@clock"), ("staleness", "@staleness")]
    busy = "busy" if bars.resolution else "duration"
    tips += [("began", f"@left{{0.000}} {unit.name}"), (busy, f"@busy{{0.000}} {unit.name}")]
    if bars.resolution:
        tips.append(("steps in this bar", "@steps"))
    if renderers:
        plot.add_tools(HoverTool(renderers=renderers, tooltips=tips, visible=False))


def _draw_transfers(plot: Plot, transfers: Bars, workers: list[int], unit: Unit) -> None:
    """Draw what was moved to workers: they may work meanwhile, so that it lies along the lower edge of their lines."""
    from bokeh.models import ColumnDataSource, HoverTool

    if not len(transfers):
        return
    middle = np.searchsorted(np.array(workers, dtype=np.int64), transfers.worker) + 1.0
    source = ColumnDataSource({
        "left": transfers.start * unit.factor, "right": transfers.end * unit.factor,
        "took": transfers.busy * unit.factor, "top": middle + 0.24, "bottom": middle + 0.46,
        "worker": transfers.worker.astype(np.int32), "steps": transfers.steps.astype(np.int32),
        "what": [plain(label) for label in transfers.label], "size": [size(int(each)) for each in transfers.bytes],
    })  # fmt: skip
    drawn = plot.quad(
        left="left", right="right", bottom="bottom", top="top", source=source, legend_label="transfer",
        fill_color=MOVED, line_color=MOVED, line_width=1.0,
    )  # fmt: skip
    tips = [("worker", "@worker"), ("moved here", "@what"), ("size", "@size")]
    tips += [("began", f"@left{{0.000}} {unit.name}"), ("took", f"@took{{0.000}} {unit.name}")]
    tips += [("transfers in this bar", "@steps")] if transfers.resolution else []
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=tips, visible=False))
