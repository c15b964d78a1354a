"""Parts and shards on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast
from uuid import uuid4

from distributed import Client, Future, wait

from offbeat.data.parts import Facts, Part, Recipe
from offbeat.data.shard import Shard
from offbeat.engines.dask import remote
from offbeat.engines.dask.plan import plan
from offbeat.errors import DataError, OffbeatError

T = TypeVar("T")
PREFIX = "offbeat"


class RemotePart(NamedTuple):
    """A part whose values are futures, or small enough to be sent along."""

    number: int
    X: Any
    y: Any = None
    weight: Any = None
    offset: Any = None


@dataclass(frozen=True)
class RemoteShard:
    """A shard that a worker holds.

    Parameters
    ----------
    number : int
    n_rows : int
    rank : int
        Whose it is at first.
    home : str
        Address of the worker that was asked to hold it.
    future : Future
        Of the `Shard`.
    source : Shard, optional
        What was sent from this process, and can be sent again.
    """

    number: int
    n_rows: int
    rank: int
    home: str
    future: Future[Any]
    source: Shard | None = None


def task_key(name: str) -> str:
    """Return a key of its own for a task, which the dashboard shows by this name."""
    return f"{PREFIX}-{name}-{uuid4().hex}"


class DaskCluster:
    """Runs functions on parts where they are.

    Parameters
    ----------
    engine : Dask
        Whose client is used.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def engine(self) -> Any:
        """Return the engine of this cluster."""
        return self._engine

    def each(self, function: Callable[[Part], T], parts: Sequence[RemotePart]) -> list[T]:
        """Return a function of each part, in order."""
        client = self._engine.connect()
        name = getattr(getattr(function, "func", function), "__name__", "part").strip("_").replace("_", "-")
        futures = [client.submit(remote.on_part, function, *part, key=task_key(name), pure=False) for part in parts]
        return cast("list[T]", gathered(client, futures, parts))

    def release(self, parts: Sequence[RemotePart]) -> None:
        """Have the workers forget parts that nobody else refers to."""
        for part in parts:
            for value in part:
                if isinstance(value, Future):
                    value.release()

    def shards(self, recipe: Recipe, parts: Sequence[RemotePart], facts: Sequence[Facts], count: int) -> list[Shard]:
        """Return the parts as at most so many shards, each on a worker that holds its parts, as far as that is even."""
        client = self._engine.connect()
        threads = self._engine.threads()
        where = client.who_has([part.X for part in parts if isinstance(part.X, Future)])
        holders = [where.get(part.X.key, ()) if isinstance(part.X, Future) else () for part in parts]
        groups = plan([f.n_rows for f in facts], holders, threads, count)
        shards = []
        for number, group in enumerate(groups):
            members = [parts[i] for i in group.parts]
            columns = [[part[c] for part in members] for c in range(1, 5)]
            future = client.submit(
                remote.make_shard, recipe, [part.number for part in members], columns, key=task_key("shard"),
                workers=[group.home], allow_other_workers=True, pure=False,
            )  # fmt: skip
            n_rows = sum(facts[i].n_rows for i in group.parts)
            shards.append(RemoteShard(number, n_rows, group.rank, group.home, future))
        return cast("list[Shard]", shards)


def gathered(client: Client, futures: Sequence[Future[Any]], parts: Sequence[RemotePart] = ()) -> list[Any]:
    """Return the results of tasks.

    Raises
    ------
    OffbeatError
        That one of them raised.
    DataError
        A part could not be loaded: names it, its task and the error.
    """
    wait(list(futures))
    for i, future in enumerate(futures):
        if future.status == "finished":
            continue
        error = future.exception() if future.status == "error" else None
        if isinstance(error, OffbeatError):
            raise error
        part = parts[i] if parts else None
        source = part.X.key if part is not None and isinstance(part.X, Future) else future.key
        what = f"partition {part.number}" if part is not None else "a part of the data"
        cause = future.status if error is None else f"{type(error).__name__}: {error}"
        raise DataError(f"{what} could not be loaded (task {source!r}): {cause}") from error
    return cast("list[Any]", client.gather(list(futures)))
