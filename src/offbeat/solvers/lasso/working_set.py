"""The shard's side of `ProximalNewton`: choose columns, minimise over them, evaluate the result on all columns.

All is in the units of the columns; ``w`` are the coefficients and ``b`` is the intercept about the centre.
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
from offbeat.solvers.lasso import column_models, column_store, residual_steps
from offbeat.solvers.lasso.column_models import Gram, Slopes, Task
from offbeat.solvers.lasso.column_store import Facts, Store

FEW = 128  # columns at least in a working set
GROWTH = 2.5  # times the columns in use, that a working set has at most
FINE = 0.01  # of its first violation, that the descent on a Gram matrix leaves
LEAST_SHARE = 1e-9
LAGGING = 0.05  # of the last violation: an old Gram matrix that leaves more is made anew
CREEPING = 0.3  # of the last violation over the same columns, from which coordinate descent alone is too slow
TRIALS = 40
ENOUGH = 1e-4  # of the foretold decrease, that a step must win
NOISE = 2e-13  # of the objective, that sums over rows are rounded by
UNSURE = 1e-10  # of the objective: what wins no more is believed, not measured
FLOORS = (1e-12, 1.0)  # range of the least curvature of a row, over that of the loss


class Query(NamedTuple):
    """Where to start, and what is known there: loss and its gradient, about the centre, in the columns' units.

    The gradient is empty at the very start. ``excess`` is the tolerated gap over that of this point, ``floor`` the
    least gain that matters, as a mean objective. The penalty of coefficient ``w`` is that of ``factor * w``, with
    ``weight``; with the strength ``eager``, below the true one, columns that violate optimality come along when others
    do. ``cold`` says that nothing speaks for the start. ``allowance`` bounds the passes of a step.
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
class Local:
    """What a shard keeps: curvature of its rows at the last point, columns at hand or their Gram matrix.

    ``first`` is the largest move of the first sweep, the last time; ``stale`` says that the matrix must be made anew,
    ``creeping`` that coordinate descent on it left too much; ``damping`` how small curvatures may be.
    """

    workspace: Workspace
    bend: Floats | None = None
    about: Facts | None = None
    store: Store | None = None
    gram: Gram | None = None
    first: float = math.inf
    stale: bool = False
    creeping: bool = False
    damping: float = 1e-6


class Found(NamedTuple):
    """The outcome of a round: what to keep, the point, its sums, and the cost in passes."""

    local: Local
    at: Point
    sums: Floats
    work: float


def local_step(problem: Problem, shard: Shard, local: Local, query: Query) -> protocol.Step:
    """Better the point and evaluate the result; the contribution is the sums there, coefficients, intercept, work."""
    if not query.gradient.size:
        sums, bend = hessian_products.evaluate(problem, shard, local.workspace, query.at)
        found = Found(replace(local, bend=bend), query.at, sums, 1.0)
    else:
        found = bettered(problem, shard, local, query)
    payload = np.concatenate([found.sums, found.at.coef, found.at.intercept, [found.work]])
    return protocol.Step(found.local, payload, found.work, "working set" if query.gradient.size else "gradient")


def bettered(problem: Problem, shard: Shard, local: Local, query: Query) -> Found:
    """Return a better point, evaluated."""
    from offbeat.kernels import coordinate

    at, rule = query.at, problem.penalty._replace(weights=None)
    about = local.about or column_store.facts(shard, local.workspace, at.center)
    scaling = PenaltyScaling(query.factor, query.weight)
    far = coordinate.violations(rule, at.coef, query.gradient, scaling)
    eager = far
    if query.eager >= 0.0:
        eager = coordinate.violations(rule._replace(alpha=query.eager), at.coef, query.gradient, scaling)
    keep = local.gram if problem.loss.quadratic else None
    columns, ranked, complete = _chosen(at.coef, far, eager, about, local.gram, keep)
    local = replace(local, about=about)
    task = Task(
        problem, shard, local.workspace, columns, at.center[columns],
        PenaltyScaling(query.factor[columns], query.weight[columns]), float(about.counts[columns].sum()), at.repair,
    )  # fmt: skip
    if column_models.gram_pays(task):
        return _by_gram(task, local, query, complete)
    return _by_residuals(task, local, query, ranked, complete)


def _chosen(
    w: Floats, far: Floats, eager: Floats, about: Facts, gram: Gram | None, keep: Gram | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Return the columns to work on, the others that violate most, and whether all that do are in.

    A column is worth what moving it alone would win: the square of its violation over its curvature. The columns of a
    Gram matrix are taken again when they are all that matter; those of one to ``keep`` come first in any case.
    """
    used, guilty = np.flatnonzero(w), np.flatnonzero((far > 0.0) & (w == 0.0))
    if gram is not None:
        known = np.zeros(w.size, np.bool_)
        known[gram.columns] = True
        if known[guilty].all() and known[used].all():
            return gram.columns, guilty[:0], True
    worth = eager / np.sqrt(np.where(about.squares > 0.0, about.squares, np.inf))
    worth[used] = 0.0
    room = int(max(FEW, GROWTH * used.size)) - used.size
    candidates = np.flatnonzero(worth)
    ranked = candidates[np.argsort(-worth[candidates], kind="stable")]
    complete = guilty.size <= room and bool(np.isin(guilty, ranked[:room]).all())
    chosen = np.concatenate([used, ranked[:room]])
    chosen = chosen[np.argsort(-about.counts[chosen], kind="stable")]  # columns that meet often lie side by side
    if keep is not None and keep.columns.size + chosen.size <= column_models.LARGEST:
        chosen = np.concatenate([keep.columns, chosen[~known[chosen]]])
    return chosen, ranked[room:], complete


def _by_gram(task: Task, local: Local, query: Query, complete: bool) -> Found:
    """Take a step on the Gram matrix; shorten it until the objective falls enough."""
    work, quadratic, gram, bend = 0.0, bool(task.problem.loss.quadratic), local.gram, local.bend
    if bend is None:  # what a shard held may be lost
        _, bend = hessian_products.evaluate(task.problem, task.shard, local.workspace, query.at)
        work += 1.0
    same = gram is not None and gram.columns is task.columns
    if gram is None or not same or local.stale:
        first = gram if quadratic and gram is not None and _begins(task.columns, gram.columns) else None
        gram, work = column_models.make_gram(task, _floored(task, bend, local.damping), first), work + 2.0
        local = local if same else replace(local, first=math.inf, creeping=False)
        gram = gram._replace(columns=task.columns)
    w = query.at.coef[task.columns]
    slopes = Slopes(query.gradient[task.columns], query.slope)
    share = FINE if not quadratic else min(max(0.1 * query.excess, LEAST_SHARE), 0.1) if complete else 0.1
    limits = (share, math.sqrt(query.floor))
    step = column_models.by_gram(task, w, slopes, gram, limits, exact=local.creeping)
    found = _searched(task, local, query, w, step)
    shorter = found.local.damping > local.damping or found.at is query.at
    stale = not quadratic and (shorter or step.first > LAGGING * local.first)
    creeping = same and (local.creeping or step.first > CREEPING * local.first)
    kept = replace(found.local, gram=gram, first=step.first, stale=stale, creeping=creeping)
    return found._replace(local=kept, work=found.work + work)


def _begins(columns: NDArray[np.int64], others: NDArray[np.int64]) -> bool:
    return columns.size > others.size and bool(np.array_equal(columns[: others.size], others))


def _floored(task: Task, bend: Floats, damping: float) -> Floats:
    """Return curvatures of the rows that are not too small to divide by."""
    if task.problem.loss.quadratic:
        return bend
    least = damping * (task.problem.loss.smoothness if math.isfinite(task.problem.loss.smoothness) else 1e-6)
    floor: Floats = np.maximum(bend, least * task.shard.weight if task.shard.weight.size else least)
    return floor


def _searched(task: Task, local: Local, query: Query, w: Floats, step: column_models.Step) -> Found:
    """Evaluate ever shorter steps, until the objective falls enough."""
    from offbeat.kernels import coordinate

    at, work, length, n = query.at, 0.0, 1.0, task.shard.n_rows
    bent = float(coordinate.penalty_change(task.rule, w, w + step.d, task.scaling))
    foretold = float(query.gradient[task.columns] @ step.d) + query.slope * step.b + bent
    damping = local.damping
    for _ in range(TRIALS):
        new = w + step.d if length == 1.0 else w + length * step.d  # zeros stay exact zeros
        coef = np.zeros_like(at.coef)
        coef[task.columns] = new
        point = at._replace(coef=coef, intercept=at.intercept + length * step.b)
        sums, bend = hessian_products.evaluate(task.problem, task.shard, local.workspace, point)
        work += 1.0
        won = float(sums[0]) / n - query.loss
        won += float(coordinate.penalty_change(task.rule, w, new, task.scaling))
        noise = (NOISE if abs(foretold) > UNSURE * abs(query.loss) else UNSURE) * abs(query.loss)
        if won <= ENOUGH * length * foretold + noise:
            damping = max(0.1 * damping, FLOORS[0]) if length == 1.0 else damping
            return Found(replace(local, bend=bend, damping=damping), point, sums, work)
        length *= 0.5
        damping = min(10.0 * damping, FLOORS[1])
    sums, bend = hessian_products.evaluate(task.problem, task.shard, local.workspace, at)
    return Found(replace(local, bend=bend, damping=damping), at, sums, work + 1.0)


def _by_residuals(task: Task, local: Local, query: Query, ranked: NDArray[np.int64], complete: bool) -> Found:
    """Minimise over columns that are fetched for it, and evaluate."""
    work, store, about = 0.0, local.store, local.about
    assert about is not None
    if store is None or np.any(store.place[task.columns] < 0):
        store = column_store.fetch(task.shard, local.workspace, about, task.columns, ranked, query.at.center)
        work += 2.0
    at_hand = (store.columns, store.place[task.columns].astype(np.int64))
    share = task.stored / max(float(about.counts.sum()), 1.0)  # of a pass, that a sweep is
    most = max((query.allowance - work - 1.0) / max(share, 1e-9), 1.0)
    aims = residual_steps.Aims(query.excess, query.floor, complete, most)
    found = residual_steps.minimised(task, at_hand, query.at, local.damping, aims)
    work += found.sweeps * share
    sums, bend = hessian_products.evaluate(task.problem, task.shard, local.workspace, found.at)
    local = replace(local, store=store, bend=bend, damping=found.damping, gram=None)
    return Found(local, found.at, sums, work + 1.0)
