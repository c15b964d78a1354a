"""How fits converged: the gap, and the objective, against time or passes over the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from offbeat.diagnostics.plots.charts import Axis, Chart, Curve, Key, Rule
from offbeat.diagnostics.plots.palette import GREY, PALETTE, fit_color
from offbeat.diagnostics.series import Unit, Updates, objective_range, thin, time_unit

Column = Literal["time", "passes"]
MAX_POINTS = 3000  # of one curve: more cannot be seen


class Across(NamedTuple):
    """What is drawn from left to right: a column of the updates, the unit in which it is shown, and the axis."""

    column: Column
    unit: Unit
    axis: Axis


def across(fits: Mapping[str, Updates], column: Column) -> Across:
    """Return the axis from left to right that suits all fits.

    Parameters
    ----------
    fits : mapping of str to Updates
    column : {"time", "passes"}
    """
    if column == "passes":
        return Across(column, Unit(1.0, ""), Axis("passes over the data", low=0.0, link=column))
    longest = max((float(fit.time.max()) for fit in fits.values() if len(fit.time)), default=10.0)
    unit = time_unit(longest)
    return Across(column, unit, Axis(time_label(fits, unit), low=0.0, link=column))


def time_label(fits: Mapping[str, Updates], unit: Unit) -> str:
    """Return the label of an axis of time."""
    return f"{'virtual ' if any(fit.virtual for fit in fits.values()) else ''}time ({unit.name})"


def convergence_charts(fits: Mapping[str, Updates], columns: tuple[Column, ...] = ("time", "passes")) -> list[Chart]:
    """Charts of the gap, one for each of ``columns``, and then of the objective.

    Parameters
    ----------
    fits : mapping of str to Updates
        By the names to show.
    columns : tuple of {"time", "passes"}
    """
    sides = [across(fits, column) for column in columns]
    return [build(fits, side) for build in (gap_chart, objective_chart) for side in sides]


def gap_chart(fits: Mapping[str, Updates], side: Across, height: int = 270) -> Chart:
    """How the gap of each fit fell, on a log scale, and the tolerance if all have the same.

    Parameters
    ----------
    fits : mapping of str to Updates
    side : Across
    height : int
        On a screen (pixels).
    """
    drawn = []
    for index, (name, fit) in enumerate(fits.items()):
        beyond = index >= len(PALETTE)  # the colours begin again
        drawn.append(_curve(fit, side, "measure", fit_color(index), name or fit.label, dashed=beyond))
    curves = tuple(curve for curve in drawn if len(curve.x))
    tolerances = {fit.tolerance for fit in fits.values() if 0 < fit.tolerance < math.inf}
    labels = {fit.label for fit, curve in zip(fits.values(), drawn, strict=True) if len(curve.x)}
    label = labels.pop() if len(labels) == 1 else "distance from the optimum"
    rules = tuple(Rule(wanted, "y", f"tolerance {wanted:.0e}", dashed=True) for wanted in tolerances)
    return Chart(
        side.axis,
        Axis(label, log=True, link="gap", form="%.2e"),
        curves=curves,
        rules=rules if curves and len(tolerances) == 1 else (),
        nothing="No gap was recorded.",
        height=height,
    )


def objective_chart(fits: Mapping[str, Updates], side: Across) -> Chart:
    """Primal and dual objective of each fit.

    Parameters
    ----------
    fits : mapping of str to Updates
    side : Across
    """
    several = len(fits) > 1
    curves: list[Curve] = []
    for index, (name, fit) in enumerate(fits.items()):
        names, colors = ("primal", "dual (lower bound)"), PALETTE[:2]
        if several:
            names, colors = (name, ""), (fit_color(index),) * 2
        curves.append(_curve(fit, side, "primal", colors[0], names[0]))
        curves.append(_curve(fit, side, "dual", colors[1], names[1], dashed=True))
    limits = objective_range([fit.primal for fit in fits.values()], [fit.dual for fit in fits.values()])
    low, high = limits if limits is not None else (None, None)
    return Chart(
        side.axis,
        Axis("objective", low=low, high=high, link="objective", form="%.9g"),
        curves=tuple(curve for curve in curves if len(curve.x)),
        keys=(Key("primal", GREY), Key("dual", GREY, dashed=True)) if several else (),
        nothing="No objective was recorded.",
    )


def _curve(fit: Updates, side: Across, column: str, color: str, name: str, *, dashed: bool = False) -> Curve:
    x, y = fit.points(side.column, column)
    keep = thin(y, MAX_POINTS)
    return Curve(np.asarray(x[keep] * side.unit.factor), y[keep], color, name, dashed)
