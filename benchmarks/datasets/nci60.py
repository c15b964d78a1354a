"""Gene expression in 59 cell lines, 6,830 genes."""

from __future__ import annotations

import numpy as np

from benchmarks.harness.dataset import BaseDataset, thin
from benchmarks.harness.problem import Array, Floats


class Dataset(BaseDataset):
    name = "nci60"
    description = "gene expression in cancer cell lines, 59 x 6,830 dense; the number of the class, centred, as target"

    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        from offbeat.datasets import load_nci60

        data = load_nci60()
        y = np.asarray(data.y, dtype=np.float64)
        return thin(np.asarray(data.X, dtype=np.float64), {"class": y - y.mean()}, scale)
