"""165 molecules x 1,107 binary features: more columns than rows, many of them the same."""

from __future__ import annotations

import numpy as np

from benchmarks.harness.dataset import BaseDataset, thin
from benchmarks.harness.problem import Array, Floats


class Dataset(BaseDataset):
    name = "permeability"
    description = "permeability of molecules, 165 x 1,107 dense, target centred"

    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        from offbeat.datasets import load_permeability

        data = load_permeability()
        y = np.asarray(data.y, dtype=np.float64)
        return thin(np.asarray(data.X, dtype=np.float64), {"permeability": y - y.mean()}, scale)
