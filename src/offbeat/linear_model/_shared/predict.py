"""The linear predictor of a fitted model, on whatever features come in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from offbeat.data.source import CSR, Block, Source, rows_per_block
from offbeat.problem import Floats


def linear_predictor(source: Source, coef: Floats, intercept: Floats | float) -> NDArray[Any]:
    """Return ``X @ coef + intercept``, reading the source once, in blocks where it is not in memory.

    Parameters
    ----------
    source : Source
    coef : ndarray, shape (n_columns,) or (n_columns, n_outputs)
    intercept : float or ndarray, shape (n_outputs,)

    Returns
    -------
    z : ndarray, shape (n_rows,) or (n_rows, n_outputs)
        In the type of the source.

    Examples
    --------
    >>> from offbeat.data.arrays.in_memory import DenseSource
    >>> linear_predictor(DenseSource(np.array([[1.0, 2.0]])), np.array([3.0, 4.0]), 1.0)
    array([12.])
    """
    weights = np.ascontiguousarray(coef, dtype=source.dtype)
    z = np.empty((source.shape[0], *coef.shape[1:]), dtype=source.dtype)
    size = source.shape[0]
    if not source.resident:
        size = rows_per_block(source)
    scratch = None if source.resident or source.sparse else np.empty(size * source.shape[1], source.dtype)
    for start in range(0, source.shape[0], max(size, 1)):
        stop = min(start + size, source.shape[0])
        _multiply(source.read(start, stop, scratch), weights, z[start:stop])
    z += np.asarray(intercept, dtype=source.dtype)
    return z


def _multiply(block: Block, weights: NDArray[Any], out: NDArray[Any]) -> None:
    if isinstance(block, CSR):
        out[...] = as_matrix(block, len(weights)) @ weights
    else:
        np.matmul(block, weights, out=out)


def as_matrix(block: CSR, n_columns: int) -> Any:
    """Return a block as a SciPy matrix that shares its memory; offsets are made to start at zero."""
    first, last = int(block.indptr[0]), int(block.indptr[-1])
    parts = block.data[first:last], block.indices[first:last], block.indptr - first if first else block.indptr
    return sparse.csr_array(parts, shape=(block.n_rows, n_columns))
