"""Traces of made-up fits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from offbeat.diagnostics import Trace
from offbeat.sideways.messages import Row

METADATA = {
    "solver": "newton",
    "reason": "few columns",
    "status": "converged",
    "tolerance": "1e-06",
    "gap_scale": "0.7",
}


def _rows(updates: int = 6, workers: int = 3, shards: int = 6) -> list[Row]:
    """Rows of a synchronous fit: in each round each worker runs its shards one after another, then one update."""
    rows, now = [], 0.0
    for clock in range(updates):
        for shard in range(shards):
            start = now + 0.1 * (shard // workers)
            rows.append(Row(start, 0.09, "step", worker=shard % workers, shard=shard, clock=clock, bytes=800))
        now += 0.1 * math.ceil(shards / workers)
        gap = 0.7 * 10.0 ** -(1.5 * clock)
        rows.append(Row(now, passes=clock + 1.0, clock=clock, primal=0.4 + gap / 2, dual=0.4 - gap / 2, gap=gap))
    return rows


@pytest.fixture
def make_rows() -> Callable[..., list[Row]]:
    return _rows


@pytest.fixture
def trace() -> Trace:
    return Trace(_rows(), METADATA)
