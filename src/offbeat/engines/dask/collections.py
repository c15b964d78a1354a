"""Dask's collections as parts: arrays, data frames, lists of delayed objects, Parquet files read by the workers."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from dask.base import is_dask_collection, tokenize
from dask.core import flatten
from dask.delayed import delayed
from distributed import Future

from offbeat.data.parquet import parquet_table, read_groups, row_groups
from offbeat.data.vectors import raw_vector
from offbeat.errors import DataError

VECTOR_NAMES = ("y", "sample_weight", "offset")


class Blocks(NamedTuple):
    """Parts of features, targets, weights and offsets, delayed or futures; None or the name of a column if none."""

    X: list[Any]
    vectors: list[list[Any] | str | None]


def is_placed(X: Any) -> bool:
    """Whether an object is a Dask collection, or a list of delayed objects."""
    if isinstance(X, list | tuple):
        return bool(X) and all(is_dask_collection(part) for part in X)
    return is_dask_collection(X)


def blocks_of(X: Any, vectors: Sequence[Any]) -> Blocks:
    """Return the parts of features and vectors, row for row.

    Parameters
    ----------
    X : dask array or data frame, list of delayed, path or list of paths of Parquet files
    vectors : sequence of (dask array or series, list of delayed, array, column name or None)
        Targets, weights, offsets.

    Raises
    ------
    DataError
        They have different rows, as far as can be told now.
    """
    paths = list(X) if isinstance(X, list | tuple) else [X]
    if paths and all(isinstance(path, str | os.PathLike) for path in paths):
        X = parquet_parts(X)
    if isinstance(X, list | tuple):
        return Blocks(list(X), [_like_parts(v, len(X), name) for v, name in zip(vectors, VECTOR_NAMES, strict=True)])
    if hasattr(X, "npartitions") and hasattr(X, "columns"):
        return _frame(X, vectors)
    return _array(X, vectors)


def _array(X: Any, vectors: Sequence[Any]) -> Blocks:
    if X.ndim != 2:
        raise DataError(f"Expected 2D array, got {X.ndim}D array instead: X must have rows and columns.")
    if X.numblocks[1] > 1:
        warnings.warn(
            f"X has {X.numblocks[1]} chunks of columns, which are put together: use X.rechunk({{1: -1}}) to do so once",
            UserWarning,
            stacklevel=7,
        )
        X = X.rechunk({1: -1})
    rows = X.chunks[0]
    if any(_numbered(v) for v in vectors) and any(map(math.isnan, rows)):
        X = X.copy()
        X.compute_chunk_sizes()
        rows = X.chunks[0]
    each = [_aligned(v, rows, name) for v, name in zip(vectors, VECTOR_NAMES, strict=True)]
    return Blocks(_chunks(X), each)


def _numbered(values: Any) -> bool:
    """Whether rows of a vector can be told by their number only: then those of X must be known."""
    return values is not None and not isinstance(values, str) and not is_placed(values)


def _aligned(values: Any, rows: tuple[float, ...], name: str) -> list[Any] | str | None:
    """Return a vector cut where the rows of X are."""
    if values is None or isinstance(values, str):
        return values
    if isinstance(values, list | tuple) and is_placed(values):
        return _like_parts(values, len(rows), name)
    if not is_dask_collection(values):
        return _cut(values, rows, name)
    if hasattr(values, "to_dask_array"):
        values = values.to_dask_array()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    mine = values.chunks[0]
    unknown = any(map(math.isnan, (*rows, *mine)))
    if unknown and len(mine) != len(rows):
        raise DataError(
            f"X has {len(rows)} chunks of rows, {name} has {len(mine)}, and not all their sizes are known: call "
            "compute_chunk_sizes() on both"
        )
    if not unknown and sum(mine) != sum(rows):
        raise DataError(
            f"Found input variables with inconsistent numbers of samples: X has {sum(rows):,} rows, {name} has "
            f"{sum(mine):,}."
        )
    if not unknown and mine != rows:
        values = values.rechunk((rows,))
    return _chunks(values)


def _chunks(collection: Any) -> list[Any]:
    """Return the parts of an array or a data frame: what a persisted one already has, as it is; delayed, all others."""
    graph = collection.__dask_graph__()
    parts = [graph[key] for key in flatten(collection.__dask_keys__())]
    parts = [graph.get(getattr(part, "target", None), part) for part in parts]  # those of frames have a second name
    if all(isinstance(part, Future) for part in parts):
        return parts
    return list(np.ravel(collection.to_delayed()))


def _cut(values: Any, rows: tuple[float, ...], name: str) -> list[Any]:
    vector = raw_vector(values, name, DataError)
    if len(vector) != sum(rows):
        raise DataError(
            f"Found input variables with inconsistent numbers of samples: X has {int(sum(rows)):,} rows, {name} has "
            f"{len(vector):,}."
        )
    return list(np.split(vector, np.cumsum(np.array(rows[:-1], dtype=np.int64))))


def _frame(X: Any, vectors: Sequence[Any]) -> Blocks:
    each: list[list[Any] | str | None] = []
    for values, name in zip(vectors, VECTOR_NAMES, strict=True):
        if values is None or isinstance(values, str):
            each.append(values)
        elif hasattr(values, "npartitions") and hasattr(values, "divisions"):
            if values.npartitions != X.npartitions and X.known_divisions and values.known_divisions:
                values = values.repartition(divisions=X.divisions)
            each.append(_like_parts(_chunks(values), X.npartitions, name))
        elif is_dask_collection(values):
            each.append(_like_parts(_chunks(values), X.npartitions, name))
        else:
            rows = tuple(X.map_partitions(len).compute())
            each.append(_cut(values, rows, name))
    return Blocks(_chunks(X), each)


def _like_parts(values: Any, count: int, name: str) -> list[Any] | str | None:
    if values is None or isinstance(values, str):
        return values
    if not isinstance(values, list | tuple) or len(values) != count:
        raise DataError(
            f"X has {count} partitions, and {name} is not a list of as many: give one for each, or the name of a column"
        )
    return list(values)


def parquet_parts(path: Any, rows: int = 1 << 17) -> list[Any]:
    """Return delayed tables of the row groups of Parquet files: a worker reads each from the file.

    The files, their order and the types of their columns are those that a fit in this process would take.

    Parameters
    ----------
    path : path of a file, or of a folder of files, that all workers see; or a list of those
    rows : int
        Of a part, at least, where a file has that many.

    Raises
    ------
    DataError
        See `offbeat.data.parquet.parquet_table`.
    """
    table = parquet_table(path)
    parts = []
    for file, groups in row_groups(table, rows):
        key = f"offbeat-read-{tokenize(file, os.path.getmtime(file), groups, table.schema.names)}"
        parts.append(delayed(read_groups)(file, groups, table.schema, dask_key_name=key))
    return parts


def map_rows(function: Callable[[Any], Any], X: Any, example: Any) -> Any:
    """Return a Dask array of what a function gives for each part of X.

    Parameters
    ----------
    function : callable
        Returns as many rows as it is given.
    X : dask array, data frame or list of delayed objects
    example : ndarray
        What it would give for no rows: the type, and the size of the other dimensions.
    """
    import dask.array as da

    blocks = blocks_of(X, (None, None, None)).X
    rows = X.chunks[0] if hasattr(X, "chunks") else [math.nan] * len(blocks)
    apply = delayed(_rows_of)
    parts = [
        da.from_delayed(apply(function, block), (n, *example.shape[1:]), meta=example)
        for n, block in zip(rows, blocks, strict=True)
    ]
    return da.concatenate(parts)


def _rows_of(function: Callable[[Any], Any], part: Any) -> Any:
    return function(part)
