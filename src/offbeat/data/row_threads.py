"""One shard on several threads: where a step needs all rows in one, and the engine has workers to spare."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from offbeat.data.shard import Shard
from offbeat.data.source import CSR

T = TypeVar("T")
LEAST = 3 << 19  # values for each thread: with fewer, threads cost more than they save


def parts_of(shard: Shard) -> list[Shard]:
    """Cut the rows, by reference, for as many threads as there are for them; one part where that does not pay."""
    if shard.threads < 2 or not shard.source.resident:
        return [shard]
    block = shard.source.read(shard.start, shard.stop)
    values = int(block.indptr[-1] - block.indptr[0]) if isinstance(block, CSR) else block.size
    count = min(shard.threads, values // LEAST, shard.n_rows)
    if count < 2:
        return [shard]
    bounds = np.linspace(0, shard.n_rows, count + 1).astype(np.int64)
    return [_part(shard, int(a), int(b)) for a, b in pairwise(bounds)]


def on_parts(function: Callable[[Shard], T], shard: Shard) -> list[T]:
    """Return a function of each part of a shard, in order; each part has a thread of its own."""
    parts = parts_of(shard)
    if len(parts) == 1:
        return [function(shard)]
    with ThreadPoolExecutor(len(parts)) as pool:
        waiting = [pool.submit(copy_context().run, function, part) for part in parts]
        return [each.result() for each in waiting]


def _part(shard: Shard, a: int, b: int) -> Shard:
    y, weight, offset = (values[a:b] if values.size else values for values in (shard.y, shard.weight, shard.offset))
    start, stop = shard.start + a, shard.start + b
    return replace(shard, start=start, stop=stop, y=y, weight=weight, offset=offset, threads=1)
