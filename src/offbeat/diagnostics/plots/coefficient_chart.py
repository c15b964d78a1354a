"""The largest coefficients, as bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offbeat.diagnostics.plots.charts import Axis, Boxes, Chart, Detail
from offbeat.diagnostics.plots.palette import PALETTE

MAX_NAME = 38  # characters of a feature's name beside its bar


def coefficient_chart(names: Sequence[str], values: Sequence[float], effects: Sequence[float]) -> Chart:
    """Bars of standardised effects, the first on top.

    Parameters
    ----------
    names : sequence of str
        Of the features.
    values, effects : sequence of float
        Coefficients on the original scale, and standardised effects; as many as names.
    """
    effect, line = np.asarray(effects, dtype=np.float64), np.arange(len(names), dtype=np.float64)
    left, right = np.minimum(effect, 0.0), np.maximum(effect, 0.0)
    margin = 0.03 * (float(np.abs(effect).max(initial=0.0)) or 1.0)
    details = (
        Detail("feature", np.array(list(names), dtype=object)),
        Detail("effect", effect, form="%.4g"),
        Detail("coefficient", np.asarray(values, dtype=np.float64), form="%.6g"),
    )
    colors = tuple(PALETTE[0] if each >= 0 else PALETTE[1] for each in effect)
    reach = (float(left.min(initial=0.0)) - margin, float(right.max(initial=0.0)) + margin)
    ticks = tuple((float(i), shorten(name, MAX_NAME)) for i, name in enumerate(names))
    return Chart(
        Axis("standardised effect", low=reach[0], high=reach[1]),
        Axis(low=len(names) - 0.4, high=-0.6, ticks=ticks, grid=False),
        boxes=(Boxes(left, right, line - 0.36, line + 0.36, colors, details=details),),
        nothing="No effect is known.",
        height=70 + 22 * len(names),
        zoom="none",
    )


def shorten(text: str, most: int) -> str:
    """``text``, with its middle left out when it is longer than ``most``: both ends of a feature's name matter.

    Examples
    --------
    >>> shorten("airport=New York", 10)
    'airpo…York'
    """
    return text if len(text) <= most else f"{text[: most * 2 // 3 - 1]}…{text[-(most - most * 2 // 3) :]}"
