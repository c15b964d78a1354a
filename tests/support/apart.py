"""A stored estimator in a process without Dask: predict, store it again, and say what a fit says."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.modules["dask"] = sys.modules["distributed"] = None  # type: ignore[assignment]
    path = Path(sys.argv[1])
    model = pickle.loads(path.read_bytes())
    X = np.random.default_rng(0).normal(size=(300, 3))
    print(model.predict(X).mean())
    path.write_bytes(pickle.dumps(model))
    try:
        model.fit(X, X[:, 0] > 0)
    except ValueError as error:
        print(error)
