"""When to give up."""

from __future__ import annotations

import math

from offbeat.problem import Certificate
from offbeat.solvers._common.stalling import StallCounter


def point(gap: float, primal: float = 1.0) -> Certificate:
    return Certificate(primal, primal - gap, gap, gap, "duality gap")


def test_a_better_gap_starts_the_count_again() -> None:
    patience = StallCounter(limit=3).after(point(1.0)).after(point(1.0)).after(point(1.0))
    assert not patience.over
    assert patience.after(point(1.0)).over
    assert patience.after(point(0.5)).idle == 0


def test_a_better_objective_starts_the_count_again() -> None:
    patience = StallCounter(limit=2).after(point(1.0)).after(point(1.0))
    assert patience.after(point(1.0, primal=0.9)).idle == 0
    assert patience.after(point(1.0, primal=1.0 - 1e-15)).over


def test_a_gap_that_is_unknown_is_no_progress() -> None:
    patience = StallCounter(limit=2)
    for _ in range(3):
        patience = patience.after(point(math.inf))
    assert patience.over


def test_an_objective_of_minus_something_counts_by_its_size() -> None:
    patience = StallCounter(limit=1).after(point(1.0, primal=-2.0))
    assert patience.after(point(1.0, primal=-2.1)).idle == 0
    assert patience.after(point(1.0, primal=-2.0)).over
