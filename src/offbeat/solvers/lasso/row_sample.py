"""A start from a sample of the rows: where the working set grows, at a fraction of the cost.

The solution on a sample is as far from the one on all rows as the sample is from them, and most columns that matter
there matter here. What it is about does not matter to what follows: a start is a start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import CSRSource, DenseSource
from offbeat.data.shards import Point, Shard, Sums, Workspace
from offbeat.data.source import CSR
from offbeat.kernels.arguments import PenaltyScaling
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step
from offbeat.solvers._common import hessian_products
from offbeat.solvers.lasso import working_set
from offbeat.solvers.lasso.column_store import Facts
from offbeat.solvers.lasso.working_set import Local, Query

SHARE = 8  # one row of so many
LEAST_ROWS = 4096  # of a sample
ROUNDS = 12
SETTLED = 1e-2  # of the objective: a round that wins less is the last
ROWS = 100  # for each coefficient that is not zero: with fewer, a sample says too little about all rows


def sampled(shard: Shard) -> Shard | None:
    """Return a shard with copies of some runs of rows, evenly spread; None where that is not worth while."""
    if not shard.source.resident or shard.n_rows < 2 * LEAST_ROWS:
        return None
    ranges = shard.ranges(max(1.0 / SHARE, LEAST_ROWS / shard.n_rows))
    block = shard.source.read(shard.start, shard.stop)
    source: Any
    if isinstance(block, CSR):
        source = CSRSource(_runs(block, ranges), shard.source.shape[1])
    else:
        source = DenseSource(_joined(block, ranges))
    lengths = ranges[:, 1] - ranges[:, 0]
    rows = np.repeat(ranges[:, 0] - np.cumsum(lengths) + lengths, lengths) + np.arange(int(lengths.sum()))
    y, weight, offset = (_some(values, rows) for values in (shard.y, shard.weight, shard.offset))
    return Shard(source, 0, rows.size, y, weight, offset, cancelled=shard.cancelled)


def _runs(block: CSR, ranges: NDArray[np.int64]) -> CSR:
    """Return copies of runs of rows."""
    bounds = block.indptr[ranges]
    lengths = bounds[:, 1] - bounds[:, 0]
    moved = np.repeat(bounds[:, 0] - np.cumsum(lengths) + lengths, ranges[:, 1] - ranges[:, 0])
    ends = _joined(block.indptr[1:], ranges) - moved.astype(block.indptr.dtype)
    indptr = np.concatenate([np.zeros(1, ends.dtype), ends])
    return CSR(indptr, _joined(block.indices, bounds), _joined(block.data, bounds))


def _joined(values: NDArray[Any], bounds: NDArray[Any]) -> NDArray[Any]:
    """Return runs of values behind each other: thousands of slices take a quarter of the time of millions of places."""
    starts, stops = bounds[:, 0].tolist(), bounds[:, 1].tolist()  # flat: the collector looks at nested lists
    return np.concatenate([values[a:b] for a, b in zip(starts, stops, strict=True)])


def _some(values: Floats, rows: NDArray[np.int64]) -> Floats:
    part = values[rows] if values.size else values
    part.flags.writeable = False
    return part


def start(problem: Problem, shard: Shard, query: Query) -> tuple[Point, Facts, float] | None:
    """Return the solution on a sample, facts about the columns, and the cost in passes; None where there is none."""
    few = sampled(shard)
    if few is None:
        return None
    share, n = few.n_rows / shard.n_rows, few.n_rows
    local, at, before = Local(Workspace()), query.at, np.inf
    flat, bend = hessian_products.evaluate(problem, few, local.workspace, at)
    local, work = replace(local, bend=bend), 1.0
    for _ in range(ROUNDS):
        sums = Sums.unflat(flat, at)
        objective = float(sums.head[0]) / n + _penalty(problem, query, at)
        if not np.isfinite(objective):
            return None
        if before - objective <= SETTLED * abs(objective) or ROWS * np.count_nonzero(at.coef) > n:
            break
        before = objective
        slope = float(sums.head[1]) / n if at.repair else 0.0
        here = query._replace(at=at, gradient=sums.gradient / n, slope=slope, loss=float(sums.head[0]) / n)
        found = working_set.bettered(problem, few, local, here)
        local, at, flat, work = found.local, found.at, found.sums, work + found.work
    assert local.about is not None
    return at, Facts(local.about.counts / share, local.about.squares), work * share


def first_step(problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
    """Evaluate the solution on a sample of the rows, or the start where that is no better than nothing."""
    found = start(problem, shard, query)
    if found is None:
        return working_set.local_step(problem, shard, local, query)
    at, about, work = found
    step = working_set.local_step(problem, shard, replace(local, about=about), query._replace(at=at))
    if not np.isfinite(step.payload[0]):
        return working_set.local_step(problem, shard, local, query)
    payload = step.payload.copy()
    payload[-1] += work
    return Step(step.local, payload, step.work + work, "sample, gradient")


def _penalty(problem: Problem, query: Query, at: Point) -> float:
    from offbeat.kernels import coordinate

    rule, scaling = problem.penalty._replace(weights=None), PenaltyScaling(query.factor, query.weight)
    return float(coordinate.penalty_change(rule, np.zeros_like(at.coef), at.coef, scaling))
