"""What a user gives for features, targets, weights and offsets, recognised: chunks, and how many rows each has."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import Future

from offbeat.data.arrays.vectors import raw_vector
from offbeat.data.placed.partitions import row_count
from offbeat.errors import DataError

UNKNOWN = (math.nan,)
WANTED = {"X": "a Dask array, a Dask data frame, or a list of delayed arrays or data frames"}
VECTOR = "a Dask array or series, an array of this process, a list of delayed arrays, or the name of a column"


class Column(NamedTuple):
    """Features, targets, weights or offsets, in chunks one below the other.

    Parameters
    ----------
    name : str
        What to call it in errors.
    pieces : tuple
        Dask collections of one chunk or more; futures, and values of this process, of one each.
    rows : tuple of float
        Of each chunk; NaN where that is not known.
    divisions : tuple
        Bounds of the index of each partition, of a data frame that knows them; else empty.
    indexed : bool
        Whether rows go by an index, and not by their position.
    paired : bool
        Whether each chunk has the rows of that of X, as the bounds of their indexes say.
    same : str, float or None
        In place of pieces: the name of a column, or one value for all rows.
    numbers : tuple of str
        What to call each chunk in errors; by default their places.
    """

    name: str
    pieces: tuple[Any, ...] = ()
    rows: tuple[float, ...] = ()
    divisions: tuple[Any, ...] = ()
    indexed: bool = False
    paired: bool = False
    same: Any = None
    numbers: tuple[str, ...] = ()


def is_piece(value: Any) -> bool:
    """Whether an object is a Dask collection, or a future."""
    return isinstance(value, Future) or is_dask_collection(value)


def features(X: Any) -> Column:
    """Recognise the features.

    Parameters
    ----------
    X : dask array or data frame, delayed object or future, list of any of these

    Raises
    ------
    DataError
        It is of another kind, or has no columns: says what to give.
    """
    if isinstance(X, list | tuple):
        return _stacked("X", [features(part) if is_piece(part) else _local("X", part) for part in X])
    if isinstance(X, Future | Delayed):
        return Column("X", (X,), UNKNOWN)
    if _is_frame(X):
        bounds = tuple(X.divisions) if X.known_divisions else ()
        return Column("X", (X,), UNKNOWN * X.npartitions, bounds, indexed=True)
    if not _is_array(X):
        raise _of_another_kind(X, "X")
    if X.ndim != 2:
        raise DataError(f"Expected 2D array, got {X.ndim}D array instead: X must have rows and columns.")
    if X.numblocks[1] > 1:
        warnings.warn(
            f"X has {X.numblocks[1]} chunks of columns, which are put together: use X.rechunk({{1: -1}}) to do so once",
            UserWarning,
            stacklevel=7,
        )
        X = X.rechunk({1: -1})
    return Column("X", (X,), tuple(X.chunks[0]))


def vector(values: Any, name: str, X: Column) -> Column:
    """Recognise targets, weights or offsets; where both have an index with known bounds, cut them as X is.

    Parameters
    ----------
    values : dask array or series, delayed object, future, array, list of any of these, column name, number or None
    name : str
    X : Column
        The features.

    Raises
    ------
    DataError
        They are of another kind: says what to give.
    """
    if values is None or np.isscalar(values) or (not is_piece(values) and getattr(values, "shape", None) == ()):
        return Column(name, same=values)
    if isinstance(values, list | tuple) and _in_chunks(values, len(X.rows)):
        return _stacked(name, [vector(part, name, Column("X")) for part in values])
    if isinstance(values, Future | Delayed):
        return Column(name, (values,), UNKNOWN)
    if _is_frame(values):
        return _series(values, name, X)
    if is_dask_collection(values):
        values = _one_column(values, name)
        if values.chunks[0] != X.rows and sum(values.chunks[0]) == sum(X.rows):  # which is false of unknown ones
            values = values.rechunk((X.rows,))
        return Column(name, (values,), tuple(values.chunks[0]))
    if hasattr(values, "iloc") and X.indexed:
        return _local_series(values, name, X)
    return _local(name, raw_vector(values, name, DataError))


def _is_frame(values: Any) -> bool:
    return is_dask_collection(values) and hasattr(values, "npartitions") and hasattr(values, "divisions")


def _is_array(values: Any) -> bool:
    return is_dask_collection(values) and hasattr(values, "ndim") and hasattr(values, "chunks")


def _in_chunks(values: Sequence[Any], count: int) -> bool:
    """Whether a list holds chunks, not values: as many lists as X has chunks, or anything with a shape."""
    if any(is_piece(part) or getattr(part, "shape", ()) for part in values):
        return True
    return len(values) == count and all(isinstance(part, list | tuple) for part in values)


def _local(name: str, values: Any) -> Column:
    return Column(name, (values,), (float(row_count(values)),))


def _stacked(name: str, columns: Sequence[Column]) -> Column:
    """Return columns one below the other: rows go by their position."""
    pieces = tuple(piece for column in columns for piece in column.pieces)
    return Column(name, pieces, tuple(n for column in columns for n in column.rows))


def _series(values: Any, name: str, X: Column) -> Column:
    """Return a Dask series, or a frame of one column; cut by its index where that of X is known too."""
    if not X.indexed:
        return Column(name, (values,), UNKNOWN * values.npartitions)
    paired = bool(X.divisions) and bool(values.known_divisions)
    if paired and tuple(values.divisions) != X.divisions:
        mine = values.divisions
        try:
            bounds = [min(X.divisions[0], mine[0]), *X.divisions[1:-1], max(X.divisions[-1], mine[-1])]
            values = values.repartition(divisions=bounds, force=True)
        except (TypeError, ValueError):  # of other types, or not to be told apart by their bounds
            paired = False
    return Column(name, (values,), UNKNOWN * values.npartitions, indexed=True, paired=paired)


def _local_series(values: Any, name: str, X: Column) -> Column:
    """Return a pandas series of this process; cut by its index where that of X is known."""
    import pandas as pd

    whole = Column(name, (values,), (float(len(values)),), indexed=True)
    if not X.divisions:
        return whole
    try:
        where = np.atleast_1d(pd.Index(X.divisions[1:-1], dtype=values.index.dtype).searchsorted(values.index, "right"))
    except (TypeError, ValueError):  # of other types
        return whole
    order = np.argsort(where, kind="stable")
    cuts = np.searchsorted(where[order], np.arange(1, len(X.rows)))
    pieces = tuple(values.iloc[rows] for rows in np.split(order, cuts))
    return Column(name, pieces, tuple(float(len(piece)) for piece in pieces), indexed=True, paired=True)


def _one_column(values: Any, name: str) -> Any:
    """Return a Dask array of one dimension."""
    if not _is_array(values):
        raise _of_another_kind(values, name)
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim != 1:
        raise DataError(f"{name} should be a 1d array, got an array of shape {values.shape} instead: one value a row.")
    return values


def _of_another_kind(values: Any, name: str) -> DataError:
    kind = f"{type(values).__module__.partition('.')[0]} {type(values).__name__}"
    made = f"{name}.to_dataframe(), or " if hasattr(values, "to_dataframe") else ""
    return DataError(f"{name} is a {kind}, which has no rows to fit: give {made}{WANTED.get(name, VECTOR)}")
