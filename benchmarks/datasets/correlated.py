"""500,000 x 100 Gaussian columns, neighbours correlated 0.5, with a binary and a real target."""

from __future__ import annotations

import numpy as np

from benchmarks.harness.dataset import BaseDataset, rows
from benchmarks.harness.problem import Array, Floats

ROWS, COLUMNS, CORRELATION = 500_000, 100, 0.5


def generate(n_rows: int, n_columns: int, seed: int = 0) -> tuple[Array, dict[str, Floats]]:
    """Return a matrix whose columns follow a stationary first-order autoregression, and targets of a sparse model.

    Every second coefficient is zero; the predictor has a standard deviation near 1.7, so the classes overlap.

    Parameters
    ----------
    n_rows, n_columns : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_columns))
    fresh = (1.0 - CORRELATION**2) ** 0.5
    for j in range(1, n_columns):
        X[:, j] *= fresh
        X[:, j] += CORRELATION * X[:, j - 1]
    coef = rng.standard_normal(n_columns) * (np.arange(n_columns) % 2 == 0) * 2.0 / n_columns**0.5
    z = X @ coef + 0.5
    binary = (rng.random(n_rows) < 1.0 / (1.0 + np.exp(-z))).astype(np.float64)
    return X, {"binary": binary, "real": z - 0.5 + rng.standard_normal(n_rows)}


class Dataset(BaseDataset):
    name = "correlated"
    description = "synthetic, 500,000 x 100, neighbouring columns correlated 0.5"

    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        return generate(rows(ROWS, scale), COLUMNS)
