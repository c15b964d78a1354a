"""A matrix on disk, dense or sparse: what workers load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.harness.problem import Array


def save(folder: Path, X: Any, dtype: str) -> None:
    """Write ``X.npy``, or ``X.npz`` for a sparse matrix."""
    if sparse.issparse(X):
        sparse.save_npz(folder / "X.npz", sparse.csr_matrix(X, dtype=dtype), compressed=False)
    else:
        np.save(folder / "X.npy", np.ascontiguousarray(X, dtype=dtype))


def load(folder: Path) -> Array | Any:
    """Return the matrix: an array in C order, or a ``csr_matrix``."""
    if (folder / "X.npz").exists():
        return sparse.load_npz(folder / "X.npz").tocsr()
    return np.load(folder / "X.npy")


def pack(coef: Array) -> dict[str, Any]:
    """Return coefficients as few numbers where most are zero."""
    at = np.flatnonzero(coef)
    return {"shape": list(coef.shape), "at": at.tolist(), "values": coef.ravel()[at].tolist()}


def unpack(packed: dict[str, Any]) -> Array:
    """Return coefficients from what `pack` made of them."""
    coef = np.zeros(int(np.prod(packed["shape"])))
    coef[np.array(packed["at"], dtype=np.int64)] = packed["values"]
    return coef.reshape(packed["shape"])
