"""A primal-dual interior point for losses with kinks: some twenty steps, whatever the units of the columns.

The dual variables of the rows and their distances from the kinks are kept positive; Newton's method follows them to the
optimum, and what it solves at each step is as large as there are columns: ``X' D X`` plus the ridge (Ferris & Munson
2002, SIAM J. Optim. 13:783, support vector machines of many rows). Predictor and corrector are Mehrotra's (1992, SIAM
J. Optim. 2:575). A lasso penalty is so many more terms with a kink, at the columns themselves.
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
from offbeat.solvers.interior_point.products import Frame
from offbeat.solvers.interior_point.shard import Facts, Memory, Query, Rows

READS = 3.0  # of the rows, a step
PATIENCE = 30  # steps without a smaller gap, after which rounding is blamed


class Local(NamedTuple):
    """What a shard has, flat (None at first), and what it can find out again."""

    memory: Floats | None
    steps: float = 0.0
    rows: Rows | None = None


@dataclass(frozen=True)
class InteriorState(State):
    """Where the hub stands: the best bound of the optimum, the least gap, and steps since either got better."""

    info: DataInfo
    query: Query
    lower: float = -math.inf
    least: float = math.inf
    idle: int = 0


@dataclass(frozen=True)
class InteriorPoint:
    """Primal-dual interior point, for losses with kinks and up to about a thousand columns.

    All rows are one shard; rows may be read from disk, three times a step. What is solved at each step has the size of
    the columns, so that it is neither the scale of the columns nor the strength of the penalty that decides about the
    number of steps, which is between 10 and 40.

    Notes
    -----
    The loss must have a ``dual_piece``: the hinge and the epsilon-insensitive loss have, of a loss of your own the
    conjugate may have two straight pieces that meet at zero, or one. A shard keeps four numbers for each row and kink.

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

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return a shard that has not begun, or goes on from its contribution."""
        if contribution is None:
            return Local(None)
        k = shard.source.shape[1]
        head = 2 * (k + 1) + len(Facts._fields)
        return Local(contribution[head:].copy(), Facts(*contribution[2 * (k + 1) : head].tolist()).steps)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[InteriorState, Query]:
        """Return the first state and query."""
        at, rule, n = evaluation.start(info), info.penalty.rule, float(info.n_rows)
        on = float(info.reference.fit_intercept)
        l1 = questions.l1(rule) or 0.0
        kink = n * l1 * info.penalty.weight * info.penalty.factor
        query = Query(
            Frame(info.center, 1.0 / info.scale, on), np.append(at.u, on * at.b),
            np.append(n * info.penalty.curvature(), 0.0), kink if l1 > 0.0 else np.empty(0),
        )  # fmt: skip
        return InteriorState(info, query), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Query) -> Step:
        """Take a step; what is offered is the point before it."""
        rows = local.rows or interior_rows.rows_of(problem, shard, query)
        size, n_live = len(query.start), rows.products.n_rows
        work = READS
        if local.memory is None:
            memory, work = interior_rows.begun(rows, query), work + 1.0
        else:
            memory = Memory.unflat(local.memory, size, n_live, len(query.kink))
        with np.errstate(all="ignore"):  # what is not finite ends the fit
            new, gradient, facts = interior_rows.improved(problem, shard, rows, memory, query, local.steps)
        flat = new.flat()
        payload = np.concatenate([memory.x, gradient, facts, flat])
        work += size / evaluation.HESSIAN_COLUMNS
        return Step(Local(flat, facts.steps, rows), payload, work, "interior point")

    def global_step(self, problem: Problem, state: InteriorState, board: Board) -> tuple[InteriorState, Query]:
        """Take note of the point, its gap and the bound."""
        total, size, info = board.total(), len(state.query.start), state.info
        facts = Facts(*total[2 * size : 2 * size + len(Facts._fields)].tolist())
        x, gradient = total[:size], total[size : 2 * size]
        if not np.all(np.isfinite(total[: 2 * size])):
            return replace(state, status="not finite", note="a contribution is not finite"), state.query
        state = replace(state, passes=1.0 + READS * facts.steps, note=f"step {facts.steps:g}")
        lower = max(state.lower, _bound(info, gradient, facts))
        gap = facts.loss / info.n_rows + info.penalty.value(x[:-1]) - lower
        estimate = max(gap, 0.0) / info.reference.objective if info.reference.objective > 0.0 else max(gap, 0.0)
        better = estimate < 0.9 * state.least
        idle = 0 if better else state.idle + 1
        candidate = Candidate(x[:-1].copy(), x[-1:].copy(), estimate, lower)
        state = replace(
            state, candidate=candidate, lower=lower, idle=idle, least=min(estimate, state.least),
            status="stalled" if idle > PATIENCE or not np.all(np.isfinite(total)) else None,
        )  # fmt: skip
        return state, state.query


def _bound(info: DataInfo, gradient: Floats, facts: Facts) -> float:
    """Return what the dual variables prove, less what rounding may add; scaled down where the penalty has a lasso."""
    if not facts.proved:
        return -math.inf
    n = info.n_rows
    slope = -gradient[:-1] / n
    scale = info.penalty.dual_scale(slope)
    conjugate = info.penalty.conjugate(slope, scale)
    own = scale * facts.conjugate / n + (1.0 - scale) * info.reference.conjugate_zero
    bound = -own - conjugate - facts.rounding / n - interior_rows.ROUNDING * abs(conjugate)
    return bound if math.isfinite(bound) else -math.inf


__all__ = ["InteriorPoint", "InteriorState"]
