"""What a solver knows before its first query: centre and scale of the columns, the null model, references."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Data
from offbeat.data.shards import ColumnMoments, Shard, Workspace, pooled_moments
from offbeat.engines.base import Engine
from offbeat.fit.evaluate import evaluate
from offbeat.losses.questions import smooth
from offbeat.problem import Floats, Problem, Reference
from offbeat.sideways import evaluation
from offbeat.sideways.protocol import DataInfo, original_to_internal

SAMPLE_ROWS = 4096
NORM_ROWS = 16384
PARALLEL_ROWS = 50_000
FLAT = 1e-12  # deviation over mean, below which a column is constant
LEAST = 1e-300  # deviation that still has a reciprocal
SMALL = 1e-280  # square of the least scale of columns with a penalty
COUNTED = 64  # targets that are whole numbers from -1 up to less than this are counted
Tally: TypeAlias = tuple[Floats, Floats]
"""Distinct targets and the weight of each."""
Columns: TypeAlias = tuple[Floats, Floats, Floats]
"""Three numbers of each column."""


@dataclass(frozen=True)
class Options:
    """Options of a fit that change the objective or where it starts.

    ``start`` holds coefficients (k, n_outputs) and intercepts of a model to start from; without ``fit_intercept`` its
    intercepts do not count.
    """

    fit_intercept: bool = True
    standardize: bool = False
    tol: float = 1e-6
    start: tuple[Floats, Floats] | None = None


def inspect(problem: Problem, dataset: Data, shards: list[Shard], engine: Engine, options: Options) -> DataInfo:
    """Look at the data once, or at a sample of it where any centre and scale will do.

    Parameters
    ----------
    problem : Problem
    dataset : Data
    shards : list of Shard
    engine : Engine
        Takes the moments of the shards side by side.
    options : Options

    Returns
    -------
    info : DataInfo
    """
    classes = problem.n_outputs > 1 and options.fit_intercept  # their certificate needs exact centres
    fraction = 1.0 if options.standardize or classes else min(1.0, SAMPLE_ROWS / max(dataset.n_rows, 1))
    # On a few rows, threads would cost more than they save.
    light = fraction < 1.0 and dataset.n_rows < PARALLEL_ROWS
    parts, tallies = zip(*engine.map(partial(_look, fraction), shards, light=light), strict=True)
    seen = _looked_again(_seen(parts), fraction, shards, engine)
    center, scale, rarity = _units(*seen, options.fit_intercept, exact=options.standardize)
    if not options.standardize:
        own, scale = scale, _bent(problem, problem.common_scale(scale))
        rarity = rarity * (own / problem.common_scale(own)) ** 2
    penalty = problem.scaled_penalty(dataset.n_columns, None if options.standardize else scale)
    null, reference = _null_model(problem, _Targets(problem.loss, shards, engine, tallies), options)
    info = DataInfo(
        dataset.n_rows, dataset.n_columns, problem.n_outputs, center, scale, penalty, reference,
        (np.zeros(dataset.n_columns * problem.n_outputs), null), dataset.sparse, rarity,
        len(shards), max(shard.n_rows for shard in shards), resident=dataset.in_memory,
        single=any(part.single for part in parts),
    )  # fmt: skip
    if classes or not penalty.has_dual:
        few = 1.0 if classes else min(1.0, NORM_ROWS / info.n_rows)
        gradient = _null_gradient(problem, info, shards, engine, few)
        info = replace(
            info,
            reference=reference._replace(
                gradient_norm=float(np.linalg.norm(gradient)), null_gradient=gradient if classes else None
            ),
        )
    if options.start is None:
        return info
    coef, intercept = options.start
    if not options.fit_intercept:  # it would stay as an offset that no certificate knows of
        intercept = np.zeros_like(intercept)
    start = original_to_internal(info, coef, intercept)
    if classes:
        start = _without_absent(*start, null, reference.shares)
    return replace(info, start=start, warm=True)


def _null_gradient(problem: Problem, info: DataInfo, shards: list[Shard], engine: Engine, fraction: float) -> Floats:
    """Return the loss gradient at ``w = 0`` on a sample: what gradients are small relative to."""
    point = evaluation.query(info, evaluation.Iterate(*info.start), fraction=fraction)
    return evaluate(problem, info, shards, engine, point)[0].gradient


def _look(fraction: float, shard: Shard) -> tuple[ColumnMoments, Tally | None]:
    return shard.moments(fraction, Workspace()), _tally(shard)


def _tally(shard: Shard) -> Tally | None:
    """Return the distinct targets of a shard and the weight of each, if they are few and rows have no offsets."""
    few, y = shard.y[:SAMPLE_ROWS], shard.y
    if shard.offset.size or not np.all((few >= -1.0) & (few < COUNTED) & (few == np.rint(few))):
        return None
    if not (y.min(initial=0.0) >= -1.0 and y.max(initial=0.0) < COUNTED):
        return None
    whole = y.astype(np.int64)
    if not np.array_equal(whole, y):
        return None
    weights = np.bincount(whole + 1, shard.weight if shard.weight.size else None).astype(np.float64)
    seen = np.flatnonzero(weights)
    return seen.astype(np.float64) - 1.0, weights[seen]


def _seen(parts: Sequence[ColumnMoments]) -> Columns:
    """Return mean, deviation and largest distance from the mean of the rows looked at."""
    with np.errstate(invalid="ignore", over="ignore"):  # columns that are not finite keep centre 0 and scale 1
        return pooled_moments(list(parts))


def _looked_again(seen: Columns, fraction: float, shards: list[Shard], engine: Engine) -> Columns:
    """Return the same with columns that a sample shows as constant looked at in all rows.

    What is the same in thousands of rows may be large in a few others, and only these tell its unit.
    """
    mean, deviation, largest = seen
    columns = np.flatnonzero(~(deviation > FLAT * np.abs(mean)) & np.isfinite(mean + deviation))
    if fraction >= 1.0 or not columns.size:
        return seen
    again = _seen(engine.map(partial(_look_at, columns), shards))
    for values, of_all in zip(seen, again, strict=True):
        values[columns] = of_all
    with np.errstate(invalid="ignore"):  # a scale as if a sample had shown one of the rows
        deviation[columns] = np.maximum(deviation[columns], largest[columns] / math.sqrt(SAMPLE_ROWS))
    return mean, deviation, largest


def _look_at(columns: NDArray[np.int64], shard: Shard) -> ColumnMoments:
    return shard.moments(1.0, Workspace(), columns)


def _units(mean: Floats, deviation: Floats, largest: Floats, center: bool, *, exact: bool) -> Columns:
    """Return centres (zeros when columns must not move), scales and rarities.

    A column that is constant as far as is known has scale 1 or its value.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        spread = deviation if center or exact else np.hypot(deviation, mean)
        constant = ~(spread > np.maximum(FLAT * np.abs(mean), LEAST)) | ~np.isfinite(mean + spread)
    scale, rarity = spread.copy(), np.full(len(mean), float(SAMPLE_ROWS))
    scale[constant] = 1.0
    if not exact:
        known = constant & np.isfinite(mean) & (np.abs(mean) > LEAST)
        scale[known] = np.abs(mean[known])
    rarity[~constant] = np.minimum((largest[~constant] / scale[~constant]) ** 2, SAMPLE_ROWS)
    mean = np.where(np.isfinite(mean), mean, 0.0)
    return (mean if center else np.zeros(len(mean))), scale, rarity


def _bent(problem: Problem, scale: Floats) -> Floats:
    """Return scales with which the curvature of the penalty is finite, whatever the units of the columns."""
    with np.errstate(over="ignore", invalid="ignore"):
        curvature = problem.scaled_penalty(len(scale), scale).curvature()[:: problem.n_outputs]
    return np.where(curvature < 1.0 / LEAST, scale, np.maximum(scale, math.sqrt(SMALL)))


def _null_model(problem: Problem, targets: _Targets, options: Options) -> tuple[Floats, Reference]:
    """Return the best intercept at ``w = 0``, and the reference of certificates there."""
    if problem.n_outputs > 1:
        return _null_classes(problem, targets, options)
    b, (total, _, _, at_zero) = _best_constant(targets) if options.fit_intercept else (0.0, targets.sums(0.0))
    n = targets.n_rows
    reference = Reference((total + at_zero) / n, math.nan, at_zero / n, options.fit_intercept, options.tol)
    return np.array([b]), reference


def _without_absent(u: Floats, b: Floats, null: Floats, shares: Floats | None) -> tuple[Floats, Floats]:
    """Return a start in which classes without targets have coefficients of 0 and an intercept as low as at the null.

    Their best intercept is minus infinity: steps from anywhere near would take for ever.
    """
    assert shares is not None
    absent = shares == 0.0
    if not absent.any():
        return u, b
    low = b[~absent].mean() + null - null[~absent].mean()
    coef = np.where(absent, 0.0, u.reshape(-1, b.size))
    return coef.ravel(), np.where(absent, np.minimum(b, low), b)


class _Targets:
    """Targets, weights and offsets of all shards: what the null model is fitted to, without a look at the features.

    Where each shard has counted its targets, nothing more is asked of shards.
    """

    def __init__(self, loss: Any, shards: list[Shard], engine: Engine, tallies: Sequence[Tally | None]) -> None:
        self.loss, self._shards, self._engine = loss, shards, engine
        self.n_rows = sum(shard.n_rows for shard in shards)
        known = [tally for tally in tallies if tally is not None]
        self._known = tuple(map(np.concatenate, zip(*known, strict=True))) if len(known) == len(tallies) else None

    def sums(self, b: float) -> tuple[float, float, float, float]:
        """Return the sums of loss, its two derivatives, and the conjugate at zero, with the intercept ``b``."""
        if self._known is not None:
            return _loss_sums(self.loss, np.array([b]), *self._known)
        few = self.n_rows < PARALLEL_ROWS
        parts = self._engine.map(partial(_shard_sums, self.loss, b), self._shards, light=few)
        total, slope, bend, at_zero = np.sum(parts, axis=0)
        return float(total), float(slope), float(bend), float(at_zero)

    def start(self) -> float:
        """Return the link of the mean target, less the mean offset."""
        if self._known is not None:
            y, weight = self._known
            return float(self.loss.link(float(y @ weight) / float(weight.sum())))
        total, weight, offset = np.sum(self._engine.map(_target_sums, self._shards, light=True), axis=0)
        return float(self.loss.link(total / weight)) - float(offset) / self.n_rows

    def counts(self, n_classes: int) -> Floats:
        """Return the weight of each class."""
        if self._known is not None:
            return np.asarray(np.bincount(self._known[0].astype(np.int64), self._known[1], n_classes), np.float64)
        each = self._engine.map(partial(_class_counts, n_classes), self._shards, light=True)
        return np.asarray(np.sum(each, axis=0))


def _loss_sums(loss: Any, z: Floats, y: Floats, weight: Floats) -> tuple[float, float, float, float]:
    from offbeat.kernels.evaluation import loss_sum

    total, slope, bend, at_zero = loss_sum(loss, z, y, weight)
    return total, slope, bend, at_zero


def _shard_sums(loss: Any, b: float, shard: Shard) -> tuple[float, float, float, float]:
    return _loss_sums(loss, shard.offset + b if shard.offset.size else np.array([b]), shard.y, shard.weight)


def _target_sums(shard: Shard) -> tuple[float, float, float]:
    """Return the sums of weighted targets, of weights and of offsets."""
    y = float(shard.y @ shard.weight if shard.weight.size else shard.y.sum())
    weight = float(shard.weight.sum() if shard.weight.size else shard.n_rows)
    return y, weight, float(shard.offset.sum()) if shard.offset.size else 0.0


def _class_counts(n_classes: int, shard: Shard) -> Floats:
    weight = shard.weight if shard.weight.size else None
    return np.bincount(shard.y.astype(np.int64), weights=weight, minlength=n_classes).astype(np.float64)


def _best_constant(targets: _Targets) -> tuple[float, tuple[float, float, float, float]]:
    """Return the best intercept without features, by safeguarded Newton steps, and the sums there.

    Where the best constant is the link of the mean (squared, logistic, Poisson, gamma), that is where it starts.
    """
    if not smooth(targets.loss):
        return _best_kink(targets)
    b, step = targets.start(), 0.0
    best = targets.sums(b)
    for _ in range(100):
        value, slope, bend, _ = best
        if not abs(slope) > 1e-13 * abs(value):
            break
        step = -slope / max(bend, 1e-6 * targets.n_rows)
        trial = targets.sums(b + step)
        while not trial[0] <= value and abs(step) > 1e-12 * (1.0 + abs(b)):  # too far, or not finite
            step *= 0.5
            trial = targets.sums(b + step)
        if not trial[0] <= value or abs(step) <= 1e-12 * (1.0 + abs(b)):
            break
        b, best = b + step, trial
    return b, best


def _best_kink(targets: _Targets) -> tuple[float, tuple[float, float, float, float]]:
    """Return the best intercept of a loss with kinks: where the slope changes its sign, by bisection."""
    low, high = -1.0, 1.0
    for _ in range(60):
        if targets.sums(low)[1] <= 0.0 <= targets.sums(high)[1]:
            break
        low, high = 2.0 * low, 2.0 * high
    for _ in range(100):  # bisections, which end where the best intercept is 0, too
        if not high - low > 1e-9 * (abs(low) + abs(high)):
            break
        middle = 0.5 * (low + high)
        low, high = (middle, high) if targets.sums(middle)[1] < 0.0 else (low, middle)
    # Where all targets are the same, they are hit by the start and not by halving.
    ends = [(b, targets.sums(b)) for b in (low, high, targets.start())]
    return min(ends, key=lambda end: end[1][0])


def _null_classes(problem: Problem, targets: _Targets, options: Options) -> tuple[Floats, Reference]:
    """Return log class shares as intercepts, and the entropy of the classes as the reference."""
    counts = targets.counts(problem.n_outputs)
    shares = counts / counts.sum()
    mean_weight = float(counts.sum()) / targets.n_rows
    b, value = null_classes(shares, fit_intercept=options.fit_intercept)
    return b, Reference(value * mean_weight, math.nan, 0.0, options.fit_intercept, options.tol, shares * mean_weight)


def null_classes(shares: Floats, *, fit_intercept: bool) -> tuple[Floats, float]:
    """Return the best intercepts of several classes without features, and the mean loss there.

    Parameters
    ----------
    shares : ndarray, shape (n_classes,)
        Share of each class in the weights; their sum is 1.
    fit_intercept : bool
        Without, intercepts are zero.

    Returns
    -------
    intercepts : ndarray, shape (n_classes,)
        Logarithms of the shares, with mean zero.
    loss : float
        The entropy of the classes, where there are intercepts.

    Examples
    --------
    >>> null_classes(np.array([0.5, 0.5]), fit_intercept=True)[0].tolist()
    [0.0, 0.0]
    """
    logs = np.log(np.maximum(shares, 1e-300))
    b = logs - logs.mean() if fit_intercept else np.zeros(shares.size)
    return b, math.log(float(np.exp(b).sum())) - float(shares @ b)
