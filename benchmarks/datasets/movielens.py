"""100,004 ratings of films: user, film and genres as indicator columns; nothing is scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.harness.dataset import BaseDataset, thin
from benchmarks.harness.problem import Floats


class Dataset(BaseDataset):
    name = "movielens"
    description = "ratings of films by users, 100,004 x 9,737 sparse"

    def load(self, scale: float) -> tuple[Any, dict[str, Floats]]:
        from offbeat.datasets import load_movielens

        data = load_movielens()
        X = csr_matrix(data.X)
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
        return thin(X, {"liked": np.asarray(data.y, dtype=np.float64)}, scale)
