"""From what a user passes to a data set on the workers, or in this process where there is no cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar

from dask.base import compute, is_dask_collection
from distributed import Client, Future

from offbeat.data.parts import Facts, Labels, Part, Recipe, shard_of
from offbeat.data.placed import PlacedDataset, placed_dataset
from offbeat.data.shard import Shard
from offbeat.engines.dask.cluster import DaskCluster, RemotePart, loaded
from offbeat.engines.dask.collections import Blocks, blocks_of
from offbeat.engines.dask.connection import connection, current, promptly
from offbeat.engines.dask.engine import Dask
from offbeat.engines.dask.plan import plan
from offbeat.engines.dask.versions import check_versions
from offbeat.engines.threads import Threads
from offbeat.errors import DataError, OffbeatError

T = TypeVar("T")
HERE = "here"


def place(
    X: Any, y: Any, *, sample_weight: Any = None, offset: Any = None, engine: Any = "auto", labels: Labels | None = None
) -> PlacedDataset:
    """Return a Dask collection as a data set: its parts stay where they are, or are loaded by the workers.

    Parameters
    ----------
    X, y, sample_weight, offset
        See `collections.blocks_of`.
    engine : Dask or "auto"
        The latter takes the current client; without any, data is loaded into this process, by threads.
    labels : callable, optional
        Turns targets into class numbers.

    Raises
    ------
    OffbeatError
        The data cannot be used.
    """
    client = engine.connect() if isinstance(engine, Dask) else current()
    with nullcontext() if client is None else client.as_current():
        blocks = blocks_of(X, (y, sample_weight, offset))
    if client is None:
        columns = [column for column in (blocks.X, *blocks.vectors) if isinstance(column, list)]
        there = next((value.client for column in columns for value in column if isinstance(value, Future)), None)
        client = None if there is None else connection(there)
    target = next((values for values in blocks.vectors[:1] if isinstance(values, str)), None)
    facts = partial(
        placed_dataset, labels=labels, target=target, has_target=y is not None, has_weight=sample_weight is not None
    )
    if client is None:
        return facts(Here(engine), _loaded(blocks))
    chosen = engine if isinstance(engine, Dask) else Dask(client)
    cluster, parts = DaskCluster(chosen), _remote(client, blocks)
    try:
        check_versions(client, chosen.threads())
        with promptly(client):
            loaded(client, parts)
            return facts(cluster, parts)
    except BaseException:
        cluster.release(parts)
        raise


def _remote(client: Client, blocks: Blocks) -> list[RemotePart]:
    """Have the workers load what is not loaded; return handles."""
    columns = [blocks.X, *blocks.vectors]
    lazy = [v for column in columns if isinstance(column, list) for v in column if is_dask_collection(v)]
    futures = iter(client.compute(lazy))

    same = {client}

    def handle(values: Any, i: int) -> Any:
        value = values[i] if isinstance(values, list) else values
        if isinstance(value, Future):
            if value.client not in same:
                _check_cluster(client, value.client)
                same.add(value.client)
            return Future(value.key, client)  # a reference of our own, to be let go of without harm
        return next(futures) if is_dask_collection(value) else value

    each = [[handle(column, i) for i in range(len(blocks.X))] for column in columns]
    return [RemotePart(i, *values) for i, values in enumerate(zip(*each, strict=True))]


def _check_cluster(client: Client, other: Client) -> None:
    """Raise `DataError` unless two clients are of the same cluster."""
    here, there = (each.scheduler_info(n_workers=0) for each in (client, other))
    if here["id"] != there["id"]:
        raise DataError(
            f"the data lies on the Dask cluster at {there['address']}, and the engine's client is of the one at "
            f"{here['address']}: give engines.Dask a client of the former"
        )


def _loaded(blocks: Blocks) -> list[Part]:
    columns = [blocks.X, *blocks.vectors]
    try:
        computed = compute(*columns, scheduler="threads")
    except OffbeatError:
        raise
    except Exception as error:
        raise DataError(f"a part of the data could not be loaded: {error!r}") from error
    each = [values if isinstance(values, list) else [values] * len(blocks.X) for values in computed]
    return [Part(i, *values) for i, values in enumerate(zip(*each, strict=True))]


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

    def each(self, function: Callable[[Part], T], parts: Sequence[Part]) -> list[T]:
        """Return a function of each part, in order."""
        return [function(part) for part in parts]

    def release(self, parts: Sequence[Part]) -> None:
        """Do nothing: parts go with the last that refers to them."""

    def shards(self, recipe: Recipe, parts: Sequence[Part], facts: Sequence[Facts], count: int) -> list[Shard]:
        """Return the parts as at most so many shards."""
        groups = plan([f.n_rows for f in facts], [()] * len(parts), {HERE: count}, count)
        return [shard_of(recipe, [parts[i] for i in group.parts]) for group in groups]
