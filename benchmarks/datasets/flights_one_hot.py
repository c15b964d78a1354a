"""325,724 real flights with day, hour, destination and aircraft as indicator columns; nothing is scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.harness.dataset import BaseDataset, thin
from benchmarks.harness.problem import Floats


class Dataset(BaseDataset):
    name = "flights-one-hot"
    description = "flights from New York City in 2013, 325,724 x 4,236 sparse"

    def load(self, scale: float) -> tuple[Any, dict[str, Floats]]:
        from offbeat.datasets import load_flights

        data = load_flights(one_hot=True)
        X = csr_matrix(data.X)
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
        return thin(X, {"late": np.asarray(data.y, dtype=np.float64)}, scale)
