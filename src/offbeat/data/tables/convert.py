"""From Arrow columns to NumPy arrays, and from those to rows of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import Floats, finite_sum
from offbeat.data.tables.columns import Column, column_kind, level_kind, level_type
from offbeat.data.tables.numeric_text import first_word
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

TILE_ROWS = 2048
"""Rows that are filled in at a time: they should stay in the cache until all their columns are written."""
MAX_SHOWN_LEVELS = 5
MAX_SHOWN_COLUMNS = 20
PLAIN_TYPES = {"integer": ("integer",), "boolean": ("boolean",), "float": ("float", "integer")}
"""Types of numbers that levels of a category may be written in, by the kind of the category."""


class Layout(NamedTuple):
    """Which features a column of the table becomes.

    Parameters
    ----------
    first : int
        Its first feature.
    width : int
        How many features it has.
    categorical : bool
        Whether its values are positions of levels.
    dropped : int
        How many leading levels have no feature: 0 or 1.
    """

    first: int
    width: int
    categorical: bool
    dropped: int


class MissingValuesError(DataError):
    """A value is missing (null or NaN); carries the count of each column that was looked at."""

    def __init__(self, counts: dict[str, int]) -> None:
        shown = ", ".join(f"{name!r} ({count:,} rows)" for name, count in list(counts.items())[:MAX_SHOWN_COLUMNS])
        more = f" and {len(counts) - MAX_SHOWN_COLUMNS} more columns" if len(counts) > MAX_SHOWN_COLUMNS else ""
        super().__init__(
            f"Input X contains NaN or null: values are missing in {shown}{more}. "
            "Fill them in, or drop those rows or columns."
        )
        self.counts = counts

    def __reduce__(self) -> tuple[type[MissingValuesError], tuple[dict[str, int]]]:
        return MissingValuesError, (self.counts,)


def missing_count(array: Any) -> int:
    """Return how many values of an Arrow column are null or NaN.

    Examples
    --------
    >>> import pyarrow as pa
    >>> missing_count(pa.array([1.0, None, float("nan")]))
    2
    """
    import pyarrow.compute as pc
    import pyarrow.types as at

    count = int(array.null_count)
    if at.is_floating(array.type) and not at.is_float16(array.type):
        # A sum costs a fraction of looking at each value, and is finite for nearly every column.
        total = pc.sum(array).as_py()
        if total is not None and not np.isfinite(total):
            count += pc.sum(pc.is_nan(array)).as_py() or 0
    if at.is_dictionary(array.type):
        # Besides null codes there may, rarely, be codes of a null in the dictionary.
        chunks = getattr(array, "chunks", [array])
        hidden = any(chunk.dictionary.null_count for chunk in chunks)
        count = sum(chunk.dictionary_decode().null_count for chunk in chunks) if hidden else count
    return count


def check_missing(table: pa.Table | pa.RecordBatch, names: Sequence[str]) -> None:
    """Raise `MissingValuesError` naming every column of a table with missing values.

    Examples
    --------
    >>> import pyarrow as pa
    >>> check_missing(pa.table({"x": [1.0, 2.0]}), ["x"])
    """
    present = set(table.schema.names)
    counts = {name: missing_count(table.column(name)) for name in names if name in present}
    found = {name: count for name, count in counts.items() if count}
    if found:
        raise MissingValuesError(found)


def to_numpy(array: pa.Array, column: Column, levels: pa.Array | None, unknown: str) -> NDArray[Any]:
    """Return an Arrow column as one array: its numbers, or the positions of its levels.

    Parameters
    ----------
    array : pyarrow.Array
        The column.
    column : Column
        What it was when the encoder was fitted.
    levels : pyarrow.Array or None
        The levels of a category.
    unknown : {"error", "ignore"}
        Whether a level that is not among `levels` raises or becomes -1.

    Returns
    -------
    values : ndarray, shape (n_rows,)
        Numbers of some type, or int64 positions.

    Raises
    ------
    MissingValuesError
        A value is null or NaN.
    DataError
        The type changed, or a level is unknown.

    Examples
    --------
    >>> import pyarrow as pa
    >>> to_numpy(pa.array([1, 2]), Column("x"), None, "error")
    array([1, 2])
    """
    _check_kind(array, column)
    if column.categorical:
        return _positions(array, column, levels, unknown)
    return _numbers(array, column)


def plain_values(array: pa.Array) -> NDArray[Any]:
    """Return numbers or booleans without nulls as an array, a view where possible.

    Arrow's own ``to_numpy`` imports pandas first, which takes longer than reading most files.

    Examples
    --------
    >>> import pyarrow as pa
    >>> plain_values(pa.array([True, False]))
    array([1, 0], dtype=uint8)
    """
    import pyarrow as pa
    import pyarrow.types as at

    values: NDArray[Any] = np.from_dlpack(array.cast(pa.uint8()) if at.is_boolean(array.type) else array)
    return values


def fill_dense(arrays: list[NDArray[Any]], layout: list[Layout], out: Floats) -> None:
    """Write columns into the rows of a dense matrix.

    Parameters
    ----------
    arrays : list of ndarray, shape (n_rows,)
        One a column of the table, see `to_numpy`.
    layout : list of Layout
        Where each belongs.
    out : ndarray, shape (n_rows, n_features)
        Written completely.

    Examples
    --------
    >>> out = np.empty((2, 3))
    >>> layout = [Layout(0, 1, False, 0), Layout(1, 2, True, 0)]
    >>> fill_dense([np.array([7.0, 8.0]), np.array([1, 0])], layout, out)
    >>> out
    array([[7., 0., 1.],
           [8., 1., 0.]])
    """
    for start in range(0, len(out), TILE_ROWS):
        tile = out[start : start + TILE_ROWS]
        rows = np.arange(len(tile))
        for values, part in zip(arrays, layout, strict=True):
            piece = values[start : start + TILE_ROWS]
            if not part.categorical:
                tile[:, part.first] = piece
                continue
            tile[:, part.first : part.first + part.width] = 0.0
            level = piece - part.dropped
            known = level >= 0
            tile[rows[known], part.first + level[known]] = 1.0


def fill_sparse(arrays: list[NDArray[Any]], layout: list[Layout], indices: NDArray[Any], data: Floats) -> None:
    """Write columns into the entries of a sparse matrix that has equally many in each row.

    A row whose level has no feature (unknown, or the one that was dropped) stores a zero in its place, so
    that all rows have the same length and can be written without looking at each other.

    Parameters
    ----------
    arrays : list of ndarray, shape (n_rows,)
        One a column of the table, see `to_numpy`.
    layout : list of Layout
        Where each belongs.
    indices, data : ndarray, shape (n_rows, n_entries)
        Columns and values, written completely.

    Examples
    --------
    >>> indices, data = np.empty((2, 1), np.int32), np.empty((2, 1))
    >>> fill_sparse([np.array([1, -1])], [Layout(0, 2, True, 0)], indices, data)
    >>> indices.ravel(), data.ravel()
    (array([1, 0], dtype=int32), array([1., 0.]))
    """
    stored = [(values, part) for values, part in zip(arrays, layout, strict=True) if part.width]
    for start in range(0, len(data), TILE_ROWS):
        rows = slice(start, start + TILE_ROWS)
        for entry, (values, part) in enumerate(stored):
            if not part.categorical:
                indices[rows, entry] = part.first
                data[rows, entry] = values[rows]
                continue
            level = values[rows] - part.dropped
            indices[rows, entry] = part.first + np.maximum(level, 0)
            data[rows, entry] = level >= 0


def _check_kind(array: pa.Array, column: Column) -> None:
    import pyarrow.types as at

    dtype = array.type
    if at.is_null(dtype) or (column.kind == "number" and at.is_floating(dtype)):
        return  # a column of nulls is reported as missing values; a column of floats is what it was
    kind = column_kind(column.name, dtype)
    same_levels = kind == "number" and level_kind(dtype) in PLAIN_TYPES.get(column.kind, ())
    if kind != column.kind and not same_levels:
        strange = first_word(array) if column.kind == "number" and kind == "text" else None
        shown = "" if strange is None else f", such as {strange!r}"
        raise DataError(
            f"Column {column.name!r} held {_kind_in_words(column.kind)} when the model was fitted, and now holds "
            f"{_kind_in_words(kind)} (type {dtype}{shown}). Convert it to what it was."
        )


def _kind_in_words(kind: str) -> str:
    special = {"number": "numbers", "text": "text", "integer": "categories of whole numbers"}
    return special.get(kind, f"categories of type {kind}")


def _numbers(array: pa.Array, column: Column) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.types as at

    if array.null_count:
        raise MissingValuesError({column.name: array.null_count})
    if at.is_decimal(array.type) or at.is_null(array.type):
        array = array.cast(pa.float64())
    values = plain_values(array)
    if values.dtype.kind == "f" and not finite_sum(values):
        n_missing = int(np.count_nonzero(np.isnan(values)))
        if n_missing:
            raise MissingValuesError({column.name: n_missing})
    return values


def _positions(array: pa.Array, column: Column, levels: pa.Array | None, unknown: str) -> NDArray[Any]:
    import pyarrow.compute as pc
    import pyarrow.types as at

    coded = array if at.is_dictionary(array.type) else array.dictionary_encode()
    values = coded.dictionary.cast(level_type(column.kind))
    missing = missing_count(coded) or _nan_count(coded, values)
    if missing:
        raise MissingValuesError({column.name: missing})
    found = pc.index_in(values, value_set=levels).fill_null(-1)
    positions: NDArray[Any] = plain_values(found).astype(np.int64)[plain_values(coded.indices)]
    if unknown == "error" and (positions < 0).any():
        _raise_unknown(coded, values, positions, column)
    return positions


def _nan_count(coded: Any, values: Any) -> int:
    """Return the number of rows in which a category is NaN."""
    import pyarrow.types as at

    if not at.is_floating(values.type):
        return 0
    return int(np.isnan(plain_values(values.fill_null(0.0)))[plain_values(coded.indices)].sum())


def _raise_unknown(coded: Any, values: Any, positions: NDArray[Any], column: Column) -> None:
    codes = plain_values(coded.indices)[positions < 0]
    strange = values.take(np.unique(codes)).to_pylist()
    strange = [int(value) for value in strange] if column.kind == "integer" else strange
    more = ", ..." if len(strange) > MAX_SHOWN_LEVELS else ""
    shown = ", ".join(repr(value) for value in strange[:MAX_SHOWN_LEVELS]) + more
    what = "a level that was" if len(strange) == 1 else f"{len(strange)} levels that were"
    raise DataError(
        f"Column {column.name!r} has {what} not there when the model was fitted: {shown} "
        f"({len(codes):,} rows). Remove those rows, "
        'or pass unknown="ignore" to treat them as none of the known levels.'
    )
