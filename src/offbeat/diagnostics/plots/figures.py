"""Figures for papers and notebooks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offbeat._utils.atomic import atomic_write
from offbeat._utils.extras import require_plot
from offbeat.diagnostics.plots.charts import Chart
from offbeat.diagnostics.plots.comparison_charts import comparison_charts
from offbeat.diagnostics.plots.convergence_charts import Column, convergence_charts
from offbeat.diagnostics.plots.draw_matplotlib import draw_charts, legend_entries
from offbeat.diagnostics.plots.worker_charts import worker_chart
from offbeat.diagnostics.series import spans_of, updates_of
from offbeat.diagnostics.trace_table import TraceTable
from offbeat.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 9}
INCH = 280  # pixels of a page that are drawn as one inch, where the workers of several fits are below each other


def convergence(traces: TraceTable | Mapping[str, TraceTable], x: Column | None = None) -> Figure:
    """Relative gap (log scale), and primal and dual objective, against time and passes over the data.

    Parameters
    ----------
    traces : Trace or mapping of str to Trace
        One fit, or several to compare, by name.
    x : {"time", "passes"}, optional
        Only this axis; by default one column of panels for each.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    DataError
        ``x`` is neither "time" nor "passes".
    MissingPackageError
        Matplotlib is not installed.

    Examples
    --------
    >>> from offbeat.diagnostics import Trace
    >>> convergence({"newton": Trace()}, x="time").axes[1].get_xlabel()
    'time (s)'
    """
    if x not in ("time", "passes", None):
        raise DataError(f"x is {x!r}: plot against 'time' or 'passes'.")
    require_plot("picture")
    from matplotlib.figure import Figure

    named = traces if isinstance(traces, Mapping) else {"": traces}
    columns: tuple[Column, ...] = ("time", "passes") if x is None else (x,)
    charts = convergence_charts({name: updates_of(trace) for name, trace in named.items()}, columns)
    figure = Figure(figsize=(5.2 * len(columns), 6.6), layout="constrained")
    panels = list(zip(charts, figure.subplots(2, len(columns), squeeze=False).flat, strict=True))
    draw_charts(panels)
    _hide_inner_labels(panels, len(columns))
    rows = panels[0], panels[len(columns)]
    if len(named) > 1:
        _legend_above(figure, [chart for chart, _ in rows])
    else:
        for chart, axes in rows:
            _legend_over(chart, axes)
    return figure


def task_stream(trace: TraceTable) -> Figure:
    """What each worker did when: a line for each worker, a bar for each step, and the updates of the coordinator.

    What was moved to a worker lies along the lower edge of its line, as it may take steps meanwhile.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    MissingPackageError
        Matplotlib is not installed.

    Examples
    --------
    >>> from offbeat.diagnostics import Trace
    >>> task_stream(Trace()).axes[0].get_xlabel()
    'time (s)'
    """
    require_plot("picture")
    from matplotlib.figure import Figure

    chart = worker_chart(spans_of(trace), spans_of(trace, kind="transfer"), updates_of(trace))
    lines = abs((chart.y.high or 0.0) - (chart.y.low or 0.0))
    figure = Figure(figsize=(8.0, 1.2 + 0.32 * max(lines, 3.0)), layout="constrained")
    draw_charts([(chart, figure.subplots())])
    entries = legend_entries(chart)
    if entries and not chart.empty:
        figure.legend(list(entries.values()), list(entries), loc="outside upper right", ncols=6, **LEGEND)
    return figure


def comparison_figure(traces: Mapping[str, TraceTable]) -> Figure:
    """Gap against time of several fits in one panel, and below it what the workers of each did.

    Parameters
    ----------
    traces : mapping of str to Trace
        By the names to show.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    MissingPackageError
        Matplotlib is not installed.

    Examples
    --------
    >>> from offbeat.diagnostics import Trace
    >>> len(comparison_figure({"barrier": Trace(), "asynchronous": Trace()}).axes)
    3
    """
    require_plot("picture")
    from matplotlib.figure import Figure

    gaps, workers = comparison_charts(traces)
    own = not gaps.x.link  # then each has labels along its axis, which take room
    heights = [3.4, *(0.3 + (0.5 if own else 0.0) + chart.height / INCH for chart in workers)]
    figure = Figure(figsize=(9.0, 1.2 + sum(heights) + 0.25 * len(workers)), layout="constrained")
    axes = figure.subplots(1 + len(workers), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels = list(zip([gaps, *workers], axes, strict=True))
    draw_charts(panels)
    _hide_inner_labels(panels, 1)
    _legend_above(figure, [gaps])
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write ``figure`` at 150 dots an inch, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or path-like
        Ends in .png, .pdf, .svg or another format Matplotlib knows; without an ending, png.

    Raises
    ------
    DataError
        The ending names no known format.
    OSError
        ``path`` cannot be written.
    """
    form = Path(path).suffix.lstrip(".").lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if form not in known:
        raise DataError(f"A figure cannot be saved as .{form}: use one of {', '.join(sorted(known))}.")
    with atomic_write(path) as file:
        figure.savefig(file, format=form, dpi=150)


def _hide_inner_labels(panels: Sequence[tuple[Chart, Axes]], columns: int) -> None:
    """Leave the labels of linked axes to the last row and the first column."""
    last = {chart.x.link: index for index, (chart, _) in enumerate(panels)}
    for index, (chart, axes) in enumerate(panels):
        if chart.x.link and index != last[chart.x.link]:
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")
        if chart.y.link and index % columns:
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")


def _legend_above(figure: Figure, charts: Sequence[Chart]) -> None:
    """One legend for several charts, above all of them, where it hides no curve."""
    entries: dict[str, Any] = {}
    for chart in (*(replace(chart, rules=()) for chart in charts), *charts):  # so that rules come last
        entries.update(legend_entries(chart))
    if entries:
        columns = 3 if max(map(len, entries)) > 22 else 4 if len(charts) == 1 else min(len(entries), 6)
        figure.legend(list(entries.values()), list(entries), loc="outside upper center", ncols=columns, **LEGEND)


def _legend_over(chart: Chart, axes: Axes) -> None:
    entries = legend_entries(chart)
    if entries and not chart.empty:
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
        axes.legend(list(entries.values()), list(entries), ncols=2, **place, **LEGEND)
