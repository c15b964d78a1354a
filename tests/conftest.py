"""Set-up of all tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

# The same examples on every run, no database of earlier failures, and no verdict by the clock.
settings.register_profile("offbeat", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("offbeat")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of random numbers that starts the same in every test."""
    return np.random.default_rng(20_130_101)
