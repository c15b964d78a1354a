"""When to stop without reaching the tolerance: no more progress, or no optimum exists."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from offbeat.problem import Certificate, Evaluation, Problem
from offbeat.sideways.protocol import DataInfo, Progress


@dataclass(frozen=True)
class StallCounter:
    """Counts passes without progress of gap or objective. It is ``over`` after ``limit`` of them in a row.

    Examples
    --------
    >>> same = Certificate(1.0, 0.5, 0.5, 0.5, "duality gap")
    >>> patience = StallCounter(50)
    >>> for _ in range(51):
    ...     patience = patience.after(same)
    >>> patience.over
    True
    """

    limit: int
    gap: float = math.inf
    primal: float = math.inf
    idle: int = 0

    def after(self, certificate: Certificate) -> StallCounter:
        """Return the counter after another certified point."""
        better = certificate.relative_gap < 0.9 * self.gap
        better = better or certificate.primal < self.primal - 1e-13 * abs(self.primal)
        if not better and math.isfinite(self.primal):
            return replace(self, idle=self.idle + 1)
        gap, primal = min(self.gap, certificate.relative_gap), min(self.primal, certificate.primal)
        return replace(self, gap=gap, primal=primal, idle=0)

    @property
    def over(self) -> bool:
        """Whether the limit is reached."""
        return self.idle >= self.limit


def classes_separated(problem: Problem, info: DataInfo, at: Evaluation, progress: Progress) -> bool:
    """Whether the classes are separable and no penalty bounds the coefficients: then there is no optimum."""
    endless = problem.loss.classifier and progress.certificate.kind == "gradient"
    return bool(endless and at.loss < 1e-4 * info.reference.objective)
