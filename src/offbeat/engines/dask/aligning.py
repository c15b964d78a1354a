"""The rows of targets, weights and offsets put beside those of X: by their index where both have one, else in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from offbeat.data.arrays.vectors import raw_vector
from offbeat.data.placed.partitions import DataPartition, naming_partition, row_count
from offbeat.engines.dask.given import Column
from offbeat.errors import DataError


class Holder(Protocol):
    """Has chunks, or refers to them; asks about them and makes others of them, where they are."""

    def each(self, function: Callable[[DataPartition], Any], parts: Sequence[Any]) -> list[Any]:
        """Return a function of each part, in order; the first error that a part raises is raised."""

    def part(self, number: int | str, *chunks: Any) -> Any:
        """Return a handle of a part."""

    def made(self, function: Callable[..., Any], *chunks: Any) -> Any:
        """Return what a function makes of chunks, or a handle of it."""


def aligned(holder: Holder, X: Column, vectors: Sequence[Column]) -> list[Column]:
    """Return targets, weights and offsets with a chunk for each of X, of the same rows.

    Parameters
    ----------
    holder : Holder
    X : Column
    vectors : sequence of Column
        All pieces are chunks of this holder.

    Raises
    ------
    DataError
        A column has other rows than X, or an index that does not tell which is which: says what to do.
    """
    loose = [column for column in vectors if column.pieces and not column.paired and not _alike(column, X)]
    if loose:
        X, *counted = _counted(holder, [X, *loose])
        cut = {column.name: _cut(holder, column, X) for column in counted}
        vectors = [cut.get(column.name, column) for column in vectors]
    return _by_index(holder, X, vectors)


def _alike(column: Column, X: Column) -> bool:
    """Whether chunks are known to be as long as those of X; of one alone, this is seen later."""
    if len(column.rows) != len(X.rows):
        return False
    return len(X.rows) == 1 or (column.rows == X.rows and not any(map(math.isnan, X.rows)))


def _counted(holder: Holder, columns: Sequence[Column]) -> list[Column]:
    """Return columns of which all chunks have a known number of rows: the holder is asked for others."""
    unknown = [(c, i) for c, column in enumerate(columns) for i, n in enumerate(column.rows) if math.isnan(n)]
    rows = [list(column.rows) for column in columns]
    found = holder.each(_rows, [holder.part(i, columns[c].pieces[i]) for c, i in unknown])
    for (c, i), n in zip(unknown, found, strict=True):
        rows[c][i] = n
    return [column._replace(rows=tuple(each)) for column, each in zip(columns, rows, strict=True)]


def _rows(part: DataPartition) -> int:
    with naming_partition(part.number):
        return row_count(part.X)


def _cut(holder: Holder, column: Column, X: Column) -> Column:
    """Return a column cut where X is."""
    if sum(column.rows) != sum(X.rows):
        raise DataError(
            f"Found input variables with inconsistent numbers of samples: X has {int(sum(X.rows)):,} rows, "
            f"{column.name} has {int(sum(column.rows)):,}."
        )
    if column.rows == X.rows:
        return column
    starts = [0, *accumulate(map(int, column.rows))]
    ends = list(accumulate(map(int, X.rows)))
    pieces = []
    for begin, end in zip([0, *ends], ends, strict=False):
        spans = _spans(starts, begin, end)
        chunks = [column.pieces[i] for i, _, _ in spans]
        i, a, b = spans[0]
        whole = len(spans) == 1 and b - a == column.rows[i]
        pieces.append(chunks[0] if whole else holder.made(partial(joined, [span[1:] for span in spans]), *chunks))
    return column._replace(pieces=tuple(pieces), rows=X.rows)


def _spans(starts: Sequence[int], begin: int, end: int) -> list[tuple[int, int, int]]:
    """Return which rows of which chunks some rows are: number of the chunk, first row and end in it.

    Examples
    --------
    >>> _spans([0, 3, 7], 2, 5)
    [(0, 2, 3), (1, 0, 2)]
    >>> _spans([0, 3, 7], 3, 3)
    [(1, 0, 0)]
    """
    first = min(int(np.searchsorted(starts, begin, "right")), len(starts) - 1) - 1
    last = max(int(np.searchsorted(starts, end, "left")) - 1, first)
    return [
        (i, max(begin - starts[i], 0), min(end, starts[i + 1]) - starts[i])
        for i in range(first, last + 1)
        if starts[i] < starts[i + 1] or first == last
    ]


def joined(spans: Sequence[tuple[int, int]], *chunks: Any) -> Any:
    """Return some rows of chunks, one below the other: a series of series, else an array.

    Examples
    --------
    >>> joined([(1, 2), (0, 2)], np.array([1, 2]), [3, 4, 5])
    array([2, 3, 4])
    """
    if all(hasattr(chunk, "iloc") for chunk in chunks):
        import pandas as pd

        cut = [chunk.iloc[a:b] for chunk, (a, b) in zip(chunks, spans, strict=True)]
        return cut[0] if len(cut) == 1 else pd.concat(cut)
    return np.concatenate(
        [raw_vector(chunk, "a chunk", DataError)[a:b] for chunk, (a, b) in zip(chunks, spans, strict=True)]
    )


def _by_index(holder: Holder, X: Column, vectors: Sequence[Column]) -> list[Column]:
    """Return columns with the rows of each chunk in the order of the index of X, where rows go by that."""
    indexed = [column for column in vectors if column.indexed and X.indexed]
    if not indexed:
        return list(vectors)
    parts = [holder.part(i, chunk, *(column.pieces[i] for column in indexed)) for i, chunk in enumerate(X.pieces)]
    others = holder.each(partial(in_another_order, [column.name for column in indexed]), parts)
    ordered = {
        column.name: column._replace(
            pieces=tuple(
                holder.made(in_order_of, X.pieces[i], piece) if other[c] else piece
                for i, (piece, other) in enumerate(zip(column.pieces, others, strict=True))
            )
        )
        for c, column in enumerate(indexed)
    }
    return [ordered.get(column.name, column) for column in vectors]


def in_another_order(names: Sequence[str], part: DataPartition) -> list[bool]:
    """Return for each vector of a part whether it has the rows of X in another order, by their indexes.

    Raises
    ------
    DataError
        The indexes do not tell which row is which.
    """
    with naming_partition(part.number):
        return [_permuted(part.X, values, name) for name, values in zip(names, part[2:], strict=False)]


def _permuted(X: Any, values: Any, name: str) -> bool:
    here: Any = getattr(X, "index", None)
    there: Any = getattr(values, "index", None)
    if not hasattr(here, "equals") or not hasattr(there, "equals") or here.equals(there):
        return False
    missing = int((~here.isin(there)).sum())
    if len(here) == len(there) and not missing and here.is_unique and there.is_unique:
        return True
    if missing:
        why = f"{missing:,} of {len(here):,} rows of X have an index that is not in {name}"
    elif len(here) != len(there):
        why = f"X has {len(here):,} rows, {name} has {len(there):,}"
    else:
        why = "values of the index appear more than once, in another order"
    raise DataError(
        f"rows of a data frame and of {name} go by their index, which does not tell which is which: {why}. Give "
        f"{name} the index of X, with known divisions of both; or, where its rows are in the order of those of X, an "
        f"array: {name}.to_dask_array(), or {name}.to_numpy() of a pandas series"
    )


def in_order_of(X: Any, values: Any) -> Any:
    """Return rows in the order of another index with the same values."""
    return values.iloc[values.index.get_indexer(X.index)]
