"""Coordinate descent on a Gram matrix: the minimum, with penalties and without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from offbeat import penalties
from offbeat.kernels import gram
from offbeat.kernels.arguments import PenaltyScaling, SweepLimits

PENALTIES = [penalties.L1(0.3), penalties.ElasticNet(0.3, 0.5), penalties.Box(-0.2, 0.1)]


def problem(m: int) -> tuple[Any, Any]:
    """Return a positive definite matrix and slopes."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3 * m, m))
    return A.T @ A / len(A), rng.standard_normal(m)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: penalty.name)
def test_the_minimum_is_optimal_and_coordinates_beyond_the_scaling_have_no_penalty(penalty: Any) -> None:
    m, k = 12, 10
    H, slope = problem(m)
    factor, weight = np.linspace(0.5, 2.0, k), np.linspace(1.0, 3.0, k)
    w, left = np.zeros(m), slope.copy()
    sweeps = gram.descend(penalty, H, left, w, PenaltyScaling(factor, weight), SweepLimits(1000, 0.0, 1e-12))
    assert sweeps.count < 1000 and sweeps.last <= 1e-12 < sweeps.first
    assert_allclose(left, slope + H @ w, atol=1e-10)
    assert_allclose(left[k:], 0.0, atol=1e-10)
    assert np.all(np.abs(w[k:]) > 0.2)
    violations = [penalty.subgradient_distance(factor[j] * w[j], left[j] / factor[j], weight[j]) for j in range(k)]
    assert_allclose(violations, 0.0, atol=1e-9)


def test_a_coordinate_without_curvature_stays() -> None:
    H, slope = problem(4)
    H[2], H[:, 2] = 0.0, 0.0
    w = np.full(4, 0.5)
    gram.descend(
        penalties.L1(0.1), H, slope.copy(), w, PenaltyScaling(np.ones(4), np.ones(4)), SweepLimits(100, 0.0, 1e-9)
    )
    assert w[2] == 0.5 and not np.any(w[[0, 1, 3]] == 0.5)


def test_sweeps_end_at_the_most_that_are_allowed() -> None:
    H, slope = problem(8)
    w = np.zeros(8)
    scaling = PenaltyScaling(np.ones(8), np.ones(8))
    assert gram.descend(penalties.L1(0.01), H, slope, w, scaling, SweepLimits(3, 0.0, 0.0)).count == 3
