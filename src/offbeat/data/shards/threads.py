"""One shard on several threads: for steps that need all rows in one shard, where the engine has workers to spare."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from offbeat.data.shards.blocks import Targets
from offbeat.data.shards.shard import Shard
from offbeat.data.source import CSR

T = TypeVar("T")
MIN_VALUES_PER_THREAD = 3 << 19
"""Values of the features; with fewer, a thread costs more than it saves."""


def split_for_threads(shard: Shard) -> list[Shard]:
    """Cut a shard by rows, without copying, into one part for each thread; into one part where threads do not pay.

    Examples
    --------
    >>> from offbeat.data.load import as_dataset
    >>> shard = as_dataset(np.zeros((1 << 20, 4))).shards(1)[0]
    >>> [part.n_rows for part in split_for_threads(replace(shard, threads=2))]
    [524288, 524288]
    """
    if shard.threads < 2 or not shard.source.resident:
        return [shard]
    block = shard.source.read(shard.start, shard.stop)
    values = block.n_stored if isinstance(block, CSR) else block.size
    count = min(shard.threads, values // MIN_VALUES_PER_THREAD, shard.n_rows)
    if count < 2:
        return [shard]
    bounds = np.linspace(0, shard.n_rows, count + 1).astype(np.int64)
    return [_part(shard, int(a), int(b)) for a, b in pairwise(bounds)]


def map_on_threads(function: Callable[[Shard], T], shard: Shard) -> list[T]:
    """Return the results of a function of each part of a shard, in order; each part has a thread of its own.

    Parameters
    ----------
    function : callable
        Takes a `Shard`. Must be thread-safe.
    shard : Shard
        See `split_for_threads`.

    Examples
    --------
    >>> from offbeat.data.load import as_dataset
    >>> map_on_threads(lambda part: part.n_rows, as_dataset(np.zeros((3, 1))).shards(1)[0])
    [3]
    """
    parts = split_for_threads(shard)
    if len(parts) == 1:
        return [function(shard)]
    with ThreadPoolExecutor(len(parts)) as pool:
        futures = [pool.submit(copy_context().run, function, part) for part in parts]
        return [future.result() for future in futures]


def _part(shard: Shard, a: int, b: int) -> Shard:
    y, weight, offset = Targets(shard.y, shard.weight, shard.offset).rows(a, b)
    start, stop = shard.start + a, shard.start + b
    return replace(shard, start=start, stop=stop, y=y, weight=weight, offset=offset, threads=1)
