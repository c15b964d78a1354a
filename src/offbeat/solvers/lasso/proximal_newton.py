"""Proximal Newton with working sets: coordinate descent minimises quadratic models of the loss plus the penalty.

Each round chooses the columns that violate the optimality conditions most (the working set), minimises over these, and
evaluates the result on all rows and columns, which gives its certificate.

Sources: Yuan, Ho & Lin 2012 (J. Mach. Learn. Res. 13:1999, newGLMNET); Lee, Sun & Saunders 2014 (SIAM J. Optim.
24:1420, the line search); Massias, Gramfort & Salmon 2018 (ICML, working sets); Friedman, Hastie & Tibshirani 2010.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Point, Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, SMOOTH_LOSS, check_needs
from offbeat.solvers._common.stalling import StallCounter, classes_separated
from offbeat.solvers.lasso import row_sample, working_set
from offbeat.solvers.lasso.working_set import WorkingSetLocal, WorkingSetQuery

MAX_STALLED_ROUNDS = 12  # rounds without progress, before the fit stops
MIN_RELATIVE_GAIN = 1e-18  # of the null objective: moves that gain less are rounding


@dataclass(frozen=True)
class ProximalNewtonState(State):
    """State of the hub: the current query and the last evaluation."""

    info: DataInfo
    query: WorkingSetQuery
    at: Evaluation | None = None
    patience: StallCounter = field(default_factory=lambda: StallCounter(limit=MAX_STALLED_ROUNDS))


@dataclass(frozen=True)
class ProximalNewton:
    """Proximal Newton with working sets, for penalties that keep most coefficients at zero, and many columns.

    It is meant for L1 and elastic net, on sparse data or on dense data with more columns than rows. All rows are one
    shard. The columns of working sets are copied, stored by column. It takes other separable penalties too, for which
    other solvers are faster.

    References
    ----------
    Yuan, Ho & Lin 2012, J. Mach. Learn. Res. 13:1999; Massias, Gramfort & Salmon 2018, ICML.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_sparse_classification
    >>> X, y = make_sparse_classification(500, 200, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L1(1e-2)), X, y, solver=solvers.ProximalNewton()).status
    'converged'
    """

    name = "proximal-newton"
    max_staleness = 0.0
    whole = True
    needs = (SMOOTH_LOSS, ONE_OUTPUT, SEPARABLE)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> WorkingSetLocal:
        """Return a local state without columns. They are copied when they are needed."""
        return WorkingSetLocal(Workspace())

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[ProximalNewtonState, WorkingSetQuery]:
        """Return the first state and query, for the start. Raise `ProblemError` if there are several shards."""
        if info.n_shards > 1:
            raise ProblemError(f"ProximalNewton needs all rows in one shard, and there are {info.n_shards}")
        penalty = info.penalty
        factor = penalty.factor * info.scale
        factor[np.abs(factor - 1.0) < 1e-12] = 1.0
        floor = MIN_RELATIVE_GAIN * max(info.reference.objective, 1e-300)
        query = WorkingSetQuery(
            evaluation.query(info, evaluation.start(info)),
            np.empty(0),
            0.0,
            0.0,
            0.0,
            floor,
            factor,
            penalty.weight,
            cold=not info.warm,
        )
        return ProximalNewtonState(info=info, query=query), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Minimise over a working set, and evaluate the result. A cold start begins with a sample of the rows."""
        if query.cold and not query.gradient.size:
            return row_sample.first_step(problem, shard, local, query)
        return working_set.local_step(problem, shard, local, query)

    def global_step(
        self, problem: Problem, state: ProximalNewtonState, board: Board
    ) -> tuple[ProximalNewtonState, WorkingSetQuery]:
        """Certify the point of the contribution, and return the state and query there."""
        info, query = state.info, state.query
        point = _point(info, board.total(), query.at)
        at, _ = evaluation.gather(info, board, point)
        passes = state.passes + float(board.total()[-1])
        state = replace(state, passes=passes, progress=None, note="")
        if not evaluation.finite(at):
            return replace(state, status="not finite"), query
        query = query._replace(
            at=point, gradient=at.gradient * info.scale, slope=float(at.intercept_gradient[0]), loss=at.loss
        )
        state = _certify(problem, replace(state, query=query, at=at))
        return state, state.query

    def restart(self, problem: Problem, state: ProximalNewtonState, eager: float) -> ProximalNewtonState:
        """Return the state for another strength of the penalty, at the same point. No pass is needed."""
        assert state.at is not None
        state = replace(state, patience=StallCounter(limit=MAX_STALLED_ROUNDS), query=state.query._replace(eager=eager))
        return _certify(problem, state)


def _certify(problem: Problem, state: ProximalNewtonState) -> ProximalNewtonState:
    """Return the state with the certificate of its point."""
    info, at, point = state.info, state.at, state.query.at
    assert at is not None
    x = Iterate(point.coef * info.scale, point.intercept)
    progress = evaluation.progress(problem, info, x, at)
    patience = state.patience.after(progress.certificate)
    status = "separable" if classes_separated(problem, info, at, progress) else "stalled" if patience.over else None
    c = progress.certificate
    excess = c.tolerance / c.relative_gap if 0.0 < c.tolerance < c.relative_gap else 0.0
    query = state.query._replace(excess=excess)
    return replace(state, query=query, progress=progress, patience=patience, status=status)


def _point(info: DataInfo, total: Floats, at: Point) -> Point:
    """Return the point of a contribution."""
    k = info.n_columns
    return at._replace(coef=np.ascontiguousarray(total[-k - 2 : -2]), intercept=total[-2:-1].copy())
