"""Suboptimality against time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.harness.results import Entry, Race
from benchmarks.harness.tables import rank

FLOOR = 1e-14
"""Where a suboptimality of zero is drawn."""
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D31", "#7F7F7F", "#9467BD")
"""Okabe and Ito's palette, without the vermilion that is ours."""
OURS = ("#D55E00", "#A33E00", "#F0884E")
MARKERS = "osD^vP*X"


def front(entry: Entry) -> tuple[list[float], list[float]]:
    """Return times and suboptimalities of the rungs that are better than all faster ones."""
    times: list[float] = []
    values: list[float] = []
    for measured in sorted(entry.rungs, key=lambda m: m.median):
        value = max(measured.reached, FLOOR)
        if value <= 1.0 and (not values or value < values[-1]):
            times.append(measured.median)
            values.append(value)
    return times, values


def plot(race: Race, path: Path) -> None:
    """Draw a race and save it.

    Parameters
    ----------
    race : Race
    path : Path
        A `.png` file.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(8.0, 4.8), dpi=160, layout="constrained")
    axes = figure.subplots()
    for accuracy in race.spec.accuracies:
        axes.axhline(accuracy, color="#BBBBBB", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    ours = peers = 0
    for entry in rank(race):
        times, values = front(entry)
        if not times:
            continue
        if entry.ours:
            style: dict[str, Any] = {"color": OURS[ours % len(OURS)], "linewidth": 2.6, "zorder": 5, "markersize": 6}
            ours += 1
        else:
            style = {"color": COLOURS[peers % len(COLOURS)], "linewidth": 1.4, "zorder": 3, "markersize": 4.5}
            style["linestyle"] = ("-", "--", ":")[peers // len(COLOURS) % 3]
            peers += 1
        axes.plot(times, values, marker=MARKERS[(ours + peers) % len(MARKERS)], label=entry.solver, **style)
    axes.set(xscale="log", yscale="log", xlabel="seconds, whole fit", ylabel="relative suboptimality")
    axes.set_ylim(FLOOR / 3, 1.5)
    axes.yaxis.set_major_locator(LogLocator(numticks=20))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(f"{race.spec.title}  ({race.rows:,} x {race.columns:,})", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(which="major", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8.5)
    figure.savefig(path)
