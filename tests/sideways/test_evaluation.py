"""Certificates at the edge of arithmetic: bounds that cannot be, gaps below rounding, points that are no numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from offbeat import Problem, losses, penalties
from offbeat.errors import DataError
from offbeat.fit.solution import in_range
from offbeat.problem import Certificate, Evaluation, Reference
from offbeat.sideways.evaluation import improved, widened
from offbeat.sideways.loop import Best
from offbeat.sideways.protocol import DataInfo, Progress, State

RIDGE = Problem(losses.Squared(), penalties.L2(1.0))
LASSO = Problem(losses.Squared(), penalties.L1(1.0))


def info_of(problem: Problem) -> DataInfo:
    """Return what is known of two columns whose null objective is 1."""
    reference = Reference(1.0, 2.0, 0.0, False, 1e-6)
    ones, zeros = np.ones(2), np.zeros(2)
    return DataInfo(
        10, 2, 1, zeros, ones, problem.scaled_penalty(2, ones), reference, (zeros, np.zeros(1)), False, ones
    )  # fmt: skip


def certificate(problem: Problem, loss: float, gradient: list[float], u: list[float]) -> Certificate:
    """Certify a point from what an evaluation said."""
    info, at = info_of(problem), Evaluation(loss, np.array(gradient), np.zeros(1), None, 0.0)
    return problem.certify(info.penalty, np.array(u), at, info.reference)


def test_a_gap_is_that_of_fenchel_and_young() -> None:
    c = certificate(RIDGE, 0.5, [-0.5, 0.25], [0.4, 0.0])
    assert c.gap == pytest.approx(0.5 * (0.1**2 + 0.25**2))


def test_a_gap_is_no_less_than_the_rounding_of_the_objective() -> None:
    c = certificate(RIDGE, 0.5, [-0.5, 0.25], [0.5, -0.25])
    assert 1e-16 < c.gap < 1e-14
    assert c.satisfied


@pytest.mark.parametrize("loss", [-1e-6, -1.0])
def test_a_loss_that_cannot_be_certifies_nothing(loss: float) -> None:
    c = certificate(LASSO, loss, [4.0, 0.0], [0.0, 0.0])
    assert (c.gap, c.dual, c.kind) == (math.inf, -math.inf, "duality gap")
    assert not c.satisfied


def test_a_bound_above_the_objective_is_none() -> None:
    c, info = Certificate(1.0, 0.5, 0.5, 0.5, "duality gap", 1e-6), info_of(RIDGE)
    assert improved(c, 1.0 + 1e-6, info) == c
    near = improved(c, 1.0 + 1e-15, info)
    assert 0.0 < near.gap < 1e-14
    assert improved(c, 0.75, info).gap == pytest.approx(0.25)
    assert improved(c, 0.25, info) == c


@pytest.mark.parametrize(("kind", "added", "scale"), [("duality gap", 0.25, 1.0), ("gradient", 0.125, 2.0)])
def test_certificates_are_widened_by_what_rounding_may_have_done(kind: Any, added: float, scale: float) -> None:
    c = widened(Certificate(1.0, 0.5, 0.5, 0.5, kind), 0.25, 0.125, info_of(RIDGE))
    assert c.gap == 0.5 + added
    assert c.relative_gap == c.gap / scale


def test_a_point_that_is_no_number_is_never_the_best() -> None:
    best, nothing = Best(), Certificate(math.nan, -math.inf, math.inf, math.inf, "duality gap")
    best.see(Progress(np.array([np.nan]), np.zeros(1), nothing), State(), 0.0, 1)
    assert best.progress is None
    best.see(Progress(np.ones(1), np.zeros(1), nothing), State(), 0.0, 2)
    assert best.progress is not None


def test_models_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match=r"column 1 \(and of 1 more\)"):
        in_range(np.array([[0.0, 1.0], [np.nan, 0.0], [np.inf, 0.0]]), np.zeros(2))
    with pytest.raises(DataError, match="intercept"):
        in_range(np.zeros(2), np.array([np.inf]))
