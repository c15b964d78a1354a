"""The colours of charts."""

from __future__ import annotations

# Blue, orange, green, purple, red, teal of about equal lightness: told apart by the colour-blind, and in print.
PALETTE = ("#2f6fb2", "#d9772b", "#2f9467", "#8560b5", "#c5453d", "#2a97a3")
UPDATE = PALETTE[4]
STEPS = (*PALETTE[:4], PALETTE[5])  # kinds of steps: all but the colour of updates
TRANSFER = "#e0b40c"  # what was moved to a worker: none of the palette, which steps have
WAITING = "#d5d9df"
GREY = "#6b7280"  # what belongs to no fit


def fit_color(index: int) -> str:
    """Colour of one of several fits.

    Examples
    --------
    >>> fit_color(0) == fit_color(len(PALETTE))
    True
    """
    return PALETTE[index % len(PALETTE)]
