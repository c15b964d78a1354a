"""Cross-validated least squares from Gram matrices: one pass gives those of all folds, and the rest needs no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Dataset
from offbeat.data.shard import Point, Shard, Workspace, head_size
from offbeat.engines.base import Engine
from offbeat.inspection import Options, inspect
from offbeat.linear_model._folds import Fold
from offbeat.path import Path, Start
from offbeat.problem import Evaluation, Floats, Problem, Reference
from offbeat.sideways import evaluation
from offbeat.sideways.protocol import DataInfo
from offbeat.solution import not_finite
from offbeat.solvers import selection
from offbeat.solvers.batch import Part
from offbeat.solvers.selection import Query, Selection


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
    point = evaluation.query(info, evaluation.Iterate(*info.start), hessian=True)
    tests = [_mask(fold.test, dataset.n_rows) for fold in folds]
    trains = [_mask(fold.train, dataset.n_rows) for fold in folds]
    everything = np.ones(dataset.n_rows, dtype=np.bool_)
    partition = bool(np.all(np.sum(tests, axis=0) == 1))
    mirrored = [bool(np.array_equal(a, ~b)) for a, b in zip(trains, tests, strict=True)]
    wanted = tests + [mask for mask, known in zip(trains, mirrored, strict=True) if not known]
    sums = _sums(problem, shards, engine, point, wanted if partition else [*wanted, everything])
    with np.errstate(invalid="ignore"):
        whole = np.sum(sums[: len(tests)], axis=0) if partition else sums[-1]
        others = iter(sums[len(tests) :])
        fitted = [whole - sums[i] if known else next(others) for i, known in enumerate(mirrored)]
    start = _start(info, dataset, everything, point, whole)
    if not evaluation.finite(start.at):
        raise not_finite(dataset)
    return FoldGrams(
        start,
        tuple(_start(info, dataset, mask, point, flat) for mask, flat in zip(trains, fitted, strict=True)),
        tuple(_start(info, dataset, mask, point, flat) for mask, flat in zip(tests, sums, strict=False)),
    )


def null_gradient(problem: Problem, dataset: Dataset, engine: Engine, options: Options) -> Start:
    """Return loss and gradient at ``w = 0`` without the Gram matrix, for data that is too wide for one."""
    shards = dataset.shards(engine.n_workers)
    info = inspect(problem, dataset, shards, engine, options)
    point = evaluation.query(info, evaluation.Iterate(*info.start))
    whole = _sums(problem, shards, engine, point, [np.ones(dataset.n_rows, dtype=np.bool_)])[0]
    at, _ = evaluation.gather(info, Part(whole), point)  # type: ignore[arg-type]
    if not evaluation.finite(at):
        raise not_finite(dataset)
    return Start(info, at, None)


def _mask(rows: NDArray[np.int64], n_rows: int) -> NDArray[np.bool_]:
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[rows] = True
    return mask


def _sums(
    problem: Problem, shards: list[Shard], engine: Engine, point: Point, masks: Sequence[NDArray[np.bool_]]
) -> list[Floats]:
    """Return the flat sums over the rows of each mask."""
    queries = [Query(i, point) for i in range(len(masks))]
    selections = [Selection(mask) for mask in masks]

    def one(shard: Shard) -> list[Floats]:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked for afterwards
            return selection.evaluate(shard, problem.loss, queries, selections, Workspace())

    parts = engine.map(one, shards)
    return [np.sum([part[i] for part in parts], axis=0) for i in range(len(masks))]


def _start(info: DataInfo, dataset: Dataset, mask: NDArray[np.bool_], point: Point, flat: Floats) -> Start:
    """Return weighted means over some rows, and the certificate's reference for them."""
    flat = flat.copy()
    if dataset.weight.size:
        flat[head_size(1) - 1] = dataset.weight[mask].sum()  # means over weights instead of rows
    at, hessian = evaluation.gather(info, Part(flat), point)  # type: ignore[arg-type]
    assert hessian is not None
    info = replace(info, n_rows=int(mask.sum()), reference=_reference(info.reference, at, hessian))
    return Start(info, at, hessian)


def _reference(reference: Reference, at: Evaluation, hessian: Floats) -> Reference:
    """Return the objective at ``w = 0`` with the best intercept for these rows."""
    best = at.loss
    if reference.fit_intercept:
        best -= 0.5 * float(at.intercept_gradient[0]) ** 2 / float(hessian[-1, -1])
    return reference._replace(objective=max(best, 0.0))


def mean_squared_errors(path: Path, test: Start) -> Floats:
    """Return the mean squared error of each model of a path on the rows of a Gram matrix.

    Parameters
    ----------
    path : Path
    test : Start
        With a Hessian.

    Returns
    -------
    errors : ndarray, shape (n_alphas,)
    """
    info = test.info
    assert test.hessian is not None
    steps = np.column_stack([path.coefs * info.scale, path.intercepts + path.coefs @ info.center])
    steps -= np.concatenate(info.start)
    slope = np.concatenate([test.at.gradient, test.at.intercept_gradient])
    loss = test.at.loss + steps @ slope + 0.5 * np.einsum("ij,ij->i", steps @ test.hessian, steps)
    errors: Floats = np.maximum(2.0 * loss, 0.0)
    return errors
