"""From what a user passes to a data set on the workers, or in this process where there is no cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dask.base import compute, is_dask_collection

from offbeat.data.parts import Facts, Labels, Part, Recipe, shard_of
from offbeat.data.placed import Cluster, PlacedDataset, placed_dataset
from offbeat.data.shard import Shard
from offbeat.engines.dask.cluster import DaskCluster, RemotePart, loaded
from offbeat.engines.dask.collections import Blocks, blocks_of
from offbeat.engines.dask.connection import current
from offbeat.engines.dask.engine import Dask
from offbeat.engines.dask.plan import plan
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
    blocks = blocks_of(X, (y, sample_weight, offset))
    names = [values if isinstance(values, str) else None for values in blocks.vectors]
    client = None if isinstance(engine, Dask) else current()
    cluster: Cluster
    if isinstance(engine, Dask) or client is not None:
        chosen = engine if isinstance(engine, Dask) else Dask(client)
        cluster, parts = DaskCluster(chosen), _remote(chosen, blocks)
    else:
        cluster, parts = Here(engine), _loaded(blocks)
    return placed_dataset(
        cluster, parts, labels=labels, target=names[0], has_target=y is not None, has_weight=sample_weight is not None
    )


def _remote(engine: Dask, blocks: Blocks) -> list[Any]:
    """Have the workers load what is not loaded; return handles."""
    client = engine.connect()
    columns = [blocks.X, *blocks.vectors]
    lazy = [v for column in columns if isinstance(column, list) for v in column if is_dask_collection(v)]
    futures = iter(client.compute(lazy))

    def handle(values: Any, i: int) -> Any:
        if not isinstance(values, list):
            return values
        return next(futures) if is_dask_collection(values[i]) else values[i]

    each = [[handle(column, i) for i in range(len(blocks.X))] for column in columns]
    parts = [RemotePart(i, *values) for i, values in enumerate(zip(*each, strict=True))]
    loaded(client, parts)
    return parts


def _loaded(blocks: Blocks) -> list[Any]:
    columns = [blocks.X, *blocks.vectors]
    try:
        loaded = compute(*columns, scheduler="threads")
    except OffbeatError:
        raise
    except Exception as error:
        raise DataError(f"a part of the data could not be loaded: {error!r}") from error
    each = [values if isinstance(values, list) else [values] * len(blocks.X) for values in loaded]
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
