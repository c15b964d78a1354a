"""Cross-validated least squares from Gram matrices: one pass gives those of all folds, and the rest needs no data.

Sums are about the medians of a sample, which no outlier moves, and are brought to each fold's own means and deviations.
Nothing that is large is added to be subtracted again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Dataset
from offbeat.data.shards import Point, Shard, Sums, Workspace, head_size
from offbeat.data.source import CSR, rows_per_block
from offbeat.engines.base import Engine
from offbeat.fit.evaluate import evaluate
from offbeat.fit.inspection import MIN_DEVIATION, Options, inspect
from offbeat.fit.paths import Path, Start
from offbeat.fit.solution import not_finite
from offbeat.linear_model._cv.folds import Fold
from offbeat.linear_model._shared.predict import as_matrix
from offbeat.problem import Evaluation, Floats, Problem, Reference
from offbeat.sideways import evaluation
from offbeat.sideways.board import View
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo
from offbeat.solvers._common import selection
from offbeat.solvers._common.selection import Selection, SelectionQuery
from offbeat.solvers.newton.quadratic import rounding

MAX_SAMPLE_ROWS = 512
"""Rows that medians are taken of."""
MIN_RELATIVE_DEVIATION = 1e-7
"""Deviation of a column divided by the distance of its mean from the median, below which the deviation is rounding."""
MIN_RELATIVE_REMAINDER = 1e-3
"""Share of a sum that a difference of sums must keep; less has lost digits."""
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class FoldGrams:
    """Loss, gradient and Gram matrix at ``w = 0``: of all rows, of those to fit on, of those left out.

    Parameters
    ----------
    whole : Start
    train, test : tuple of Start
        One a fold.
    """

    whole: Start
    train: tuple[Start, ...]
    test: tuple[Start, ...]


def fold_grams(
    problem: Problem, dataset: Dataset, folds: Sequence[Fold], engine: Engine, options: Options
) -> FoldGrams:
    """Read the data once and return the sums of all folds.

    Where the rows to fit on are all but those left out, their sums are a difference; where each row is left out once,
    the sums of all rows are those of the folds together. So a row is usually added up once.

    Parameters
    ----------
    problem : Problem
        With a quadratic loss.
    dataset : Dataset
        With weights of mean one.
    folds : list of Fold
    engine : Engine
    options : Options

    Returns
    -------
    grams : FoldGrams

    Raises
    ------
    DataError
        X has values that are not finite.
    """
    problem.loss.check_target(dataset.y)
    shards = dataset.shards(engine.n_workers)
    info = inspect(problem, dataset, shards, engine, options)
    info = _about_medians(problem, info, shards) if options.fit_intercept else info
    point = evaluation.query(info, evaluation.Iterate(*info.start), hessian=True, exact=True)
    masks = _Masks.of(folds, dataset.n_rows)

    def sums(point: Point, wanted: Sequence[Mask]) -> list[Floats]:
        return _sums(problem, shards, engine, point, wanted)

    with np.errstate(invalid="ignore"):
        whole, tests, trains = _fold_sums(masks, point, partial(sums, point))
    start = _start(info, dataset, masks.everything, point, whole)
    if not evaluation.finite(start.at):
        raise not_finite(dataset)

    def evaluate_at(info: DataInfo, x: Iterate) -> Evaluation:
        return evaluate(problem, info, shards, engine, evaluation.query(info, x))[0]

    return FoldGrams(
        replace(start, evaluate=evaluate_at),
        tuple(_start(info, dataset, mask, point, flat) for mask, flat in zip(masks.train, trains, strict=True)),
        tuple(_start(info, dataset, mask, point, flat) for mask, flat in zip(masks.test, tests, strict=True)),
    )


class _Masks(NamedTuple):
    """Rows of each fold as masks, and all rows."""

    train: list[Mask]
    test: list[Mask]
    everything: Mask

    @classmethod
    def of(cls, folds: Sequence[Fold], n_rows: int) -> _Masks:
        tests = [_mask(fold.test, n_rows) for fold in folds]
        return cls([_mask(fold.train, n_rows) for fold in folds], tests, np.ones(n_rows, dtype=np.bool_))


def _fold_sums(
    masks: _Masks, point: Point, sums: Callable[[Sequence[Mask]], list[Floats]]
) -> tuple[Floats, list[Floats], list[Floats]]:
    """Return the sums over all rows, and over the rows of each fold that are left out and fitted.

    Where each row is left out once and fitted otherwise, the rows of a fold are those that the others leave out. Where
    rows to fit on are all but those left out, their sums are a difference, unless it would lose digits.
    """
    tests, trains = masks.test, masks.train
    mirrored = [bool(np.array_equal(a, ~b)) for a, b in zip(trains, tests, strict=True)]
    if len(tests) > 1 and all(mirrored) and bool(np.all(np.sum(tests, axis=0) == 1)):
        left = sums(tests)
        whole, fitted = np.zeros_like(left[0]), []
        for part in left:
            fitted.append(whole.copy())
            whole += part
        after = np.zeros_like(whole)
        for i in reversed(range(len(left))):
            fitted[i] += after
            after += left[i]
        return whole, left, fitted
    others = [mask for mask, known in zip(trains, mirrored, strict=True) if not known]
    found = sums([*tests, *others, masks.everything])
    left, rest, whole = found[: len(tests)], iter(found[len(tests) : -1]), found[-1]
    fitted = [whole - part if known else next(rest) for part, known in zip(left, mirrored, strict=True)]
    lost = [i for i, flat in enumerate(fitted) if mirrored[i] and _has_lost_digits(flat, whole, point)]
    if lost:
        for i, flat in zip(lost, sums([trains[i] for i in lost]), strict=True):
            fitted[i] = flat
    return whole, left, fitted


def _has_lost_digits(flat: Floats, whole: Floats, point: Point) -> bool:
    """Whether a difference has lost digits: of the loss, or of a diagonal of the Gram matrix, little is left."""
    return bool(np.any(_squares(flat, point) < MIN_RELATIVE_REMAINDER * _squares(whole, point)))


def _squares(flat: Floats, point: Point) -> Floats:
    """Return the diagonal of the Gram matrix, and the loss."""
    sums = Sums.unflat(flat, point)
    assert sums.hessian is not None
    return np.append(np.diag(sums.hessian), sums.head[0])


def _about_medians(problem: Problem, info: DataInfo, shards: list[Shard]) -> DataInfo:
    """Return the same with the medians of a sample as centres, and the median distances from them as scales."""
    rows = np.concatenate([_sample(shard, MAX_SAMPLE_ROWS / max(info.n_rows, 1)) for shard in shards])
    with np.errstate(invalid="ignore", over="ignore"):
        center = np.median(rows, axis=0)
        scale = np.median(np.abs(rows - center), axis=0)
    center = np.where(np.isfinite(center), center, info.center)
    scale = np.where(np.isfinite(scale) & (scale > MIN_DEVIATION), scale, info.scale)
    return replace(info, center=center, scale=scale, penalty=problem.scaled_penalty(info.n_columns, scale))


def _sample(shard: Shard, fraction: float) -> Floats:
    """Return some rows of a shard, dense."""
    k, found = shard.source.shape[1], []
    for block, _, ranges in shard.blocks(fraction, Workspace()):
        part = selection.take(block, np.concatenate([np.arange(a, b) for a, b in ranges])[:MAX_SAMPLE_ROWS])
        rows = as_matrix(part, k).toarray() if isinstance(part, CSR) else part
        found.append(np.asarray(rows, np.float64))
    return np.concatenate(found) if found else np.empty((0, k))


def _mask(rows: NDArray[np.int64], n_rows: int) -> Mask:
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[rows] = True
    return mask


def _sums(problem: Problem, shards: list[Shard], engine: Engine, point: Point, masks: Sequence[Mask]) -> list[Floats]:
    """Return the flat sums over the rows of each mask."""
    queries = [SelectionQuery(i, point) for i in range(len(masks))]
    selections = [Selection(mask) for mask in masks]

    def one(shard: Shard) -> list[Floats]:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked for afterwards
            return selection.evaluate(shard, problem.loss, queries, selections, Workspace())

    parts = engine.map(one, shards)
    return [np.sum([part[i] for part in parts], axis=0) for i in range(len(masks))]


def _means(
    info: DataInfo, dataset: Dataset, mask: Mask, point: Point, flat: Floats
) -> tuple[Evaluation, Floats | None]:
    """Return weighted means over some rows."""
    flat = flat.copy()
    if dataset.weight.size:
        flat[head_size(1) - 1] = dataset.weight[mask].sum()  # means over weights instead of rows
    return evaluation.gather(info, View(flat, 1, 1), point)


def _start(info: DataInfo, dataset: Dataset, mask: Mask, point: Point, flat: Floats) -> Start:
    """Return weighted means over some rows, about their own centre, and the certificate's reference for them."""
    at, hessian = _means(info, dataset, mask, point, flat)
    assert hessian is not None
    info, at, hessian = _own_units(info, at, hessian)
    info = replace(info, n_rows=int(mask.sum()), reference=_reference(info.reference, at, hessian))
    return Start(info, at, hessian)


def _own_units(info: DataInfo, at: Evaluation, hessian: Floats) -> tuple[DataInfo, Evaluation, Floats]:
    """Return the same quadratic for columns about their means over its rows, in units of their deviations."""
    k = info.n_columns
    off = hessian[:k, k] / hessian[k, k] if info.reference.fit_intercept else np.zeros(k)
    hessian = hessian.copy()
    hessian[:k, :k] -= hessian[k, k] * np.outer(off, off)
    hessian[:k, k], hessian[k, :k] = 0.0, 0.0
    gradient = at.gradient - off * at.intercept_gradient[0]
    spread = np.sqrt(np.maximum(np.diag(hessian)[:k], 0.0))
    flat = np.flatnonzero(~(spread > MIN_RELATIVE_DEVIATION * np.abs(off)))  # constant columns of these rows
    spread[flat], hessian[flat, :], hessian[:, flat], gradient[flat] = 1.0, 0.0, 0.0, 0.0
    unit = np.append(spread, 1.0)
    hessian /= unit * unit[:, None]
    gradient /= spread
    repair = None if at.repair is None else (at.repair - off * at.repair_sum) / spread
    info = replace(info, center=info.center + off * info.scale, scale=info.scale * spread)
    return info, at._replace(gradient=gradient, repair=repair), hessian


def _reference(reference: Reference, at: Evaluation, hessian: Floats) -> Reference:
    """Return the objective at ``w = 0`` with the best intercept for these rows."""
    best = at.loss
    if reference.fit_intercept:
        best -= 0.5 * float(at.intercept_gradient[0]) ** 2 / float(hessian[-1, -1])
    return reference._replace(objective=max(best, 0.0))


def mean_squared_errors(path: Path, test: Start) -> tuple[Floats, Floats]:
    """Return the mean squared error of each model of a path on the rows of a Gram matrix, and what rounding may add.

    Parameters
    ----------
    path : Path
    test : Start
        With a Hessian.

    Returns
    -------
    errors, rounding : ndarray, shape (n_alphas,)
    """
    info = test.info
    assert test.hessian is not None
    steps = np.column_stack([path.coefs * info.scale, path.intercepts + path.coefs @ info.center])
    steps -= np.concatenate(info.start)
    slope = np.concatenate([test.at.gradient, test.at.intercept_gradient])
    bent = np.einsum("ij,ij->i", steps @ test.hessian, steps)
    errors: Floats = np.maximum(2.0 * (test.at.loss + steps @ slope) + bent, 0.0)
    rounded = rounding(info, exact=True)
    roots = np.sqrt(np.maximum(np.diag(test.hessian), rounded))
    size = 2.0 * (test.at.loss + np.abs(steps) @ np.abs(slope)) + (np.abs(steps) @ roots) ** 2
    return errors, rounded * size


def row_errors(dataset: Dataset, fold: Fold, path: Path) -> Floats:
    """Return the mean squared error of each model of a path on the rows that a fold leaves out, from these rows.

    Parameters
    ----------
    dataset : Dataset
    fold : Fold
    path : Path

    Returns
    -------
    errors : ndarray, shape (n_alphas,)
    """
    source, coefs = dataset.source, np.ascontiguousarray(path.coefs.T)
    weight = dataset.weight if dataset.weight.size else np.ones(dataset.n_rows)
    total, rows = np.zeros(len(path.alphas)), np.unique(fold.test)
    step = rows_per_block(source)
    for start in range(0, source.shape[0], step):
        some = rows[slice(*np.searchsorted(rows, (start, start + step)))]
        if some.size:
            part = selection.take(source.read(start, min(start + step, source.shape[0])), some - start)
            block = as_matrix(part, source.shape[1]) if isinstance(part, CSR) else part.astype(np.float64)
            total += weight[some] @ (block @ coefs + path.intercepts - dataset.y[some, None]) ** 2
    errors: Floats = total / weight[rows].sum()
    return errors
