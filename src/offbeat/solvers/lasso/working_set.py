"""The shard's side of `ProximalNewton`: choose a working set, minimise over it, evaluate the result on all columns.

Vectors are in the units of the columns. ``w`` are the coefficients, ``b`` is the intercept for centred columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Point, Shard, Workspace
from offbeat.kernels.arguments import PenaltyScaling
from offbeat.problem import Floats, Problem
from offbeat.sideways import protocol
from offbeat.solvers._common import hessian_products
from offbeat.solvers._common.constants import SUFFICIENT_DECREASE
from offbeat.solvers.lasso import column_models, column_store, residual_steps
from offbeat.solvers.lasso.column_models import DAMPING_RANGE, GramMatrix, WorkingSetGradient, WorkingSetProblem
from offbeat.solvers.lasso.column_store import ColumnStatistics, ColumnStore

MIN_WORKING_SET = 128  # columns
MAX_GROWTH = 2.5  # size of a working set, over the number of nonzero coefficients
GRAM_ACCURACY = 0.01  # final over first move of the descent on a Gram matrix
MIN_GRAM_ACCURACY = 1e-9
MAX_OLD_GRAM_RATIO = 0.05  # of successive violations; above, an old Gram matrix is computed again
SLOW_DESCENT_RATIO = 0.3  # of successive violations over the same columns; above, exact solutions are used
MAX_LINE_SEARCH_STEPS = 40
RELATIVE_ROUNDING = 2e-13  # of the objective, as a sum over rows
MIN_MEASURABLE_DECREASE = 1e-10  # of the objective; steps that predict less are accepted without a measured decrease


class WorkingSetQuery(NamedTuple):
    """The point to start from, with the loss and its gradient there (for centred columns, in their units).

    The gradient is empty in the first query. ``excess`` is the tolerance over the gap of the point, ``floor`` the least
    gain that matters, as a mean objective. The penalty of coefficient ``w`` is that of ``factor * w``, with ``weight``.
    When columns are added, so are those that violate optimality with the smaller strength ``eager``. ``cold`` tells
    that the start is not a warm one. ``allowance`` bounds the passes of a step.
    """

    at: Point
    gradient: Floats
    slope: float
    loss: float
    excess: float
    floor: float
    factor: Floats
    weight: Floats
    eager: float = math.nan
    cold: bool = False
    allowance: float = math.inf


@dataclass(frozen=True)
class WorkingSetLocal:
    """Local state: curvatures of the rows at the last point, statistics of columns, stored columns or a Gram matrix.

    ``first`` is the largest move of the first sweep in the last round. ``stale`` tells that the Gram matrix must be
    computed again, ``creeping`` that coordinate descent on it is slow. ``damping`` bounds curvatures of rows below.
    """

    workspace: Workspace
    bend: Floats | None = None
    about: ColumnStatistics | None = None
    store: ColumnStore | None = None
    gram: GramMatrix | None = None
    first: float = math.inf
    stale: bool = False
    creeping: bool = False
    damping: float = 1e-6


class WorkingSetRound(NamedTuple):
    """Result of a round: the local state, the point, its sums, and the work in passes."""

    local: WorkingSetLocal
    at: Point
    sums: Floats
    work: float


def local_step(problem: Problem, shard: Shard, local: WorkingSetLocal, query: WorkingSetQuery) -> protocol.Step:
    """Make one round. The contribution holds the sums at the new point, coefficients, intercept and work."""
    if not query.gradient.size:
        sums, curvature = hessian_products.evaluate(problem, shard, local.workspace, query.at)
        found = WorkingSetRound(replace(local, bend=curvature), query.at, sums, 1.0)
    else:
        found = improve(problem, shard, local, query)
    payload = np.concatenate([found.sums, found.at.coef, found.at.intercept, [found.work]])
    return protocol.Step(found.local, payload, found.work, "working set" if query.gradient.size else "gradient")


def improve(problem: Problem, shard: Shard, local: WorkingSetLocal, query: WorkingSetQuery) -> WorkingSetRound:
    """Choose a working set and minimise over it. Return the new point, evaluated on all columns."""
    from offbeat.kernels import coordinate

    at, rule = query.at, problem.penalty._replace(weights=None)
    about = local.about or column_store.column_statistics(shard, local.workspace, at.center)
    scaling = PenaltyScaling(query.factor, query.weight)
    violation = coordinate.violations(rule, at.coef, query.gradient, scaling)
    eager = violation
    if query.eager >= 0.0:
        eager = coordinate.violations(rule._replace(alpha=query.eager), at.coef, query.gradient, scaling)
    keep = local.gram if problem.loss.quadratic else None
    columns, ranked, complete = _choose_columns(at.coef, violation, eager, about, local.gram, keep)
    local = replace(local, about=about)
    task = WorkingSetProblem(
        problem, shard, local.workspace, columns, at.center[columns],
        PenaltyScaling(query.factor[columns], query.weight[columns]), float(about.counts[columns].sum()), at.repair,
    )  # fmt: skip
    if column_models.gram_pays(task):
        return _by_gram(task, local, query, complete)
    return _by_residuals(task, local, query, ranked, complete)


def _choose_columns(
    w: Floats,
    violation: Floats,
    eager: Floats,
    about: ColumnStatistics,
    gram: GramMatrix | None,
    keep: GramMatrix | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Return the working set, other violating columns in order, and whether the set has all violating columns.

    Columns are ranked by the gain from moving each alone: its squared violation over its curvature. If the columns of
    the Gram matrix include all that matter, they are used again. Those of a matrix to ``keep`` always come first.
    ``eager`` are the violations for the smaller strength of the penalty, if the query has one.
    """
    used, violating = np.flatnonzero(w), np.flatnonzero((violation > 0.0) & (w == 0.0))
    if gram is not None:
        known = np.zeros(w.size, np.bool_)
        known[gram.columns] = True
        if known[violating].all() and known[used].all():
            return gram.columns, violating[:0], True
    gain = eager / np.sqrt(np.where(about.squares > 0.0, about.squares, np.inf))
    gain[used] = 0.0
    room = int(max(MIN_WORKING_SET, MAX_GROWTH * used.size)) - used.size
    candidates = np.flatnonzero(gain)
    ranked = candidates[np.argsort(-gain[candidates], kind="stable")]
    complete = violating.size <= room and bool(np.isin(violating, ranked[:room]).all())
    chosen = np.concatenate([used, ranked[:room]])
    chosen = chosen[np.argsort(-about.counts[chosen], kind="stable")]  # frequent columns first
    if keep is not None and keep.columns.size + chosen.size <= column_models.MAX_GRAM_COLUMNS:
        chosen = np.concatenate([keep.columns, chosen[~known[chosen]]])
    return chosen, ranked[room:], complete


def _by_gram(
    task: WorkingSetProblem, local: WorkingSetLocal, query: WorkingSetQuery, complete: bool
) -> WorkingSetRound:
    """Take a step with the Gram matrix, with a line search."""
    work, quadratic, gram, curvature = 0.0, bool(task.problem.loss.quadratic), local.gram, local.bend
    if curvature is None:  # the local state may have been lost
        _, curvature = hessian_products.evaluate(task.problem, task.shard, local.workspace, query.at)
        work += 1.0
    same = gram is not None and gram.columns is task.columns
    if gram is None or not same or local.stale:
        first = gram if quadratic and gram is not None and _starts_with(task.columns, gram.columns) else None
        gram, work = (
            column_models.make_gram(task, _bounded_curvature(task, curvature, local.damping), first),
            work + 2.0,
        )
        local = local if same else replace(local, first=math.inf, creeping=False)
        gram = gram._replace(columns=task.columns)
    w = query.at.coef[task.columns]
    slopes = WorkingSetGradient(query.gradient[task.columns], query.slope)
    share = (
        GRAM_ACCURACY if not quadratic else min(max(0.1 * query.excess, MIN_GRAM_ACCURACY), 0.1) if complete else 0.1
    )
    limits = (share, math.sqrt(query.floor))
    step = column_models.step_by_gram(task, w, slopes, gram, limits, exact=local.creeping)
    found = _line_search(task, local, query, w, step)
    shorter = found.local.damping > local.damping or found.at is query.at
    stale = not quadratic and (shorter or step.first > MAX_OLD_GRAM_RATIO * local.first)
    creeping = same and (local.creeping or step.first > SLOW_DESCENT_RATIO * local.first)
    kept = replace(found.local, gram=gram, first=step.first, stale=stale, creeping=creeping)
    return found._replace(local=kept, work=found.work + work)


def _starts_with(columns: NDArray[np.int64], others: NDArray[np.int64]) -> bool:
    """Whether an array of columns begins with another, shorter one."""
    return columns.size > others.size and bool(np.array_equal(columns[: others.size], others))


def _bounded_curvature(task: WorkingSetProblem, curvature: Floats, damping: float) -> Floats:
    """Return the curvatures of the rows, bounded below by the damping unless the loss is quadratic."""
    if task.problem.loss.quadratic:
        return curvature
    least = damping * (task.problem.loss.smoothness if math.isfinite(task.problem.loss.smoothness) else 1e-6)
    floor: Floats = np.maximum(curvature, least * task.shard.weight if task.shard.weight.size else least)
    return floor


def _line_search(
    task: WorkingSetProblem,
    local: WorkingSetLocal,
    query: WorkingSetQuery,
    w: Floats,
    step: column_models.WorkingSetStep,
) -> WorkingSetRound:
    """Backtrack along a step to a sufficient decrease. Each trial point is evaluated on all columns."""
    from offbeat.kernels import coordinate

    at, work, length, n = query.at, 0.0, 1.0, task.shard.n_rows
    penalty_change = float(coordinate.penalty_change(task.rule, w, w + step.d, task.scaling))
    predicted = float(query.gradient[task.columns] @ step.d) + query.slope * step.b + penalty_change
    damping = local.damping
    for _ in range(MAX_LINE_SEARCH_STEPS):
        new = w + step.d if length == 1.0 else w + length * step.d  # zeros stay exact zeros
        coef = np.zeros_like(at.coef)
        coef[task.columns] = new
        point = at._replace(coef=coef, intercept=at.intercept + length * step.b)
        sums, curvature = hessian_products.evaluate(task.problem, task.shard, local.workspace, point)
        work += 1.0
        change = float(sums[0]) / n - query.loss
        change += float(coordinate.penalty_change(task.rule, w, new, task.scaling))
        rounding = (
            RELATIVE_ROUNDING if abs(predicted) > MIN_MEASURABLE_DECREASE * abs(query.loss) else MIN_MEASURABLE_DECREASE
        ) * abs(query.loss)
        if change <= SUFFICIENT_DECREASE * length * predicted + rounding:
            damping = max(0.1 * damping, DAMPING_RANGE[0]) if length == 1.0 else damping
            return WorkingSetRound(replace(local, bend=curvature, damping=damping), point, sums, work)
        length *= 0.5
        damping = min(10.0 * damping, DAMPING_RANGE[1])
    sums, curvature = hessian_products.evaluate(task.problem, task.shard, local.workspace, at)
    return WorkingSetRound(replace(local, bend=curvature, damping=damping), at, sums, work + 1.0)


def _by_residuals(
    task: WorkingSetProblem, local: WorkingSetLocal, query: WorkingSetQuery, ranked: NDArray[np.int64], complete: bool
) -> WorkingSetRound:
    """Minimise over stored columns by residuals, and evaluate the result on all columns."""
    work, store, about = 0.0, local.store, local.about
    assert about is not None
    if store is None or np.any(store.place[task.columns] < 0):
        store = column_store.fetch(task.shard, local.workspace, about, task.columns, ranked, query.at.center)
        work += 2.0
    at_hand = (store.columns, store.place[task.columns].astype(np.int64))
    share = task.stored / max(float(about.counts.sum()), 1.0)  # cost of a sweep, in passes
    most = max((query.allowance - work - 1.0) / max(share, 1e-9), 1.0)
    stopping = residual_steps.StoppingRule(query.excess, query.floor, complete, most)
    found = residual_steps.minimise(task, at_hand, query.at, local.damping, stopping)
    work += found.sweeps * share
    sums, curvature = hessian_products.evaluate(task.problem, task.shard, local.workspace, found.at)
    local = replace(local, store=store, bend=curvature, damping=found.damping, gram=None)
    return WorkingSetRound(local, found.at, sums, work + 1.0)
