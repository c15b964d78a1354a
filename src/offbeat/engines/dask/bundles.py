"""Many small chunks are loaded as few: each costs Dask a task, which takes longer than to fill them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any
from uuid import uuid4

import numpy as np
from dask.array import Array
from dask.base import is_dask_collection
from dask.utils import ensure_dict

from offbeat.engines.dask.given import Column
from offbeat.engines.dask.names import ROWS, task_key

SMALL = 1 << 20  # bytes of a chunk of X that is worth a task of its own
LARGE = 1 << 23  # bytes of several chunks that are loaded together, at most
EACH = 16  # bundles a thread, at least

Bounds = list[tuple[int, int]]


def bundles(columns: Sequence[Column], threads: int) -> Bounds:
    """Return which chunks of all columns to load together: first and end of each bundle; none where that saves nothing.

    Parameters
    ----------
    columns : sequence of Column
        Features first. Only Dask arrays of the same known chunks go together.
    threads : int
        Of all workers.

    Examples
    --------
    >>> import dask.array as da
    >>> from offbeat.engines.dask.given import features
    >>> len(bundles([features(da.ones((1000, 2), chunks=(1, 2)))], 2))
    32
    """
    X = columns[0]
    lazy = [column for column in columns if any(map(is_dask_collection, column.pieces))]
    if not (lazy and lazy[0] is X and all(isinstance(column.pieces[0], Array) for column in lazy)):
        return []
    if any(len(column.pieces) > 1 or column.rows != X.rows for column in lazy):
        return []
    rows = np.array(X.rows)
    sizes = rows * X.pieces[0].dtype.itemsize * X.pieces[0].shape[1]
    least = EACH * threads
    if len(rows) < 2 * least or not sizes.max() < SMALL:  # which is false of NaN
        return []
    count = max(least, int(np.ceil(sizes.sum() / LARGE)))
    cuts = np.linspace(0, len(rows), min(count, len(rows)) + 1).astype(int)
    return [(int(a), int(b)) for a, b in pairwise(cuts)]


def bundled(
    graph: Mapping[Any, Any], keys: Sequence[Sequence[Any]], bounds: Bounds
) -> tuple[dict[Any, Any], list[list[Any]]]:
    """Return a graph in which the chunks of each bundle are made by one task, and the keys of the new chunks.

    Parameters
    ----------
    graph : mapping
    keys : sequence of sequences of keys
        Of the chunks of each column.
    bounds : list of tuple of int
        See `bundles`.
    """
    from dask._task_spec import Task, convert_legacy_graph, convert_legacy_task

    nodes = convert_legacy_graph(ensure_dict(graph))
    wanted = [[list(column[a:b]) for column in keys] for a, b in bounds]
    own = _owners(nodes, [[key for column in bundle for key in column] for bundle in wanted])
    made: dict[Any, Any] = {key: node for key, node in nodes.items() if own.get(key) is None}
    inner: list[list[Any]] = [[] for _ in bounds]
    for key, number in own.items():
        if number is not None:
            inner[number].append(nodes[key])
    names = [[(f"offbeat-{ROWS}-{uuid4().hex}", i) for i in range(len(bounds))] for _ in keys]
    for number, bundle in enumerate(wanted):
        whole = task_key("load")
        last: Any = convert_legacy_task(f"{whole}-last", (stacked_columns, bundle), nodes)
        made[whole] = Task.fuse(*inner[number], last, key=whole)
        for c, name in enumerate(names):
            made[name[number]] = convert_legacy_task(name[number], (operator.getitem, whole, c), [whole])
    return made, names


def _owners(nodes: Mapping[Any, Any], wanted: Sequence[Sequence[Any]]) -> dict[Any, int | None]:
    """Return the bundle that alone has need of a task; None where several have, or where it is data."""
    own: dict[Any, int | None] = {}
    for number, bundle in enumerate(wanted):
        stack, seen = list(bundle), set(bundle)
        while stack:
            key = stack.pop()
            own[key] = number if own.get(key, number) == number and hasattr(nodes[key], "dependencies") else None
            fresh = [each for each in getattr(nodes[key], "dependencies", ()) if each not in seen and each in nodes]
            seen.update(fresh)
            stack += fresh
    return own


def stacked_columns(columns: Iterable[Sequence[Any]]) -> list[Any]:
    """Return the chunks of each column as one."""
    return [_stacked(list(chunks)) for chunks in columns]


def _stacked(chunks: list[Any]) -> Any:
    from scipy import sparse

    if any(map(sparse.issparse, chunks)):
        return sparse.vstack(chunks, format="csr")
    if any(isinstance(chunk, np.ma.MaskedArray) for chunk in chunks):
        return np.ma.concatenate(chunks)
    return np.concatenate(chunks)


def merged(column: Column, bounds: Bounds) -> Column:
    """Return a column whose chunks are bundles, each named by those that it has."""
    ends = [0, *accumulate(column.rows)]
    return column._replace(
        rows=tuple(ends[b] - ends[a] for a, b in bounds),
        numbers=tuple(str(a) if b - a == 1 else f"{a} to {b - 1}" for a, b in bounds),
    )
