"""Several fits side by side: how the gap of each fell, and what the workers of each did meanwhile."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat._utils.atomic import atomic_write
from offbeat.diagnostics import plots
from offbeat.diagnostics import report_tables as tables
from offbeat.diagnostics.plots import FAINT, INK, PALETTE
from offbeat.diagnostics.progress import duration
from offbeat.diagnostics.series import Bars, Curves, Stroke, Unit, curves, span_of, step_bars, time_unit
from offbeat.diagnostics.trace import Trace
from offbeat.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 32  # workers drawn of each fit
BARS = 8000  # of each fit
APART = 12.0  # times as long as the shortest, from which each fit has its own axis of time
BEYOND = 1.25  # times the longest fit that converged: what is drawn of those that did not
PAGES = (".html", ".htm")
PICTURES = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class Drawn:
    """One fit as it is drawn.

    ``workers`` are those shown, of ``n_workers``; ``end`` is when it ended (s); ``converged`` is None where nothing
    tells.
    """

    name: str
    curve: Curves
    bars: Bars
    workers: tuple[int, ...]
    n_workers: int
    end: float
    converged: bool | None

    @property
    def title(self) -> str:
        """What is said above its workers."""
        count = f"{self.n_workers:,} worker{'' if self.n_workers == 1 else 's'}"
        shown = f", {len(self.workers)} of them shown" if len(self.workers) < self.n_workers else ""
        ended = "" if self.converged is None else "certified after " if self.converged else "not certified after "
        return f"{self.name}: {ended}{duration(self.end)} ({count}{shown})"


@dataclass(frozen=True)
class Comparison:
    """What a page that compares fits shows.

    Parameters
    ----------
    title, subtitle : str
    traces : mapping of str to Trace
        By the names to show.
    head, rows : sequence
        Of the table of results.
    facts : mapping of str to object
        What all fits have in common.
    """

    title: str
    subtitle: str
    traces: Mapping[str, Trace]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


def drawn(traces: Mapping[str, Trace]) -> list[Drawn]:
    """Return what is to be drawn of each trace."""
    return [_drawn(name, trace) for name, trace in traces.items()]


def _drawn(name: str, trace: Trace) -> Drawn:
    there = sorted({row.worker for row in trace if row.kind == "step"})
    chosen = tuple(there[i] for i in sorted({int(i) for i in np.linspace(0, len(there) - 1, min(SHOWN, len(there)))}))
    kept = set(chosen)
    bars = step_bars(Trace((row for row in trace if row.worker in kept), trace.metadata), BARS)
    curve, status = curves(trace), trace.metadata.get("status")
    end = span_of(trace)
    converged = None if status is None else status == "converged"
    return Drawn(name, curve, bars, chosen, len(there), end if math.isfinite(end) else 0.0, converged)


def horizon(fits: Sequence[Drawn]) -> float:
    """Return where the time axis ends (s): fits that never converge do not squeeze the others into a corner."""
    longest = max((fit.end for fit in fits), default=0.0) or 1.0
    good = max((fit.end for fit in fits if fit.converged), default=longest) or 1.0
    return min(longest, BEYOND * good)


def apart(fits: Sequence[Drawn]) -> bool:
    """Whether fits took so different times that the short ones would not be seen beside the long ones."""
    ends = [fit.end for fit in fits if fit.end > 0.0]
    return len(ends) > 1 and max(ends) > APART * min(ends)


def figure(traces: Mapping[str, Trace]) -> Figure:
    """Gap against time of several fits in one panel, and below it what the workers of each did, on the same time axis.

    Parameters
    ----------
    traces : mapping of str to Trace
        By the names to show.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Examples
    --------
    >>> from offbeat.diagnostics import Trace
    >>> len(figure({"barrier": Trace(), "asynchronous": Trace()}).axes)
    3
    """
    from matplotlib.figure import Figure

    fits = drawn(traces)
    own = apart(fits)
    end = max((fit.end for fit in fits), default=0.0) if own else horizon(fits)
    heights = [3.4, *(0.35 + (0.3 if own else 0.0) + 0.045 * max(len(fit.workers), 6) for fit in fits)]
    made = Figure(figsize=(9.0, 1.2 + sum(heights) + 0.25 * len(fits)), layout="constrained")
    panels = made.subplots(1 + len(fits), 1, squeeze=False, height_ratios=heights)[:, 0]
    unit = time_unit(end or 1.0)
    _gaps(panels[0], fits, unit)
    for index, (axes, fit) in enumerate(zip(panels[1:], fits, strict=True)):
        span = fit.end if own else end
        unit = time_unit(span or 1.0)
        _stream(axes, fit, color(index), unit)
        axes.set_xlim(0, (span or 1.0) * unit.factor * 1.02)
        axes.tick_params(labelbottom=own or index == len(fits) - 1)
    virtual = "virtual " if any(fit.curve.virtual for fit in fits) else ""
    panels[-1].set_xlabel(f"{virtual}time ({unit.name})")
    _time_axis(panels[0], end, own=own, label=f"{virtual}time ({time_unit(end or 1.0).name})")
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        columns = 3 if max(map(len, names)) > 22 else 4
        made.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)
    return made


def _time_axis(axes: Axes, end: float, *, own: bool, label: str) -> None:
    """Let the panel of gaps share the axis of time, or give it one for times of all sizes."""
    if own:
        axes.set_xscale("log")
        axes.set_xlabel(label)
    else:
        axes.set_xlim(0, (end or 1.0) * time_unit(end or 1.0).factor * 1.02)
        axes.tick_params(labelbottom=False)


def color(index: int) -> str:
    """Return the colour of one of several fits."""
    return PALETTE[index % len(PALETTE)]


def _gaps(axes: Axes, fits: Sequence[Drawn], unit: Unit) -> None:
    plots.dress(axes)
    axes.set_yscale("log")
    labels, seen = set(), False
    for index, fit in enumerate(fits):
        stroke = Stroke("measure", color(index), plots.plain(fit.name), dashed=index >= len(PALETTE))
        if plots.line(axes, fit.curve, "time", unit, stroke):
            labels.add(fit.curve.label)
            seen = True
    wanted = {fit.curve.tolerance for fit in fits if fit.curve.tolerance > 0}
    if seen and len(wanted) == 1:
        tolerance = wanted.pop()
        axes.axhline(tolerance, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"tolerance {tolerance:.0e}")
    if not seen:
        plots.say(axes, "no gap recorded")
    axes.set_ylabel(labels.pop() if len(labels) == 1 else "distance from the optimum")


def _stream(axes: Axes, fit: Drawn, shade: str, unit: Unit) -> None:
    """What the workers of one fit did: a line each, coloured while they work, grey while they wait."""
    from matplotlib.collections import PolyCollection

    plots.dress(axes)
    count = len(fit.workers)
    axes.set_title(plots.plain(fit.title), loc="left", fontsize=9, color=INK, pad=3)
    axes.set_ylim(max(count, 1) - 0.4, -0.6)
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    if not count:
        axes.set_yticks([])
        plots.say(axes, "no step recorded")
        return
    axes.barh(range(count), fit.end * unit.factor, height=0.8, color=FAINT)
    ends = sorted({0, count - 1})
    axes.set_yticks(ends, [f"worker {fit.workers[row]}" for row in ends])
    if fit.converged:
        axes.axvline(fit.end * unit.factor, color=INK, linewidth=1.2)
    if not len(fit.bars):
        return
    busy = np.clip(fit.bars.busy / np.maximum(fit.bars.end - fit.bars.start, 1e-300), 0.0, 1.0)
    rows = np.searchsorted(np.array(fit.workers), fit.bars.worker)
    axes.add_collection(
        PolyCollection(
            list(plots.boxes(fit.bars, rows, np.ones(len(fit.bars), bool), unit)), facecolors=shade,
            alpha=0.15 + 0.85 * busy, edgecolors="white", linewidths=0.25 if len(fit.bars) < 2000 else 0.0,
        )
    )  # fmt: skip


def write_comparison(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write a page that compares fits, or the figure alone: by the ending of the file.

    Parameters
    ----------
    comparison : Comparison
    path : str or path-like
        ``.html`` or ``.htm`` for a page that works offline; ``.png``, ``.pdf``, ``.svg`` for the figure.

    Raises
    ------
    DataError
        The ending is another.
    OSError
        The folder is missing, not writable or full.
    """
    check_format(path)
    if os.fspath(path).lower().endswith(PAGES):
        text = render(comparison).encode("utf-8")
        with atomic_write(path) as file:
            file.write(text)
    else:
        plots.save_figure(figure(comparison.traces), path)


def check_format(path: str | os.PathLike[str]) -> None:
    """Raise `DataError` unless the ending is that of a page or picture."""
    if not os.fspath(path).lower().endswith((*PAGES, *PICTURES)):
        raise DataError(f"{os.fspath(path)!r} should end in one of {', '.join((*PAGES, *PICTURES))}")


def render(comparison: Comparison) -> str:
    """Text of the page.

    Parameters
    ----------
    comparison : Comparison
    """
    from offbeat.diagnostics import report

    fits = drawn(comparison.traces)

    def body(places: Mapping[str, str]) -> list[str]:
        how = report.remark("Drag to zoom in on a time, double-click to reset. Click a name to hide it.")
        streams = [
            f'<h3><span style="color:{color(index)}">&#9632;</span> {html.escape(fit.title)}</h3>'
            + places.get(f"stream{index}", report.remark("No step was recorded.", screen=False))
            for index, fit in enumerate(fits)
        ]
        gaps = places.get("gaps", report.remark("No gap was recorded.", screen=False))
        facts = report.section("Settings", tables.pairs(comparison.facts)) if comparison.facts else ""
        return [
            report.section("Results", tables.table(comparison.head, comparison.rows)),
            report.section("Convergence", how, gaps),
            report.section("Workers", report.remark("Coloured: at work. Grey: waiting.", screen=False), *streams),
            facts,
        ]

    said = f'<p class="soft">{html.escape(comparison.subtitle)}</p>' if comparison.subtitle else ""
    return report.page(comparison.title, said, "", _charts(fits), body)


def _charts(fits: Sequence[Drawn]) -> dict[str, Any]:
    """Bokeh models by the name of their place in the page: they share the axis of time."""
    from offbeat.diagnostics import compare_figures as figures

    own = apart(fits)
    end = max(fit.end for fit in fits) if own else horizon(fits)
    reach, unit = figures.time_axis(end), time_unit(end)
    charts: dict[str, Any] = {}
    if any(len(fit.curve.points("time", "measure")[0]) for fit in fits):
        charts["gaps"] = figures.gaps(fits, None if own else reach, unit)
    for index, fit in enumerate(fits):
        if own:
            reach, unit = figures.time_axis(fit.end), time_unit(fit.end)
        if len(fit.bars):
            charts[f"stream{index}"] = figures.stream(fit, color(index), reach, unit)
    return charts
