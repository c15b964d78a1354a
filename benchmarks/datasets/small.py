"""1,000 x 20: where overhead shows."""

from __future__ import annotations

from benchmarks.datasets.correlated import generate
from benchmarks.harness.dataset import BaseDataset, rows
from benchmarks.harness.problem import Array, Floats


class Dataset(BaseDataset):
    name = "small"
    description = "synthetic, 1,000 x 20, neighbouring columns correlated 0.5"

    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        return generate(rows(1000, scale), 20)
