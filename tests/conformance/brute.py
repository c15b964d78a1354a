"""Slow and simple references."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def supremum(f: Callable[[float], float], low: float, high: float) -> float:
    """Largest value of a concave function on an interval: grids that close in on the best point."""
    best = -math.inf
    for _ in range(8):
        grid = np.linspace(low, high, 101)
        values = [f(float(x)) for x in grid]
        k = int(np.argmax(values))
        best = max(best, values[k])
        low, high = float(grid[max(k - 1, 0)]), float(grid[min(k + 1, 100)])
    return best
