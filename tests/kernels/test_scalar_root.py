"""Implicit steps along one row: the root, whatever the curve between the ends of the bracket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from offbeat import losses
from offbeat.kernels.saga import implicit
from offbeat.kernels.sdca import best

WITHOUT_A_KNOWN_STEP = [losses.Logistic(), losses.Poisson(), losses.Gamma()]


def bisected(loss: Any, c: float, q: float, y: float) -> float:
    """Return the slope at the root of ``z + q l'(z) = c``, by halving a bracket two hundred times."""
    ends = sorted((c, c - q * loss.derivative(c, y)))
    low, high = max(ends[0], -600.0), min(ends[1], 600.0)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle - c + q * loss.derivative(middle, y) > 0.0:
            high = middle
        else:
            low = middle
    return float(loss.derivative(0.5 * (low + high), y))


@pytest.mark.parametrize("theta", [0.0, None], ids=["first epoch", "later"])
def test_the_best_dual_variable_of_a_logistic_row(theta: float | None) -> None:
    """Rows that are long beside the ridge, some far on the wrong side: Newton's method alone ends anywhere."""
    rng, loss = np.random.default_rng(0), losses.Logistic()
    for z, size in zip(rng.normal(0.0, 5.0, 2000), 10.0 ** rng.uniform(-1.0, 5.0, 2000), strict=True):
        y = float(rng.integers(2))
        old = rng.uniform() - y if theta is None else theta
        assert_allclose(best(loss, z, old, y, size), bisected(loss, z + size * old, size, y), atol=1e-9)


@pytest.mark.parametrize("loss", WITHOUT_A_KNOWN_STEP, ids=lambda loss: loss.name)
def test_an_implicit_step_ends_where_its_slope_is_taken(loss: Any) -> None:
    rng = np.random.default_rng(1)
    for z, reach in zip(rng.normal(0.0, 5.0, 2000), 10.0 ** rng.uniform(-2.0, 4.0, 2000), strict=True):
        y, weight, old = float(rng.integers(1, 3)) % 2.0 if loss.classifier else 2.0, 1.7, rng.normal()
        at = implicit(loss, z, y, weight, old, reach)
        rest = at - z + reach * (weight * loss.derivative(at, y) - old)
        assert abs(rest) <= 1e-7 * (1.0 + abs(at)) * (1.0 + reach * weight * loss.second_derivative(at, y))
