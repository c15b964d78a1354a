from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    # `benchmarks` is no part of the installed package: it is found beside it.
    sys.path.insert(0, ROOT)

from benchmarks.datasets.correlated import generate  # noqa: E402
from benchmarks.harness.problem import Problem  # noqa: E402


@pytest.fixture
def make_problem():
    """Return a function that makes a small problem: loss, l1_ratio, penalties, intercept."""

    def make(loss="logistic", l1_ratio=0.0, alphas=(0.01,), fit_intercept=False):
        X, targets = generate(300, 6, seed=1)
        y = targets["real" if loss == "squared" else "binary"]
        if loss == "poisson":
            y = np.floor(np.exp(np.clip(targets["real"], -3, 3)))
        return Problem("test", loss, np.array(alphas), l1_ratio, fit_intercept, X, y)

    return make
