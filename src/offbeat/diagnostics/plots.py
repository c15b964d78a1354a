"""Figures for papers and notebooks, by Matplotlib's object interface: no global figure, no display needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from offbeat._utils.atomic import atomic_write
from offbeat.diagnostics.series import Bars, Curves, Stroke, Unit, curves, objective_range, step_bars, thin, time_unit
from offbeat.diagnostics.trace import Trace
from offbeat.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Axis = Literal["time", "passes"]

# Blue, orange, green, purple, red, teal of about equal lightness: told apart by the colour-blind, and in print.
PALETTE = ("#2f6fb2", "#d9772b", "#2f9467", "#8560b5", "#c5453d", "#2a97a3")
MOVED = "#e0b40c"  # what was moved to a worker: none of the palette, which steps have
INK, FAINT = "#2b2f36", "#d5d9df"
_POINTS = 2000  # of one curve; more cannot be seen on paper
_DASHES = (0, (4, 1.5))
_MARKED = 40  # curves of up to so many points get a mark for each


def convergence(traces: Trace | Mapping[str, Trace], x: Axis | None = None) -> Figure:
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

    Examples
    --------
    >>> from offbeat.diagnostics import Trace
    >>> convergence({"newton": Trace()}, x="time").axes[1].get_xlabel()
    'time (s)'
    """
    from matplotlib.figure import Figure

    if x not in ("time", "passes", None):
        raise DataError(f"x is {x!r}: plot against 'time' or 'passes'.")
    named = {"": traces} if isinstance(traces, Trace) else dict(traces)
    drawn = {plain(name): curves(trace) for name, trace in named.items()}
    across: list[Axis] = ["time", "passes"] if x is None else [x]
    figure = Figure(figsize=(5.2 * len(across), 6.6), layout="constrained")
    panels = figure.subplots(2, len(across), sharex="col", sharey="row", squeeze=False)
    for column, name in enumerate(across):
        unit = _unit(drawn, name)
        _gap_panel(panels[0, column], drawn, name, unit)
        _objective_panel(panels[1, column], drawn, name, unit)
        panels[1, column].set_xlabel(_across_label(drawn, name, unit))
        panels[1, column].set_xlim(left=0)
        panels[0, column].tick_params(labelbottom=False)
    labels = {curve.label for curve in drawn.values() if len(curve.points("time", "measure")[0])}
    panels[0, 0].set_ylabel(labels.pop() if len(labels) == 1 else "distance from the optimum")
    panels[1, 0].set_ylabel("objective")
    _legends(figure, panels[0, 0], panels[1, 0], several=len(named) > 1)
    return figure


def task_stream(trace: Trace) -> Figure:
    """What each worker did when: one bar a step, one line a worker, and along its lower edge what was moved there.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    figure : matplotlib.figure.Figure

    Examples
    --------
    >>> from offbeat.diagnostics import Trace
    >>> task_stream(Trace()).axes[0].get_xlabel()
    'time (s)'
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    bars, transfers = step_bars(trace), step_bars(trace, kind="transfer")
    workers = np.unique(np.concatenate([bars.worker, transfers.worker]))
    unit = time_unit(float(bars.end.max())) if len(bars) else Unit(1.0, "s")
    figure = Figure(figsize=(8.0, 1.2 + 0.32 * max(len(workers), 3)), layout="constrained")
    axes = figure.subplots()
    dress(axes)
    for index, label in enumerate(sorted(set(bars.label))):
        corners = boxes(bars, np.searchsorted(workers, bars.worker), bars.label == label, unit)
        color = PALETTE[index % len(PALETTE)]
        axes.add_collection(
            PolyCollection(list(corners), facecolors=color, edgecolors="white", linewidths=0.3, label=label)
        )
    if len(transfers):
        low = boxes(transfers, np.searchsorted(workers, transfers.worker), slice(None), unit, (0.24, 0.46))
        axes.add_collection(PolyCollection(list(low), facecolors=MOVED, edgecolors=MOVED, label="transfer"))
    if len(bars):
        axes.set_xlim(0, float(bars.end.max()) * unit.factor)
        figure.legend(loc="outside upper right", ncols=6, frameon=False, fontsize=9)
    else:
        say(axes, "no step recorded")
    axes.set_ylim(max(len(workers), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(workers)), [f"worker {worker}" for worker in workers])
    axes.grid(False, axis="y")
    axes.set_xlabel(f"time ({unit.name})")
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


def _unit(drawn: Mapping[str, Curves], x: Axis) -> Unit:
    longest = max((float(curve.time.max()) for curve in drawn.values() if len(curve.time)), default=10.0)
    return time_unit(longest) if x == "time" else Unit(1.0, "")


def _across_label(drawn: Mapping[str, Curves], x: Axis, unit: Unit) -> str:
    if x == "passes":
        return "passes over the data"
    return f"{'virtual ' if any(curve.virtual for curve in drawn.values()) else ''}time ({unit.name})"


def _gap_panel(axes: Axes, drawn: Mapping[str, Curves], x: Axis, unit: Unit) -> None:
    dress(axes)
    axes.set_yscale("log")
    seen = False
    for index, (name, curve) in enumerate(drawn.items()):
        seen |= line(axes, curve, x, unit, Stroke("measure", _color(index), name))
    tolerances = {curve.tolerance for curve in drawn.values() if np.isfinite(curve.tolerance) and curve.tolerance > 0}
    if seen and len(tolerances) == 1:
        wanted = tolerances.pop()
        dashes = (0, (4, 3))
        axes.axhline(wanted, color=INK, linewidth=1.0, linestyle=dashes, label=f"tolerance {wanted:.0e}", zorder=1)
    if not seen:
        say(axes, "no gap recorded")


def _objective_panel(axes: Axes, drawn: Mapping[str, Curves], x: Axis, unit: Unit) -> None:
    dress(axes)
    several = len(drawn) > 1
    seen = False
    for index, (name, curve) in enumerate(drawn.items()):
        label, other = (name, "_") if several else ("primal", "dual")  # "_": not in the legend
        seen |= line(axes, curve, x, unit, Stroke("primal", _color(index), label))
        seen |= line(axes, curve, x, unit, Stroke("dual", _color(index if several else 1), other, dashed=True))
    limits = objective_range([curve.primal for curve in drawn.values()], [curve.dual for curve in drawn.values()])
    if limits is not None:
        axes.set_ylim(*limits)
    if not seen:
        say(axes, "no objective recorded")


def plain(name: str) -> str:
    """Name that Matplotlib neither takes for TeX nor leaves out of the legend."""
    shown = f"\u200a{name}" if name.startswith("_") else name
    return shown.replace("$", r"\$")


def _color(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def line(axes: Axes, curve: Curves, x: Axis, unit: Unit, stroke: Stroke) -> bool:
    """Draw one curve; whether there was anything to draw."""
    across, up = curve.points(x, stroke.y)
    keep = thin(up, _POINTS)
    inner, edge = ("white", stroke.color) if stroke.dashed else (stroke.color, "white")
    axes.plot(
        across[keep] * unit.factor, up[keep], color=stroke.color, label=stroke.label, linewidth=1.8, zorder=3,
        linestyle=_DASHES if stroke.dashed else "solid", marker="o" if len(keep) <= _MARKED else "None",
        markersize=4, markerfacecolor=inner, markeredgecolor=edge, markeredgewidth=0.8,
    )  # fmt: skip
    return len(keep) > 0


def dress(axes: Axes) -> None:
    """Give axes their clean look."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#8a919c")
    axes.tick_params(colors=INK, labelsize=9, which="major")
    axes.tick_params(which="minor", length=0)
    axes.grid(True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)


def say(axes: Axes, text: str) -> None:
    """Say why there is nothing to see."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#6b7280")


def _legends(figure: Figure, gap: Axes, objective: Axes, *, several: bool) -> None:
    """One legend above for several fits, where it hides no curve; for one fit, one above each row."""
    from matplotlib.lines import Line2D

    shown = {
        axes: [(h, n) for h, n in zip(*axes.get_legend_handles_labels(), strict=True) if n] for axes in (gap, objective)
    }
    if several:
        kinds = [
            (Line2D([], [], color="#6b7280"), "primal"),
            (Line2D([], [], color="#6b7280", linestyle=_DASHES), "dual"),
        ]
        rules = [(h, n) for h, n in shown[gap] if n.startswith("tolerance ")]
        entries = [*shown[objective], *kinds, *rules]
        columns = min(len(entries), 6)
        figure.legend(*zip(*entries, strict=True), loc="outside upper center", ncols=columns, frameon=False, fontsize=9)
        return
    for axes, entries in shown.items():
        if entries and not axes.texts:
            axes.legend(
                *zip(*entries, strict=True), frameon=False, fontsize=9, ncols=2,
                loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2,
            )  # fmt: skip


def boxes(
    bars: Bars, row: np.ndarray[tuple[int], np.dtype[np.int64]], mask: Any, unit: Unit,
    reach: tuple[float, float] = (-0.4, 0.4),
) -> np.ndarray:  # fmt: skip
    """Corners of the chosen bars, of shape (n, 4, 2); ``reach`` is from where to where of their line."""
    left, right, middle = bars.start[mask] * unit.factor, bars.end[mask] * unit.factor, row[mask].astype(float)
    low, high = middle + reach[0], middle + reach[1]
    return np.stack(
        [np.stack(corner, axis=-1) for corner in ((left, low), (right, low), (right, high), (left, high))], 1
    )
