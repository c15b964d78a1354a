"""Hessian-vector products of a shard for several classes, from the stored class probabilities of each row.

Vectors are in the units of the centred columns, flat over columns and classes, with the intercepts last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Point, Shard, Sums, Targets, Workspace, head_size
from offbeat.data.shards.conditioning import conditioned_blocks, conditioned_point
from offbeat.data.source import CSR
from offbeat.problem import Floats

Probabilities = NDArray[np.float32]


def evaluate(shard: Shard, workspace: Workspace, at: Point) -> tuple[Floats, Probabilities]:
    """Return the flat sums of `Shard.evaluate`, and the probabilities, shape (n_rows, n_classes)."""
    from offbeat.data.shards import sums

    n_classes, done = at.intercept.size, 0
    out = Sums(np.zeros(head_size(n_classes)), np.zeros(at.coef.size), None, None)
    probabilities = np.empty((shard.n_rows, n_classes), np.float32)
    inner, how = conditioned_point(shard, at)
    for block, targets, ranges in conditioned_blocks(shard, 1.0, workspace, how):
        n = len(targets.y)
        sums.add_classes(block, targets, inner, ranges, out, probabilities[done : done + n])
        done += n
    if shard.source.sparse:
        sums.centre(out, inner.center)
    if how is not None:
        how.restore(out.gradient.reshape(at.coef.shape))
    return out.flat(), probabilities


def product(shard: Shard, workspace: Workspace, probabilities: Probabilities, at: Point, direction: Floats) -> Floats:
    """Return the product of the Hessian with a direction. Sparse rows use the precision of the direction."""
    from offbeat.kernels import classes

    n_classes = at.intercept.size
    w, b = np.ascontiguousarray(direction[:-n_classes].reshape(at.coef.shape)), direction[-n_classes:]
    out, total, done = np.zeros(at.coef.shape, w.dtype), np.zeros(n_classes), 0
    inner, how = conditioned_point(shard, at)
    w = w if how is None else w / how.units()[:, None].astype(w.dtype)
    centred = shard.source.sparse and bool(inner.center.any())
    shifted = (b - inner.center @ w).astype(w.dtype) if centred else b
    for block, targets, _ in conditioned_blocks(shard, 1.0, workspace, how):
        n = len(targets.y)
        kept = probabilities[done : done + n]
        if isinstance(block, CSR):
            classes.sparse_product(block, kept, targets.weight, w, shifted, out, total, (0,) * n_classes)
        else:
            for rows, part, (_, v, _) in _parts(block, targets):
                p, t = kept[rows], _predictors(part, w, b, at.center)
                t = p * (t - np.sum(p * t, axis=1, keepdims=True))
                if v.size:
                    t *= v[:, None]
                total += t.sum(axis=0)
                _add(part, t, at.center, out)
        done += n
    if centred:
        out -= np.outer(inner.center, total)
    if how is not None:
        how.restore(out)
    return np.concatenate([out.ravel(), total.astype(out.dtype)])


def diagonal(shard: Shard, workspace: Workspace, probabilities: Probabilities, at: Point) -> Floats:
    """Return the diagonal of the Hessian, followed by the number of stored entries."""
    from offbeat.kernels import classes

    n_classes, stored, done = at.intercept.size, 0, 0
    first, second, total = np.zeros(at.coef.shape), np.zeros(at.coef.shape), np.zeros(n_classes)
    inner, how = conditioned_point(shard, at)
    for block, targets, _ in conditioned_blocks(shard, 1.0, workspace, how):
        n = len(targets.y)
        kept = probabilities[done : done + n]
        if isinstance(block, CSR):
            classes.sparse_diagonal(block, kept, targets.weight, first, second, total)
            stored += block.n_stored
        else:
            d = kept * (1.0 - kept)
            d = d * targets.weight[:, None] if targets.weight.size else d
            second += ((block - at.center) ** 2).T @ d
            total += d.sum(axis=0)
            stored += block.size
        done += n
    if shard.source.sparse:
        center = inner.center[:, None]
        second += center * (center * total - 2.0 * first)
    if how is not None:
        second = second / how.units()[:, None] / how.units()[:, None]
    return np.concatenate([second.ravel(), total, [stored]])


def _parts(block: NDArray[Any], targets: Targets) -> Iterator[tuple[slice, NDArray[Any], Targets]]:
    """Yield chunks of a few hundred dense rows, with their targets."""
    from offbeat.kernels import classes

    n = len(targets.y)
    for a in range(0, n, classes.ROWS_AT_ONCE):
        rows = slice(a, min(a + classes.ROWS_AT_ONCE, n))
        yield rows, block[rows], Targets(*(values[rows] if values.size else values for values in targets))


def _predictors(block: NDArray[Any], coef: Floats, intercept: Floats, center: Floats) -> NDArray[Any]:
    """Return the predictors of dense rows, shape (n, n_classes)."""
    dense: NDArray[Any] = (block - center.astype(block.dtype)) @ coef.astype(block.dtype)
    dense += intercept.astype(block.dtype)
    return dense


def _add(block: NDArray[Any], theta: NDArray[Any], center: Floats, out: Floats) -> None:
    """Add ``X'theta`` to ``out``, for centred dense rows ``X``."""
    out += (block - center.astype(block.dtype)).T @ theta
