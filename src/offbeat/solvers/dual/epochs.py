"""Epochs of dual coordinate ascent: over all rows of a shard, then over those that still move."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard, Targets, Workspace
from offbeat.data.source import CSR, Block
from offbeat.kernels.arguments import DualScaling
from offbeat.problem import Floats

ROWS_PER_RUN = 16  # neighbouring rows that are visited in sequence
MAX_MOVED_SHARE = 0.7  # of the rows: if no more than this moved, they are visited again
MAX_COPIED_SHARE = 0.25  # of the rows: if no more than this moved, they are copied into one block first
MAX_EXTRA_PASSES = 2.0  # work of the repeated visits, in passes over the rows
MAX_EXTRA_VISITS = 50  # of a row


class RowNorms(NamedTuple):
    """Squared norms of the rows in the metric ``shrink``, and whether all stored entries are 1."""

    norms: Floats
    shrink: Floats
    ones: bool


class EpochSettings(NamedTuple):
    """Settings of an epoch: the loss, fields of `SdcaQuery`, the number of threads, the random generator."""

    loss: Any
    shrink: Floats
    threshold: Floats
    sigma: float
    threads: int
    rng: np.random.Generator


class _Rows(NamedTuple):
    """A block of rows with its targets, dual variables and norms."""

    block: Block
    target: Targets
    theta: Floats
    norms: Floats


def row_norms(shard: Shard, workspace: Workspace, shrink: Floats) -> RowNorms:
    """Return the squared norms of the rows, without the intercept."""
    from offbeat.kernels import row_sums

    none = np.empty(0)
    out, row, done, ones = np.empty(shard.n_rows), np.zeros(shrink.size - 1), 0, shard.source.resident
    for block, _, ranges in shard.blocks(1.0, workspace):
        part = out[done : done + int(ranges[-1, 1])]
        if isinstance(block, CSR):
            row_sums.sparse_norms(block, shrink, none, row, part)
            entries = block.data[int(block.indptr[0]) : int(block.indptr[-1])]
            ones = ones and bool(np.all(entries == 1.0))
        else:
            row_sums.dense_norms(block, shrink, none, part)
        done += len(part)
    return RowNorms(out, shrink, ones)


def epoch(
    shard: Shard, workspace: Workspace, norms: RowNorms, rule: EpochSettings, theta: Floats, point: Floats
) -> tuple[float, float]:
    """Visit all rows once, and then those that moved several times more.

    A row that did not move has its dual variable at an end of the domain of the conjugate, or on a kink of it. Leaving
    it out is the shrinking heuristic of Hsieh et al. 2008 (ICML, A dual coordinate descent method for large-scale
    linear SVM). The next epoch visits all rows again.

    Returns
    -------
    gap : float
        Sum of the gaps of the rows, each at its first visit.
    work : float
        Passes over the rows.
    """
    gap, work, done = 0.0, 1.0, 0
    for block, targets, ranges in shard.blocks(1.0, workspace):
        n = int(ranges[-1, 1])
        if isinstance(block, CSR) and norms.ones:
            block = block._replace(data=block.data[:0])
        rows = _Rows(block, targets, theta[done : done + n], norms.norms[done : done + n])
        moved = np.ones(n, dtype=bool)
        gap += _visit(rows, rule, point, np.arange(n), moved)
        done += n
        some = np.flatnonzero(moved)
        if shard.source.resident and 0 < some.size < MAX_MOVED_SHARE * n:
            work += _revisit(rows, rule, point, some)
    return gap, work


def _revisit(rows: _Rows, rule: EpochSettings, point: Floats, some: NDArray[np.int64]) -> float:
    """Visit some rows several times. Return the work in passes over all rows."""
    n, none = len(rows.theta), np.empty(0, dtype=bool)
    times = min(math.ceil(MAX_EXTRA_PASSES * n / some.size), MAX_EXTRA_VISITS)
    chosen, order = rows, some
    if isinstance(rows.block, CSR) and some.size <= MAX_COPIED_SHARE * n:
        chosen, order = _copied_rows(rows, some), np.arange(some.size)
    for _ in range(times):
        _visit(chosen, rule, point, order, none)
    if chosen is not rows:
        rows.theta[some] = chosen.theta
    return times * some.size / n


def _copied_rows(rows: _Rows, some: NDArray[np.int64]) -> _Rows:
    """Return some sparse rows copied into one block, which is faster to read many times."""
    assert isinstance(rows.block, CSR)
    indptr, indices, data = rows.block
    lengths = indptr[some + 1] - indptr[some]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(indptr.dtype)
    entries = np.arange(starts[-1]) + np.repeat(indptr[some] - starts[:-1], lengths)
    block = CSR(starts, indices[entries], data[entries] if data.size else data)
    target = Targets(*(_read_only(each[some]) if each.size else each for each in rows.target))
    return _Rows(CSR(*map(_read_only, block)), target, rows.theta[some], rows.norms[some])


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only, as kernels are compiled for read-only blocks."""
    array.flags.writeable = False
    return array


def _visit(
    rows: _Rows, rule: EpochSettings, point: Floats, which: NDArray[np.int64], moved: NDArray[np.bool_]
) -> float:
    """Visit rows in random order, split among the threads. Return the sum of the gaps."""
    from offbeat.kernels import sdca
    from offbeat.kernels.shuffle import shuffle

    order = np.empty(len(which), np.int64)
    shuffle(which, ROWS_PER_RUN, int(rule.rng.integers(1, 2**62)), order)
    shrink = rule.shrink[:-1]
    equal = float(shrink[0]) if shrink.size and np.all(shrink == shrink[0]) else 0.0
    scaling = DualScaling(rule.shrink, rule.threshold, rule.sigma, rows.norms, equal, np.empty(0))

    def part(some: NDArray[np.int64]) -> float:
        args = (rows.target, rows.theta, point, scaling, some, moved)
        if isinstance(rows.block, CSR):
            return float(sdca.sparse_ascent(rule.loss, rows.block, *args))
        return float(sdca.dense_ascent(rule.loss, rows.block, *args))

    if rule.threads == 1 or len(which) < rule.threads * ROWS_PER_RUN:
        return part(order)
    with ThreadPoolExecutor(rule.threads) as pool:
        return sum(pool.map(part, np.array_split(order, rule.threads)))
