"""325,724 real flights, 45 columns, standardised."""

from __future__ import annotations

import numpy as np

from benchmarks.harness.dataset import BaseDataset, thin
from benchmarks.harness.problem import Array, Floats


class Dataset(BaseDataset):
    name = "flights"
    description = "flights from New York City in 2013 with weather, 325,724 x 45, columns standardised"

    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        from offbeat.datasets import load_flights

        data = load_flights()
        X = np.asarray(data.X, dtype=np.float64)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        return thin(X, {"late": np.asarray(data.y, dtype=np.float64)}, scale)
