"""Finds NaN and infinite values in the features, after a fit has noticed that there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import CSR, Block, Source, finite_sum, rows_per_block

MAX_NAMED_COLUMNS = 5


def diagnose_non_finite(source: Source, names: Sequence[str] | None = None) -> str | None:
    """Say which columns hold NaN or infinite values, and how many.

    Features are not checked before a fit. Its first pass finds without cost that some value is not finite. This
    function takes another pass to find which.

    Parameters
    ----------
    source : Source
        The features.
    names : sequence of str, optional
        Names of the columns; without them they are numbered from 0.

    Returns
    -------
    message : str or None
        Text for a `DataError`, naming up to five columns; None when every value is finite.

    Examples
    --------
    >>> from offbeat.data.arrays.in_memory import array_source
    >>> diagnose_non_finite(array_source(np.array([[1.0, np.nan], [2.0, np.nan]])), ["x", "z"])
    "Input X contains NaN: column 'z' (2 NaN); the first is in row 0. Fill or drop them."
    """
    n_rows, n_columns = source.shape
    n_nan, n_infinite = np.zeros(n_columns, np.int64), np.zeros(n_columns, np.int64)
    first: int | None = None
    step = rows_per_block(source)
    out = np.empty(0 if source.sparse or source.resident else min(step, n_rows) * n_columns, source.dtype)
    for start in range(0, n_rows, step):
        block = source.read(start, min(start + step, n_rows), out)
        row = _count(block, n_nan, n_infinite)
        first = start + row if first is None and row is not None else first
    if first is None:
        return None
    return _message(n_nan, n_infinite, first, names, source.dtype)


def _count(block: Block, n_nan: NDArray[Any], n_infinite: NDArray[Any]) -> int | None:
    """Add the counts of a block; return its first row that has such a value."""
    if isinstance(block, CSR):
        return _count_sparse(block, n_nan, n_infinite)
    if finite_sum(block):
        return None
    nan, infinite = np.isnan(block), np.isinf(block)
    n_nan += nan.sum(axis=0)
    n_infinite += infinite.sum(axis=0)
    rows = (nan | infinite).any(axis=1)
    return int(rows.argmax()) if rows.any() else None


def _count_sparse(block: CSR, n_nan: NDArray[Any], n_infinite: NDArray[Any]) -> int | None:
    stored = slice(int(block.indptr[0]), int(block.indptr[-1]))
    values, columns = block.data[stored], block.indices[stored]
    if finite_sum(values):
        return None
    bad = np.flatnonzero(~np.isfinite(values))
    nan = np.isnan(values[bad])
    n_nan += np.bincount(columns[bad[nan]], minlength=len(n_nan))
    n_infinite += np.bincount(columns[bad[~nan]], minlength=len(n_nan))
    if not bad.size:
        return None
    return int(np.searchsorted(block.indptr, stored.start + bad[0], side="right")) - 1


def _message(n_nan: NDArray[Any], n_infinite: NDArray[Any], first: int, names: Sequence[str] | None, dtype: Any) -> str:
    bad = np.flatnonzero(n_nan + n_infinite)
    parts = []
    for column in bad[:MAX_NAMED_COLUMNS]:
        counts = [f"{n_nan[column]:,} NaN"] if n_nan[column] else []
        counts += [f"{n_infinite[column]:,} infinite"] if n_infinite[column] else []
        name = str(column) if names is None else repr(names[column])
        parts.append(f"column {name} ({', '.join(counts)})")
    more = f" and {len(bad) - MAX_NAMED_COLUMNS} more columns" if len(bad) > MAX_NAMED_COLUMNS else ""
    what = "NaN" if n_nan.any() else f"infinity or a value too large for dtype('{dtype}')"
    where = f"{', '.join(parts)}{more}; the first is in row {first}"
    return f"Input X contains {what}: {where}. Fill or drop them."
