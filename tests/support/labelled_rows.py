"""Small data with classes and with numbers, for tests of how fits end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def labelled_rows(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return 300 rows of four features, one of three classes for each, and a number for each."""
    X = rng.standard_normal((300, 4))
    classes = np.argmax(X[:, :3] + rng.standard_normal((300, 3)), axis=1)
    return X, classes, X @ [1.0, -1.0, 0.5, 0.0] + rng.standard_normal(300)
