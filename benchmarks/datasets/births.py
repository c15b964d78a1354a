"""372,864 counts of births per state and day, 450 one-hot columns, dense."""

from __future__ import annotations

import numpy as np

from benchmarks.harness.dataset import BaseDataset, thin
from benchmarks.harness.problem import Array, Floats


class Dataset(BaseDataset):
    name = "births"
    description = "births per state and day, 1969 to 1988, 372,864 x 450 dense one-hot columns"

    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        from offbeat.datasets import load_births

        data = load_births(as_sparse=False)
        return thin(np.asarray(data.X, dtype=np.float64), {"births": data.y}, scale)
