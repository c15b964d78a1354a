"""Dask's collections as parts: files read by the workers, and what is computed part by part."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

import numpy as np
from dask.base import is_dask_collection, tokenize
from dask.core import flatten
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph

from offbeat.data.files.parquet import parquet_table, read_groups, row_groups
from offbeat.data.placed.partitions import row_count
from offbeat.engines.dask.given import features, is_piece
from offbeat.engines.dask.graphs import is_planned


def is_placed(X: Any) -> bool:
    """Whether an object is a Dask collection or a future, or a list of such."""
    return any(map(is_piece, X)) if isinstance(X, list | tuple) else is_piece(X)


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
        See `offbeat.data.files.parquet.parquet_table`.
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
        Returns as many rows as it is given; parts without rows are not given to it.
    X : dask array or data frame, list of delayed objects or futures
    example : ndarray
        What it would give for no rows: the type, and the size of the other dimensions.
    """
    import dask.array as da

    column = features(X)
    name = f"offbeat-{getattr(getattr(function, 'func', function), '__name__', 'rows')}-{uuid4().hex}"
    pieces = [piece.optimize(fuse=False) if is_planned(piece) else piece for piece in column.pieces]
    rest = (0,) * (example.ndim - 1)
    apply = partial(_rows_of, function, example)
    parts = chain.from_iterable(map(_parts, pieces))
    layer: dict[Any, Any] = {(name, i, *rest): (apply, part) for i, part in enumerate(parts)}
    lazy = [piece for piece in pieces if is_dask_collection(piece)]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=lazy)
    return da.Array(graph, name, (column.rows, *((n,) for n in example.shape[1:])), meta=example)


def _parts(piece: Any) -> list[Any]:
    """Return the keys of the chunks of a collection; anything else is one."""
    return list(flatten(piece.__dask_keys__())) if is_dask_collection(piece) else [piece]


def _rows_of(function: Callable[[Any], Any], example: Any, part: Any) -> Any:
    return np.asarray(function(part), dtype=example.dtype) if row_count(part) else example
