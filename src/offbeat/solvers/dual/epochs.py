"""Epochs of dual ascent over the rows of a shard: all of them, then those that still move, on one thread or several."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR, Block
from offbeat.problem import Floats

RUN = 16  # rows that are visited together
FEW = 0.7  # of the rows: where no more than these have moved, they are visited again by themselves
COPIED = 0.25  # of the rows: where no more than these have moved, they are put side by side
INNER = 2.0  # passes that visits by themselves may take
TIMES = 50  # of them


class Norms(NamedTuple):
    """What need not be found out again: norms of the rows in units of ``shrink``, and whether all entries are ones."""

    norms: Floats
    shrink: Floats
    ones: bool


class Rule(NamedTuple):
    """How rows are visited: loss, ``shrink``, ``threshold``, ``sigma`` (see `Query`), threads, random numbers."""

    loss: Any
    shrink: Floats
    threshold: Floats
    sigma: float
    threads: int
    rng: np.random.Generator


class _Rows(NamedTuple):
    """A block of rows with all that belongs to them."""

    block: Block
    target: tuple[Floats, ...]
    theta: Floats
    norms: Floats


def measured(shard: Shard, workspace: Workspace, shrink: Floats) -> Norms:
    """Return the norms of the rows, without the intercept."""
    from offbeat.kernels import dual_sums

    out, row, done, ones = np.empty(shard.n_rows), np.zeros(shrink.size - 1), 0, shard.source.resident
    for block, _, ranges in shard.blocks(1.0, workspace):
        part = out[done : done + int(ranges[-1, 1])]
        if isinstance(block, CSR):
            dual_sums.sparse_norms(tuple(block), shrink, row, part)
            entries = block.data[int(block.indptr[0]) : int(block.indptr[-1])]
            ones = ones and bool(np.all(entries == 1.0))
        else:
            dual_sums.dense_norms(block, shrink, row, part)
        done += len(part)
    return Norms(out, shrink, ones)


def epoch(
    shard: Shard, workspace: Workspace, norms: Norms, rule: Rule, theta: Floats, point: Floats
) -> tuple[float, float]:
    """Visit all rows, and those that moved some times more.

    Rows that did not move are at an end of the domain of their conjugate, or on a kink of it; leaving them out for a
    while is the shrinking of Hsieh et al. 2008 (ICML, A dual coordinate descent method for large-scale linear SVM). The
    next epoch looks at all of them again.

    Returns
    -------
    gap : float
        The sum of the gaps of the rows, each as it was visited first.
    work : float
        Passes over the rows.
    """
    gap, work, done = 0.0, 1.0, 0
    for block, targets, ranges in shard.blocks(1.0, workspace):
        n = int(ranges[-1, 1])
        if isinstance(block, CSR) and norms.ones:
            block = block._replace(data=block.data[:0])
        rows = _Rows(block, tuple(targets), theta[done : done + n], norms.norms[done : done + n])
        moved = np.ones(n, dtype=bool)
        gap += _visit(rows, rule, point, np.arange(n), moved)
        done += n
        some = np.flatnonzero(moved)
        if shard.source.resident and 0 < some.size < FEW * n:
            work += _again(rows, rule, point, some)
    return gap, work


def _again(rows: _Rows, rule: Rule, point: Floats, some: NDArray[np.int64]) -> float:
    """Visit some rows several times; return the passes that it took."""
    n, none = len(rows.theta), np.empty(0, dtype=bool)
    times = min(math.ceil(INNER * n / some.size), TIMES)
    chosen, order = rows, some
    if isinstance(rows.block, CSR) and some.size <= COPIED * n:
        chosen, order = _side_by_side(rows, some), np.arange(some.size)
    for _ in range(times):
        _visit(chosen, rule, point, order, none)
    if chosen is not rows:
        rows.theta[some] = chosen.theta
    return times * some.size / n


def _side_by_side(rows: _Rows, some: NDArray[np.int64]) -> _Rows:
    """Return copies of some rows: what is visited many times should lie together."""
    from offbeat.kernels import dual_sums

    assert isinstance(rows.block, CSR)
    indptr, indices, data = rows.block
    count = int((indptr[some + 1] - indptr[some]).sum())
    block = CSR(
        np.empty(some.size + 1, indptr.dtype),
        np.empty(count, indices.dtype),
        np.empty(min(count, data.size), data.dtype),
    )
    dual_sums.copied(tuple(rows.block), some, tuple(block))
    target = tuple(_frozen(each[some]) if each.size else each for each in rows.target)
    return _Rows(CSR(*map(_frozen, block)), target, rows.theta[some], rows.norms[some])


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array read-only, as blocks are: kernels are compiled for one kind."""
    array.flags.writeable = False
    return array


def _visit(rows: _Rows, rule: Rule, point: Floats, which: NDArray[np.int64], moved: NDArray[np.bool_]) -> float:
    """Visit rows in random order, each thread its part of them; return the sum of the gaps."""
    from offbeat.kernels import sdca
    from offbeat.kernels.shuffle import shuffle

    order = np.empty(len(which), np.int64)
    shuffle(which, RUN, int(rule.rng.integers(1, 2**62)), order)
    shrink = rule.shrink[:-1]
    even = float(shrink[0]) if shrink.size and np.all(shrink == shrink[0]) else 0.0
    scaling = (rule.shrink, rule.threshold, rule.sigma, rows.norms, even)

    def part(some: NDArray[np.int64]) -> float:
        args = (rows.target, rows.theta, point, scaling, some, moved)
        if isinstance(rows.block, CSR):
            return float(sdca.sparse_ascent(rule.loss, tuple(rows.block), *args))
        return float(sdca.dense_ascent(rule.loss, rows.block, *args))

    if rule.threads == 1 or len(which) < rule.threads * RUN:
        return part(order)
    with ThreadPoolExecutor(rule.threads) as pool:
        return sum(pool.map(part, np.array_split(order, rule.threads)))


__all__ = ["Norms", "Rule", "epoch", "measured"]
