"""From what a user passes to a data set on the workers, or in this process where there is no cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar, cast

from dask.base import is_dask_collection
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.threaded import get
from distributed import Client, Future

from offbeat.data.placed.dataset import PlacedDataset, placed_dataset
from offbeat.data.placed.partitions import DataPartition, LabelEncoding, PartitionInfo, Preprocessing, row_spans
from offbeat.data.shards import Shard
from offbeat.engines.dask.aligning import aligned
from offbeat.engines.dask.bundles import bundled, bundles, merged
from offbeat.engines.dask.cluster import LOADING, DaskCluster, check_loaded
from offbeat.engines.dask.collections import parquet_parts
from offbeat.engines.dask.connection import connection, current, promptly
from offbeat.engines.dask.engine import Dask
from offbeat.engines.dask.given import Column, features, vector
from offbeat.engines.dask.graphs import joint_graph
from offbeat.engines.dask.names import ROWS
from offbeat.engines.dask.plan import plan
from offbeat.engines.dask.versions import check_versions
from offbeat.engines.threads import Threads
from offbeat.errors import DataError, OffbeatError

T = TypeVar("T")
HERE = "here"
VECTOR_NAMES = ("y", "sample_weight", "offset")


def place(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    offset: Any = None,
    engine: Any = "auto",
    labels: LabelEncoding | None = None,
) -> PlacedDataset:
    """Return a Dask collection as a data set: its parts stay where they are, or are loaded by the workers.

    Parameters
    ----------
    X, y, sample_weight, offset
        See `given.features` and `given.vector`; X may be the path of Parquet files.
    engine : Dask or "auto"
        The latter takes the current client; without any, data is loaded into this process, by threads.
    labels : callable, optional
        Turns targets into class numbers.

    Raises
    ------
    OffbeatError
        The data cannot be used.
    """
    given = _given(X, (y, sample_weight, offset))
    facts = partial(
        placed_dataset,
        labels=labels,
        target=y if isinstance(y, str) else None,
        has_target=y is not None,
        has_weight=sample_weight is not None,
    )
    client = _client(engine, given)
    if client is None:
        here = Here(engine)
        return facts(here, _parts(here, _loaded(given)))
    return _on_workers(client, engine if isinstance(engine, Dask) else Dask(client), given, facts)


def _on_workers(
    client: Client, engine: Dask, given: Sequence[Column], facts: Callable[[Any, list[Any]], PlacedDataset]
) -> PlacedDataset:
    """Have the workers load columns, and look at their parts; what fails leaves nothing there."""
    cluster = DaskCluster(engine)
    columns = _submitted(client, given, sum(engine.threads().values()))
    held = [cluster.part(0, piece) for column in columns for piece in column.pieces]
    parts: list[Any] = []
    try:
        check_versions(client, engine.threads())
        with promptly(client):
            check_loaded(client, columns, engine.timeout)
            parts += _parts(cluster, columns)
            data = facts(cluster, parts)
    except BaseException:
        cluster.release([*held, *parts])
        raise
    cluster.release(held, but=parts)
    return data


def _given(X: Any, vectors: Sequence[Any]) -> list[Column]:
    """Return features, targets, weights and offsets as columns."""
    paths = list(X) if isinstance(X, list | tuple) else [X]
    files = bool(paths) and all(isinstance(path, str | os.PathLike) for path in paths)
    first = features(parquet_parts(X) if files else X)
    return [first, *(vector(values, name, first) for values, name in zip(vectors, VECTOR_NAMES, strict=True))]


def _client(engine: Any, given: Sequence[Column]) -> Client | None:
    """Return the client of the engine, else the current one, else that of data which is on a cluster."""
    client = engine.connect() if isinstance(engine, Dask) else current()
    if client is not None:
        return client
    pieces = [piece for column in given for piece in column.pieces]
    there = next((future.client for piece in pieces for future in futures_of_chunks(piece)), None)
    return None if there is None else connection(there)


def futures_of_chunks(piece: Any) -> list[Future[Any]]:
    """Return the futures of the chunks of a collection that is persisted; of any other, none."""
    if isinstance(piece, Future):
        return [piece]
    if not is_dask_collection(piece):
        return []
    graph = piece.__dask_graph__()
    parts = []
    for key in flatten(piece.__dask_keys__()):
        part = graph[key]
        part = graph.get(getattr(part, "target", None), part)  # those of frames have a second name
        if not isinstance(part, Future):
            return []
        parts.append(part)
    return parts


def _submitted(client: Client, given: Sequence[Column], threads: int) -> list[Column]:
    """Have the workers load what is not loaded, all in one graph; return columns of futures and values."""
    same = {client}

    def own(future: Future[Any]) -> Future[Any]:
        if future.client not in same:
            _check_cluster(client, future.client)
            same.add(future.client)
        return Future(future.key, client)  # a reference of our own, to be let go of without harm

    there = {id(piece): futures_of_chunks(piece) for column in given for piece in column.pieces}
    lazy = [p for column in given for p in column.pieces if is_dask_collection(p) and not there[id(p)]]
    graph, keys = joint_graph(lazy) if lazy else ({}, [])
    bounds = [] if any(there.values()) else bundles(given, threads)
    if bounds:
        graph, keys = bundled(graph, keys, bounds)
        given = [
            merged(column, bounds) if is_dask_collection(next(iter(column.pieces), None)) else column
            for column in given
        ]
    if not isinstance(graph, HighLevelGraph):  # a mapping is hashed, with all data that is in it
        graph = HighLevelGraph({ROWS: graph}, {ROWS: set()})
    with LOADING:
        futures = iter(client.get(graph, keys, sync=False) if lazy else [])

    def chunks(piece: Any) -> list[Any]:
        if there[id(piece)]:
            return [own(future) for future in there[id(piece)]]
        return next(futures) if is_dask_collection(piece) else [piece]

    return [column._replace(pieces=tuple(chain.from_iterable(map(chunks, column.pieces)))) for column in given]


def _check_cluster(client: Client, other: Client) -> None:
    """Raise `DataError` unless two clients are of the same cluster."""
    here, there = (each.scheduler_info(n_workers=0) for each in (client, other))
    if here["id"] != there["id"]:
        raise DataError(
            f"the data lies on the Dask cluster at {there['address']}, and the engine's client is of the one at "
            f"{here['address']}: give engines.Dask a client of the former"
        )


def _loaded(given: Sequence[Column]) -> list[Column]:
    """Load what is not loaded by threads of this process, all in one graph; return columns of values."""
    lazy = [piece for column in given for piece in column.pieces if is_dask_collection(piece)]
    try:
        graph, keys = joint_graph(lazy) if lazy else ({}, [])
        values = iter(get(graph, cast("Any", keys)))
    except OffbeatError:
        raise
    except Exception as error:
        raise DataError(f"a part of the data could not be loaded: {error!r}") from error
    return [
        column._replace(
            pieces=tuple(chain.from_iterable(next(values) if is_dask_collection(p) else [p] for p in column.pieces))
        )
        for column in given
    ]


def _parts(holder: Any, columns: Sequence[Column]) -> list[Any]:
    """Return columns that are loaded as parts: each has the same rows of all."""
    X = columns[0]
    vectors = aligned(holder, X, columns[1:])
    each = [column.pieces or (column.same,) * len(X.pieces) for column in vectors]
    numbers = X.numbers or range(len(X.pieces))
    return [holder.part(number, *values) for number, *values in zip(numbers, X.pieces, *each, strict=True)]


class Here:
    """Parts in this process: what takes the place of a cluster where there is none.

    Parameters
    ----------
    engine : Engine or "auto"
    """

    def __init__(self, engine: Any) -> None:
        self._engine = Threads() if engine == "auto" else engine

    def engine(self) -> Any:
        """Return the engine asked for; threads by default."""
        return self._engine

    def each(self, function: Callable[[DataPartition], T], parts: Sequence[DataPartition]) -> list[T]:
        """Return a function of each part, in order."""
        return [function(part) for part in parts]

    def part(self, number: int | str, *values: Any) -> DataPartition:
        """Return a part."""
        return DataPartition(number, *values)

    def made(self, function: Callable[..., T], *values: Any) -> T:
        """Return a function of values."""
        return function(*values)

    def release(self, parts: Sequence[DataPartition]) -> None:
        """Do nothing: parts go with the last that refers to them."""

    def shards(
        self, recipe: Preprocessing, parts: Sequence[DataPartition], facts: Sequence[PartitionInfo], count: int
    ) -> list[Shard]:
        """Return the parts as at most so many shards."""
        groups = plan([f.n_rows for f in facts], [()] * len(parts), {HERE: count}, count)
        return [
            replace(recipe.shard([parts[i] for i in group.parts]), spans=row_spans(facts, group.parts))
            for group in groups
        ]
