"""Measurements, and what is read off them."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.problem import Spec

Rung = dict[str, Any]


@dataclass
class Measured:
    """All runs of one solver at one rung. ``objectives`` has one value a penalty, of the last run."""

    rung: Rung
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    suboptimality: list[float] = field(default_factory=list)
    extra_bytes: list[int | None] = field(default_factory=list)
    objectives: list[list[float]] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median wall time."""
        return statistics.median(self.seconds)

    @property
    def reached(self) -> float:
        """Median suboptimality: solvers that draw at random, or race threads, vary."""
        return statistics.median(self.suboptimality)


@dataclass
class Entry:
    """One solver's part in one race. ``excluded`` says why it did not run; ``stopped`` why its ladder ended early."""

    solver: str
    ours: bool = False
    excluded: str | None = None
    stopped: str | None = None
    first_seconds: float | None = None
    rungs: list[Measured] = field(default_factory=list)

    def at(self, accuracy: float) -> Measured | None:
        """Return the rung of least median time that is this accurate; None for never."""
        return min((m for m in self.rungs if m.reached <= accuracy), key=lambda m: m.median, default=None)

    def seconds(self, accuracy: float) -> float:
        """Return the time to this accuracy, infinite for never."""
        found = self.at(accuracy)
        return math.inf if found is None else found.median

    @property
    def extra_bytes(self) -> int | None:
        """Most memory any fit took beyond what was resident before it."""
        known = [b for m in self.rungs for b in m.extra_bytes if b is not None]
        return max(known, default=None)


@dataclass
class Race:
    """One problem and everybody who ran."""

    spec: Spec
    rows: int
    columns: int
    alphas: list[float]
    scale: float
    optimum: list[float] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def fastest(self, accuracy: float, ours: bool) -> Entry | None:
        """Return who is first at this accuracy, among ours or among peers."""
        able = [e for e in self.entries if e.ours == ours and math.isfinite(e.seconds(accuracy))]
        return min(able, key=lambda e: e.seconds(accuracy), default=None)

    def settle(self) -> None:
        """Work out all suboptimalities against the best objective anybody reached."""
        runs = [m for entry in self.entries for m in entry.rungs]
        for column in range(len(self.alphas)):
            best = min((values[column] for m in runs for values in m.objectives), default=math.inf)
            self.optimum[column] = min(self.optimum[column], best)
        for m in runs:
            m.suboptimality = [
                max((value - best) / self.scale for value, best in zip(values, self.optimum, strict=True))
                for values in m.objectives
            ]
