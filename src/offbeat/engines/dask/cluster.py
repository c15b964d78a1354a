"""Parts and shards on the workers of a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from distributed import Client, Future

from offbeat.data.placed.partitions import DataPartition, PartitionInfo, Preprocessing, row_spans
from offbeat.data.shards import Shard
from offbeat.engines.dask import remote
from offbeat.engines.dask.given import Column
from offbeat.engines.dask.members import wait_for
from offbeat.engines.dask.names import ROWS, SHARD, task_key
from offbeat.engines.dask.plan import plan
from offbeat.errors import DataError, OffbeatError

T = TypeVar("T")
LOADING = threading.RLock()
"""Held where data is loaded or let go of: of a lazy source, another fit gets all of what was loaded, or nothing."""
SOON = 5.0  # seconds


class RemotePart(NamedTuple):
    """A part whose values are futures, or small enough to be sent along."""

    number: int | str
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
    spans : tuple of (int, int)
        Which of all rows these are.
    """

    number: int
    n_rows: int
    rank: int
    home: str
    future: Future[Any]
    source: Shard | None = None
    spans: tuple[tuple[int, int], ...] = ()


class DaskCluster:
    """Runs functions on parts where they are.

    Parameters
    ----------
    engine : Dask
        Whose client is used.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._where: dict[Any, str] = {}

    def engine(self) -> Any:
        """Return the engine of this cluster."""
        return self._engine

    def each(self, function: Callable[[DataPartition], T], parts: Sequence[RemotePart]) -> list[T]:
        """Return a function of each part, in order: a task for each thread, with parts that are where it is."""
        client = self._engine.connect()
        name = getattr(getattr(function, "func", function), "__name__", "part").strip("_").replace("_", "-")
        order: list[int] = []
        with held_for_now() as futures:
            for home, mine in self._by_thread(parts):
                futures.append(
                    client.submit(
                        remote.on_parts, function, [parts[i].number for i in mine], _columns([parts[i] for i in mine]),
                        key=task_key(name), pure=False, **({} if home is None else pinned(home)),
                    )
                )  # fmt: skip
                order += mine
            results = dict(zip(order, chain.from_iterable(client.gather(futures)), strict=True))
        inorder = [results[i] for i in range(len(parts))]
        for result in inorder:
            if isinstance(result, OffbeatError):
                raise result
        return inorder

    def _by_thread(self, parts: Sequence[RemotePart]) -> list[tuple[str | None, list[int]]]:
        """Return parts by worker, cut into as many groups as it has threads."""
        groups: dict[str | None, list[int]] = {}
        holders = self._holders(parts)
        for i, holder in enumerate(holders):
            groups.setdefault(holder, []).append(i)
        threads = self._engine.threads()
        return [
            (home, list(cut))
            for home, mine in groups.items()
            for cut in np.array_split(mine, min(len(mine), threads.get(home, sum(threads.values()))))
        ]

    def _holders(self, parts: Sequence[RemotePart]) -> list[str | None]:
        """Return the worker of each part, as it was when first asked for; None where the value travels along."""
        keys = [part.X.key for part in parts if isinstance(part.X, Future)]
        if any(key not in self._where for key in keys):
            found = self._engine.connect().who_has([part.X for part in parts if isinstance(part.X, Future)])
            self._where.update({key: found[key][0] for key in keys if found.get(key)})
        return [self._where.get(part.X.key) if isinstance(part.X, Future) else None for part in parts]

    def part(self, number: int | str, *values: Any) -> RemotePart:
        """Return a handle of a part."""
        return RemotePart(number, *values)

    def made(self, function: Callable[..., Any], *values: Any) -> Any:
        """Return a future of what a function makes of some; a value where they are in this process."""
        if not any(isinstance(value, Future) for value in values):
            return function(*values)
        return self._engine.connect().submit(function, *values, key=task_key(ROWS), pure=False)

    def release(self, parts: Sequence[RemotePart], but: Sequence[RemotePart] = ()) -> None:
        """Have the workers forget parts that nobody else refers to, but what others have in common with them."""
        kept = {id(value) for part in but for value in part}
        futures = {id(v): v for part in parts for v in part if isinstance(v, Future) and id(v) not in kept}
        with LOADING:
            for future in futures.values():
                future.release()
            for client in {future.client for future in futures.values()}:
                settled(client)

    def shards(
        self, recipe: Preprocessing, parts: Sequence[RemotePart], facts: Sequence[PartitionInfo], count: int
    ) -> list[Shard]:
        """Return the parts as at most so many shards, each on a worker that holds its parts, as far as that is even."""
        client = self._engine.connect()
        holders = [() if holder is None else (holder,) for holder in self._holders(parts)]
        groups = plan([f.n_rows for f in facts], holders, self._engine.threads(), count)
        shards = []
        with held_for_now(but_when_done=True) as futures:
            for number, group in enumerate(groups):
                members, spans = [parts[i] for i in group.parts], row_spans(facts, group.parts)
                future = client.submit(
                    remote.make_shard, recipe, [part.number for part in members], _columns(members), spans,
                    key=task_key(SHARD), pure=False, **pinned(group.home),
                )  # fmt: skip
                futures.append(future)
                n_rows = sum(facts[i].n_rows for i in group.parts)
                shards.append(RemoteShard(number, n_rows, group.rank, group.home, future, spans=spans))
        return cast("list[Shard]", shards)


def settled(client: Client) -> None:
    """Wait until a client has let go of the futures that were released.

    That is done by its event loop, later. A key that is asked for again before would be taken as it was, and another of
    the same source would be computed anew: other rows, where the source gives others each time.
    """
    if client.status == "running" and client.loop is not None:
        done = threading.Event()
        client.loop.add_callback(done.set)
        done.wait(SOON)


@contextmanager
def held_for_now(*, but_when_done: bool = False) -> Iterator[list[Future[Any]]]:
    """Yield a list of futures, which are let go of in the end, even if the traceback of an error refers to them.

    Parameters
    ----------
    but_when_done : bool
        Keep them where there was no error or interrupt.
    """
    futures: list[Future[Any]] = []
    done = False
    try:
        yield futures
        done = True
    finally:
        if not (done and but_when_done):
            for future in futures:
                future.release()


def pinned(home: str) -> dict[str, Any]:
    """Return options of a task that is to run on a worker as long as that is there."""
    return {"workers": [home], "allow_other_workers": True}


def _columns(parts: Sequence[RemotePart]) -> list[list[Any]]:
    return [[part[c] for part in parts] for c in range(1, 5)]


def check_loaded(client: Client, columns: Sequence[Column], timeout: float) -> None:
    """Wait until the chunks of columns are on the workers.

    Raises
    ------
    OffbeatError
        That loading one of them raised; no worker has gone on for so many seconds.
    DataError
        A chunk could not be loaded: names it, its task and the error.
    """
    with client.as_current():  # or Dask takes the one that was made last
        pieces = [piece for column in columns for piece in column.pieces if isinstance(piece, Future)]
        wait_for(client, pieces, timeout)
    for column in columns:
        for number, future in zip(column.numbers or range(len(column.pieces)), column.pieces, strict=True):
            if not isinstance(future, Future) or future.status == "finished":
                continue
            error = future.exception() if future.status == "error" else None
            if isinstance(error, OffbeatError):
                raise error
            cause = future.status if error is None else f"{type(error).__name__}: {error}"
            which = f"partition {number}" if column.name == "X" else f"partition {number} of {column.name}"
            raise DataError(f"{which} could not be loaded (task {future.key!r}): {cause}") from error
