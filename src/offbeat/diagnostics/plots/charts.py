"""The description of a chart: what is drawn, and nothing of the library that draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from offbeat.diagnostics.series import Floats


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Parameters
    ----------
    label : str
        With its unit.
    log : bool
        Whether its scale is logarithmic.
    low, high : float, optional
        Where it begins and ends; by default as what is drawn asks for. ``low`` above ``high`` turns it round.
    link : str
        Axes of the same name keep the same range. Empty: linked to no other.
    ticks : tuple of (float, str), optional
        Places and their names; by default numbers.
    grid : bool
        Whether there is a line across the chart at each tick.
    form : str
        How a value is written where the pointer rests, as printf does.
    """

    label: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    link: str = ""
    ticks: tuple[tuple[float, str], ...] | None = None
    grid: bool = True
    form: str = "%.4g"


@dataclass(frozen=True, eq=False)
class Curve:
    """A line through the points ``x``, ``y``, each of shape (n,). Without a name it has no place in the legend."""

    x: Floats
    y: Floats
    color: str
    name: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Rule:
    """A straight line across the whole chart at the value ``at`` of the axis ``axis``."""

    at: float
    axis: Literal["x", "y"]
    name: str = ""
    dashed: bool = False


@dataclass(frozen=True, eq=False)
class Detail:
    """What is said of each box where the pointer rests: a name, values of shape (n,), their unit or printf's form."""

    name: str
    values: npt.NDArray[Any]
    unit: str = ""
    form: str = ""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Rectangles. Edges, and ``opacity`` (0 to 1) unless one for all, have the shape (n,).

    ``color`` is one for all, or one for each. ``outline`` is a colour, as opaque as its box; empty: there is none.
    """

    left: Floats
    right: Floats
    bottom: Floats
    top: Floats
    color: str | tuple[str, ...]
    name: str = ""
    opacity: Floats | float = 1.0
    outline: str = ""
    details: tuple[Detail, ...] = ()

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True, eq=False)
class Marks:
    """Short upright lines at ``x`` of shape (n,), from ``low`` to ``high``."""

    x: Floats
    low: float
    high: float
    color: str
    name: str = ""


@dataclass(frozen=True)
class Key:
    """A line of the legend that explains a look which several curves have."""

    name: str
    color: str
    dashed: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart, as every renderer draws it.

    Parameters
    ----------
    x, y : Axis
    title : str
    curves, boxes, marks, rules, keys : tuple
        What is drawn, and what the legend has besides.
    nothing : str
        Said instead when there is neither a curve nor a box.
    height : int
        On a screen (pixels). Figures on paper choose their own.
    zoom : {"both", "x", "none"}
        Along which axes a page lets the reader zoom.
    """

    x: Axis
    y: Axis
    title: str = ""
    curves: tuple[Curve, ...] = ()
    boxes: tuple[Boxes, ...] = ()
    marks: tuple[Marks, ...] = ()
    rules: tuple[Rule, ...] = ()
    keys: tuple[Key, ...] = ()
    nothing: str = ""
    height: int = 270
    zoom: Literal["both", "x", "none"] = "both"

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not self.curves and not any(len(boxes) for boxes in self.boxes)
