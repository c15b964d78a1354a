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
GRADIENT_SAMPLE_ROWS = 16384
MIN_ROWS_FOR_THREADS = 50_000
MIN_RELATIVE_DEVIATION = 1e-12  # deviation over mean: below it, a column counts as constant
MIN_DEVIATION = 1e-300  # smaller ones have no finite reciprocal
MIN_SQUARED_SCALE = 1e-280  # of a column with a penalty: its curvature divides by it
MAX_COUNTED_TARGET = 64  # whole numbers from -1 to below this are counted, each with its weight
TargetCounts: TypeAlias = tuple[Floats, Floats]
"""Distinct targets and the weight of each."""
Statistics: TypeAlias = tuple[Floats, Floats, Floats]
"""Three arrays with a value for each column: mean, deviation, largest distance; or centre, scale, rarity."""


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
    """Read the data once, or a sample of it where centres and scales only precondition.

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
    # On a sample of few rows, threads would cost more than they save.
    light = fraction < 1.0 and dataset.n_rows < MIN_ROWS_FOR_THREADS
    parts, counts = zip(*engine.map(partial(_moments_and_targets, fraction), shards, light=light), strict=True)
    seen = _with_constant_columns(_combined(parts), fraction, shards, engine)
    center, scale, rarity = _centres_and_scales(*seen, options.fit_intercept, exact=options.standardize)
    if not options.standardize:
        common = problem.common_scale(scale)
        rarity = rarity * (scale / common) ** 2
        scale = problem.common_scale(_bounded_scales(problem, common))
    penalty = problem.scaled_penalty(dataset.n_columns, None if options.standardize else scale)
    null, reference = _null_model(problem, _Targets(problem.loss, shards, engine, counts), options)
    info = DataInfo(
        dataset.n_rows, dataset.n_columns, problem.n_outputs, center, scale, penalty, reference,
        (np.zeros(dataset.n_columns * problem.n_outputs), null), dataset.sparse, rarity,
        len(shards), max(shard.n_rows for shard in shards), resident=dataset.in_memory,
        single=any(part.single for part in parts),
    )  # fmt: skip
    if classes or not penalty.has_dual:
        few = 1.0 if classes else min(1.0, GRADIENT_SAMPLE_ROWS / info.n_rows)
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
        start = _without_absent_classes(*start, null, reference.shares)
    return replace(info, start=start, warm=True)


def _null_gradient(problem: Problem, info: DataInfo, shards: list[Shard], engine: Engine, fraction: float) -> Floats:
    """Return the loss gradient at ``w = 0`` on a sample: what gradients are small relative to."""
    point = evaluation.query(info, evaluation.Iterate(*info.start), fraction=fraction)
    return evaluate(problem, info, shards, engine, point)[0].gradient


def _moments_and_targets(fraction: float, shard: Shard) -> tuple[ColumnMoments, TargetCounts | None]:
    return shard.moments(fraction, Workspace()), _target_counts(shard)


def _target_counts(shard: Shard) -> TargetCounts | None:
    """Return the distinct targets of a shard and the weight of each, if they are few and rows have no offsets."""
    few, y = shard.y[:SAMPLE_ROWS], shard.y
    if shard.offset.size or not np.all((few >= -1.0) & (few < MAX_COUNTED_TARGET) & (few == np.rint(few))):
        return None
    if not (y.min(initial=0.0) >= -1.0 and y.max(initial=0.0) < MAX_COUNTED_TARGET):
        return None
    whole = y.astype(np.int64)
    if not np.array_equal(whole, y):
        return None
    weights = np.bincount(whole + 1, shard.weight if shard.weight.size else None).astype(np.float64)
    seen = np.flatnonzero(weights)
    return seen.astype(np.float64) - 1.0, weights[seen]


def _combined(parts: Sequence[ColumnMoments]) -> Statistics:
    """Return mean, deviation and largest distance from the mean of each column, over the rows read."""
    with np.errstate(invalid="ignore", over="ignore"):  # columns that are not finite keep centre 0 and scale 1
        return pooled_moments(list(parts))


def _with_constant_columns(seen: Statistics, fraction: float, shards: list[Shard], engine: Engine) -> Statistics:
    """Return the statistics with those of columns that are constant in the sample taken from all rows.

    A column may be constant in thousands of rows and large in a few others, which alone tell its unit.
    """
    mean, deviation, largest = seen
    columns = np.flatnonzero(~(deviation > MIN_RELATIVE_DEVIATION * np.abs(mean)) & np.isfinite(mean + deviation))
    if fraction >= 1.0 or not columns.size:
        return seen
    again = _combined(engine.map(partial(_column_moments, columns), shards))
    for values, of_all in zip(seen, again, strict=True):
        values[columns] = of_all
    with np.errstate(invalid="ignore"):  # the scale that a sample with one of these rows would give
        deviation[columns] = np.maximum(deviation[columns], largest[columns] / math.sqrt(SAMPLE_ROWS))
    return mean, deviation, largest


def _column_moments(columns: NDArray[np.int64], shard: Shard) -> ColumnMoments:
    return shard.moments(1.0, Workspace(), columns)


def _centres_and_scales(mean: Floats, deviation: Floats, largest: Floats, center: bool, *, exact: bool) -> Statistics:
    """Return centres (zeros without an intercept), scales and rarities.

    A column that is constant in the rows read has its absolute value as its scale, or 1.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        spread = deviation if center or exact else np.hypot(deviation, mean)
        least = np.maximum(MIN_RELATIVE_DEVIATION * np.abs(mean), MIN_DEVIATION)
        constant = ~(spread > least) | ~np.isfinite(mean + spread)
    scale, rarity = spread.copy(), np.full(len(mean), float(SAMPLE_ROWS))
    scale[constant] = 1.0
    if not exact:
        known = constant & np.isfinite(mean) & (np.abs(mean) > MIN_DEVIATION)
        scale[known] = np.abs(mean[known])
    rarity[~constant] = np.minimum((largest[~constant] / scale[~constant]) ** 2, SAMPLE_ROWS)
    mean = np.where(np.isfinite(mean), mean, 0.0)
    return (mean if center else np.zeros(len(mean))), scale, rarity


def _bounded_scales(problem: Problem, scale: Floats) -> Floats:
    """Return the scales, raised where the curvature of the penalty would not be finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        curvature = problem.scaled_penalty(len(scale), scale).curvature()[:: problem.n_outputs]
    return np.where(curvature < 1.0 / MIN_DEVIATION, scale, np.maximum(scale, math.sqrt(MIN_SQUARED_SCALE)))


def _null_model(problem: Problem, targets: _Targets, options: Options) -> tuple[Floats, Reference]:
    """Return the best intercept at ``w = 0``, and the reference of certificates there."""
    if problem.n_outputs > 1:
        return _null_classes(problem, targets, options)
    b, (total, _, _, at_zero) = _best_constant(targets) if options.fit_intercept else (0.0, targets.sums(0.0))
    n = targets.n_rows
    reference = Reference((total + at_zero) / n, math.nan, at_zero / n, options.fit_intercept, options.tol)
    return np.array([b]), reference


def _without_absent_classes(u: Floats, b: Floats, null: Floats, shares: Floats | None) -> tuple[Floats, Floats]:
    """Return the start with classes without targets as in the null model: coefficients 0 and a low intercept.

    Their best intercept is minus infinity, which steps from a higher one would not reach.
    """
    assert shares is not None
    absent = shares == 0.0
    if not absent.any():
        return u, b
    low = b[~absent].mean() + null - null[~absent].mean()
    coef = np.where(absent, 0.0, u.reshape(-1, b.size))
    return coef.ravel(), np.where(absent, np.minimum(b, low), b)


class _Targets:
    """Targets, weights and offsets of all shards: what the null model is fitted to. Features are not read.

    Where each shard has counted its targets, the counts are enough and shards are not asked again.
    """

    def __init__(self, loss: Any, shards: list[Shard], engine: Engine, counts: Sequence[TargetCounts | None]) -> None:
        self.loss, self._shards, self._engine = loss, shards, engine
        self.n_rows = sum(shard.n_rows for shard in shards)
        known = [counted for counted in counts if counted is not None]
        self._known = tuple(map(np.concatenate, zip(*known, strict=True))) if len(known) == len(counts) else None

    def sums(self, b: float) -> tuple[float, float, float, float]:
        """Return the sums of loss, its two derivatives, and the conjugate at zero, with the intercept ``b``."""
        if self._known is not None:
            return _loss_sums(self.loss, np.array([b]), *self._known)
        few = self.n_rows < MIN_ROWS_FOR_THREADS
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
    for _ in range(100):  # bisections; the bound ends them also where the best intercept is 0
        if not high - low > 1e-9 * (abs(low) + abs(high)):
            break
        middle = 0.5 * (low + high)
        low, high = (middle, high) if targets.sums(middle)[1] < 0.0 else (low, middle)
    # Where all targets are the same, the start is exact and bisection is not.
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
