"""Data with more columns than rows, and a ridge: the problem is solved in the span of the rows.

Source: the representer theorem (Kimeldorf & Wahba 1971; Schölkopf, Herbrich & Smola 2001, COLT).

`row_span` has the coordinates. In these, the problem has as many columns as the rows have dimensions. The loss may be
any smooth loss, with any number of classes. The solution is then evaluated on the original rows. So its certificate is
that of the original problem, and includes the rounding of the change of coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.arrays.in_memory import DenseSource
from offbeat.data.shards import Cancelled, Point, Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.losses.questions import curvature_jumps
from offbeat.penalties import L2
from offbeat.penalties.questions import curvature
from offbeat.problem import Floats, Problem, Reference
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board, View
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, Progress, Solver, State, Step
from offbeat.solvers._common.needs import PURE_RIDGE, SMOOTH_LOSS, check_needs
from offbeat.solvers.composite import row_span
from offbeat.solvers.composite.row_span import Span
from offbeat.solvers.newton.newton import Newton
from offbeat.solvers.newton_cg.newton_cg import NewtonCG

MAX_SPAN_SOLVES = 4  # each to a smaller gap
SPAN_GAP_SHARE = 0.3  # tolerance in the span, over the tolerance of the fit
GAP_REDUCTION = 0.01  # of the tolerance in the span, when the last solution was not accurate enough
MAX_SPAN_PASSES = 300.0  # of one solve, over the rows in coordinates of their span
MAX_NEWTON_DIMENSIONS = 500  # of the span: up to this number Newton is faster there, above it NewtonCG


class RowSpaceQuery(NamedTuple):
    """The point to evaluate. If ``gap`` is not NaN, the span problem is solved first, from there to this relative gap.

    ``unit`` are the units of the columns in which the penalty is ``alpha / 2 |t|^2``. ``again`` tells that an earlier
    solution was not accurate enough. ``allowance`` bounds the passes of a step.
    """

    at: Point
    unit: Floats
    reference: Reference
    gap: float = math.nan
    again: bool = False
    allowance: float = math.inf


class RowSpaceLocal(NamedTuple):
    """Local state: scratch memory, the rows in coordinates of their span, and the last solution there."""

    workspace: Workspace
    span: Span | None = None
    solution: Progress | None = None


@dataclass(frozen=True)
class RowSpaceState(State):
    """State of the hub: the current query, and the number of solves so far."""

    info: DataInfo
    query: RowSpaceQuery
    rounds: int = 0


@dataclass(frozen=True)
class RowSpace:
    """Fit in the span of the rows: smooth losses with a ridge, on data with more columns than rows.

    The Gram matrix of the rows is computed once, and only a few passes over the data are left. It needs memory for two
    square matrices of the number of rows. All rows are one shard, and in memory.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(50, 400, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solver=solvers.RowSpace()).status
    'converged'
    """

    name = "row-space"
    max_staleness = 0.0
    whole = True
    needs = (SMOOTH_LOSS, PURE_RIDGE)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> RowSpaceLocal:
        """Return scratch memory. The span is computed when it is needed."""
        return RowSpaceLocal(Workspace())

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[RowSpaceState, RowSpaceQuery]:
        """Return the first state and query. The start is only evaluated, as it may be accurate enough."""
        if info.n_shards > 1:
            raise ProblemError(f"RowSpace needs all rows in one shard, and there are {info.n_shards}")
        penalty, m = info.penalty, info.n_outputs
        unit = info.scale * penalty.factor[::m] * np.sqrt(penalty.weight[::m])
        query = RowSpaceQuery(evaluation.query(info, evaluation.start(info)), unit, info.reference)
        return RowSpaceState(info=info, query=query), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Solve in the span, and evaluate the solution on the original rows. The start is only evaluated."""
        if local.span is None and not math.isnan(query.gap):
            local = local._replace(span=row_span.span(shard, query.at.center, query.unit))
        if local.span is None:
            return _evaluate(problem, shard, local, query.at, 1.0)
        solution, passes = _solve_in_span(problem, shard, local, query)
        v = solution.coef.reshape(local.span.rows.shape[1], -1)
        coef = row_span.lift(shard, local.span, query.at.center, query.unit, v)
        at = query.at._replace(coef=coef if v.shape[1] > 1 else coef[:, 0].copy(), intercept=solution.intercept)
        work = 2.0 + passes * v.shape[0] / query.unit.size
        return _evaluate(problem, shard, local._replace(solution=solution), at, work)

    def global_step(self, problem: Problem, state: RowSpaceState, board: Board) -> tuple[RowSpaceState, RowSpaceQuery]:
        """Certify the point. If its gap is too large, ask for a more accurate solution in the span."""
        info, query, total = state.info, state.query, board.total()
        if not np.all(np.isfinite(total)):
            return replace(state, progress=None, status="not finite"), query
        point, sums = _unpack(info, query.at, total[:-1])
        at, _ = evaluation.gather(info, View(sums, 1, 1), point)
        state = replace(state, passes=state.passes + float(total[-1]))
        x = Iterate((point.coef.reshape(info.n_columns, -1) * info.scale[:, None]).ravel(), point.intercept)
        progress = evaluation.progress(problem, info, x, at)
        wanted = SPAN_GAP_SHARE * progress.certificate.tolerance * GAP_REDUCTION**state.rounds
        query = query._replace(at=point, gap=0.0 if math.isnan(wanted) else wanted, again=state.rounds > 0)
        status = "stalled" if state.rounds >= MAX_SPAN_SOLVES else None
        note = "next: solved in the span of the rows"
        state = replace(state, query=query, progress=progress, rounds=state.rounds + 1, status=status, note=note)
        return state, query


def _evaluate(problem: Problem, shard: Shard, local: RowSpaceLocal, at: Point, work: float) -> Step:
    """Evaluate a point on the original rows. The contribution holds the point, the sums and the work."""
    sums = shard.evaluate(problem.loss, at, local.workspace).flat()
    return Step(local, np.concatenate([at.coef.ravel(), at.intercept, sums, [work]]), work, "row space")


def _unpack(info: DataInfo, at: Point, flat: Floats) -> tuple[Point, Floats]:
    """Return the point of a contribution and its sums."""
    size, end = info.size, info.size + info.n_outputs
    coef = flat[:size].reshape(at.coef.shape).copy()
    return at._replace(coef=coef, intercept=flat[size:end].copy()), flat[end:]


def _solve_in_span(
    problem: Problem, shard: Shard, local: RowSpaceLocal, query: RowSpaceQuery
) -> tuple[Progress, float]:
    """Return the solution in coordinates of the span, and the passes over the rows in these coordinates."""
    assert local.span is not None
    rows = local.span.rows
    small = replace(shard, source=DenseSource(rows), start=0, stop=len(rows), threads=1)
    ridge = Problem(problem.loss, L2(curvature(problem.penalty)))
    info = _span_info(ridge, small, query)
    if local.solution is not None:
        start = (
            local.solution.coef * np.repeat(info.scale, info.n_outputs),
            _shift_intercept(info, local.solution, 1.0),
        )
        info = replace(info, start=start, warm=True)
    newton = info.n_outputs == 1 and (
        info.n_columns <= MAX_NEWTON_DIMENSIONS
        or problem.loss.quadratic
        or curvature_jumps(problem.loss)
        or query.again
    )
    most = min((query.allowance - 2.0) * query.unit.size / max(info.n_columns, 1), MAX_SPAN_PASSES)
    found, passes = minimise(Newton() if newton else NewtonCG(), ridge, small, info, most)
    coef = found.coef / np.repeat(info.scale, info.n_outputs)
    found = replace(found, coef=coef)
    return replace(found, intercept=_shift_intercept(info, found, -1.0)), passes


def _shift_intercept(info: DataInfo, at: Progress, sign: float) -> Floats:
    """Return the intercepts for centred rows of the span (``sign`` 1), or for uncentred ones (-1)."""
    moved: Floats = at.intercept + sign * (info.center @ at.coef.reshape(info.n_columns, -1))
    return moved


def _span_info(problem: Problem, shard: Shard, query: RowSpaceQuery) -> DataInfo:
    """Return the `DataInfo` of the rows in coordinates of their span."""
    rows, m, on = shard.rows(), query.at.intercept.size, query.reference.fit_intercept
    n, r = rows.shape
    v = shard.weight if shard.weight.size else np.ones(n)
    center = v @ rows / v.sum() if on else np.zeros(r)
    centred = rows - center
    scale = np.sqrt(np.mean(centred**2, axis=0))
    scale[scale == 0.0] = 1.0
    rarity = (np.max(np.abs(centred), axis=0, initial=0.0) / scale) ** 2
    reference = query.reference._replace(tolerance=query.gap, null_gradient=None)
    start = (np.zeros(r * m), query.at.intercept)
    penalty = problem.scaled_penalty(r, scale)
    info = DataInfo(n, r, m, center, scale, penalty, reference, start, False, rarity, longest=n)
    if m == 1 or not on:
        return info
    at = evaluation.query(info, Iterate(*start))
    seen = evaluation.local_step(problem, shard, Workspace(), at).payload
    gradient = evaluation.gather(info, View(seen, 1, 1), at)[0].gradient
    return replace(info, reference=reference._replace(null_gradient=gradient))


def minimise(
    solver: Solver, problem: Problem, shard: Shard, info: DataInfo, most: float = MAX_SPAN_PASSES
) -> tuple[Progress, float]:
    """Run a solver on one shard, without an engine. Return its best point and the passes it took.

    Parameters
    ----------
    solver : Solver
        It must certify its own iterates.
    problem : Problem
    shard : Shard
    info : DataInfo
        Its reference holds the tolerance.
    most : float
        Passes after which no new step begins.

    Raises
    ------
    Cancelled
        If the fit is interrupted.
    """
    state, query = solver.init_global(problem, info)
    local, best = solver.init_local(problem, shard), None
    while state.status is None and (best is None or state.passes < most):
        if shard.cancelled():
            raise Cancelled
        step = solver.local_step(problem, shard, local, query)
        local = step.local
        state, query = solver.global_step(problem, state, View(step.payload, 1, 1))
        found: Progress | None = state.progress
        if found is not None and (best is None or found.certificate.gap <= best.certificate.gap):
            best = found
        if best is not None and best.certificate.satisfied:
            break
    assert best is not None  # the first pass reads all rows, which are finite
    return best, float(state.passes)
