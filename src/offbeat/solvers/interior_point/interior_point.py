"""A primal-dual interior point method for piecewise linear losses. It takes about twenty steps.

Slacks (the distances of the predictors from the kinks of the loss) and multipliers (the dual variables) stay positive.
Each step solves a Newton system with the matrix ``X' D X`` plus the ridge, whose size is the number of columns (Ferris
& Munson 2002, SIAM J. Optim. 13:783: support vector machines with many rows). The steps are Mehrotra's predictor and
corrector (1992, SIAM J. Optim. 2:575). A lasso penalty adds one term with a kink for each column.

Layout: the shard makes the whole step (`shard`). The hub keeps the best lower bound and decides when to stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Shard
from offbeat.penalties import questions
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import Candidate, DataInfo, State, Step
from offbeat.solvers._common.needs import ONE_OUTPUT, PIECEWISE_LINEAR, RIDGE_OR_LASSO, check_needs
from offbeat.solvers.interior_point import shard as interior_rows
from offbeat.solvers.interior_point.products import ScaledColumns
from offbeat.solvers.interior_point.shard import InteriorQuery, InteriorScalars, PrimalDualPoint, RowTerms

READS_PER_STEP = 3.0  # passes over the rows
MAX_STALLED_STEPS = 30  # steps without a smaller gap, before the fit stops


class InteriorLocal(NamedTuple):
    """Local state: the `PrimalDualPoint` in one array (None before the first step), the steps made, the row terms."""

    memory: Floats | None
    steps: float = 0.0
    rows: RowTerms | None = None


@dataclass(frozen=True)
class InteriorState(State):
    """State of the hub: the best lower bound of the optimum, the smallest gap, and the steps since it decreased."""

    info: DataInfo
    query: InteriorQuery
    lower: float = -math.inf
    least: float = math.inf
    idle: int = 0


@dataclass(frozen=True)
class InteriorPoint:
    """Primal-dual interior point method, for piecewise linear losses and up to about a thousand columns.

    It takes 10 to 40 steps, and this number hardly depends on the scale of the columns or the strength of the penalty.
    All rows are one shard. They may stay on disk; a step reads them three times.

    Notes
    -----
    The loss must have a ``dual_piece``, as the hinge and the epsilon-insensitive loss have. The conjugate of a user's
    loss may have any number of linear pieces. A shard stores four numbers for each row and piece.

    References
    ----------
    Mehrotra 1992, SIAM J. Optim. 2:575; Ferris & Munson 2002, SIAM J. Optim. 13:783.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(200, 5, seed=0)
    >>> solve(Problem(losses.Hinge(), penalties.L2(1e-3)), X, y, solver=solvers.InteriorPoint()).status
    'converged'
    """

    name = "interior-point"
    max_staleness = 0.0
    whole = True
    needs = (ONE_OUTPUT, PIECEWISE_LINEAR, RIDGE_OR_LASSO)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> InteriorLocal:
        """Return a new local state, or the one that a contribution was made from."""
        if contribution is None:
            return InteriorLocal(None)
        k = shard.source.shape[1]
        head = 2 * (k + 1) + len(InteriorScalars._fields)
        return InteriorLocal(
            contribution[head:].copy(), InteriorScalars(*contribution[2 * (k + 1) : head].tolist()).steps
        )

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[InteriorState, InteriorQuery]:
        """Return the first state and query, which does not change during the fit."""
        at, rule, n = evaluation.start(info), info.penalty.rule, float(info.n_rows)
        on = float(info.reference.fit_intercept)
        l1 = questions.l1(rule) or 0.0
        kink = n * l1 * info.penalty.weight * info.penalty.factor
        query = InteriorQuery(
            ScaledColumns(info.center, 1.0 / info.scale, on), np.append(at.u, on * at.b),
            np.append(n * info.penalty.curvature(), 0.0), kink if l1 > 0.0 else np.empty(0),
        )  # fmt: skip
        return InteriorState(info, query), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: InteriorQuery) -> Step:
        """Take one interior point step. The contribution describes the point before the step, and holds the new one."""
        rows = local.rows or interior_rows.row_terms(problem, shard, query)
        size, n_live = len(query.start), rows.products.n_rows
        work = READS_PER_STEP
        if local.memory is None:
            memory, work = interior_rows.start_point(rows, query), work + 1.0
        else:
            memory = PrimalDualPoint.unflat(local.memory, size, n_live, len(query.kink))
        with np.errstate(all="ignore"):  # a result that is not finite ends the fit
            new, gradient, facts = interior_rows.take_step(problem, shard, rows, memory, query, local.steps)
        flat = new.flat()
        payload = np.concatenate([memory.x, gradient, facts, flat])
        work += size / evaluation.HESSIAN_COLUMNS
        return Step(InteriorLocal(flat, facts.steps, rows), payload, work, "interior point")

    def global_step(self, problem: Problem, state: InteriorState, board: Board) -> tuple[InteriorState, InteriorQuery]:
        """Make the point a candidate, with the best lower bound; stop if its gap no longer decreases."""
        total, size, info = board.total(), len(state.query.start), state.info
        facts = InteriorScalars(*total[2 * size : 2 * size + len(InteriorScalars._fields)].tolist())
        x, gradient = total[:size], total[size : 2 * size]
        if not np.all(np.isfinite(total[: 2 * size])):
            return replace(state, status="not finite", note="a contribution is not finite"), state.query
        state = replace(state, passes=1.0 + READS_PER_STEP * facts.steps, note=f"step {facts.steps:g}")
        lower = max(state.lower, _lower_bound(info, gradient, facts))
        gap = facts.loss / info.n_rows + info.penalty.value(x[:-1]) - lower
        estimate = max(gap, 0.0) / info.reference.objective if info.reference.objective > 0.0 else max(gap, 0.0)
        better = estimate < 0.9 * state.least
        idle = 0 if better else state.idle + 1
        candidate = Candidate(x[:-1].copy(), x[-1:].copy(), estimate, lower)
        state = replace(
            state, candidate=candidate, lower=lower, idle=idle, least=min(estimate, state.least),
            status="stalled" if idle > MAX_STALLED_STEPS or not np.all(np.isfinite(total)) else None,
        )  # fmt: skip
        return state, state.query


def _lower_bound(info: DataInfo, gradient: Floats, facts: InteriorScalars) -> float:
    """Return the lower bound from the dual variables, less a bound of its rounding.

    If the penalty has a lasso, the dual point is scaled into the domain of its conjugate first.
    """
    if not facts.proved:
        return -math.inf
    n = info.n_rows
    slope = -gradient[:-1] / n
    scale = info.penalty.dual_scale(slope)
    conjugate = info.penalty.conjugate(slope, scale)
    own = scale * facts.conjugate / n + (1.0 - scale) * info.reference.conjugate_zero
    bound = -own - conjugate - facts.rounding / n - interior_rows.RELATIVE_ROUNDING * abs(conjugate)
    return bound if math.isfinite(bound) else -math.inf
