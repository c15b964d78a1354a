"""SAGA: stochastic gradient steps along single rows, with variance reduction.

A single shard in memory keeps a table of the last derivative of each row (SAGA). Several shards keep no tables. Each
contributes its gradient and the point where it was evaluated. Steps compare a row's derivative with that at the mean of
these points, the anchor (SVRG). If shards run one after another, one iterate passes through all of them. If they run
in parallel, each makes an epoch from the common point, and their iterates are averaged. Tables are no use in parallel:
the iterates of the shards would drift apart. Measured on shuffled rows in four shards, they took ten times as many
passes.

Steps use a diagonal metric: the reciprocal curvature of loss and penalty along each column. So neither the units of the
columns nor rare columns matter.

Sources: Defazio, Bach & Lacoste-Julien 2014 (NIPS, eq. 1-3: the table); Johnson & Zhang 2013 (NIPS: the anchor);
Defazio 2016 (NIPS: implicit steps); De & Goldstein 2016 (ICDM, algorithms 1 and 3: rows without replacement, parallel
epochs); Shamir, Srebro & Zhang 2014 (ICML, eq. 13: the problem that a parallel epoch solves); Mairal 2015 (SIAM J.
Optim. 25:829: models at points of different ages, and their mean); Leblond, Pedregosa & Lacoste-Julien 2017 (AISTATS:
sparse rows).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, SMOOTH_LOSS, check_needs
from offbeat.solvers._common.parameters import check_count
from offbeat.solvers.saga import epochs as saga_epochs
from offbeat.solvers.saga import hub
from offbeat.solvers.saga import shard as saga_rows
from offbeat.solvers.saga.messages import SagaContribution, SagaQuery
from offbeat.solvers.saga.shard import SagaLocal

MAX_GAP_GROWTH = 4.0  # ratio of the estimated gap to the smallest so far; above it steps are shortened
MAX_IDLE_ROUNDS = 30  # rounds without a decrease of gap or objective, before steps are shortened
STEP_REDUCTION = 0.25  # factor of the step length
MAX_STEP_REDUCTIONS = 20
RELATIVE_ROUNDING = 1e-14  # of the objective


@dataclass(frozen=True)
class SAGAState(State):
    """State of the hub: the current query, and the start of the fit ``origin``.

    ``best`` and ``least`` are the smallest estimates of the gap and of the objective, ``idle`` counts rounds without a
    smaller one, ``cuts`` counts reductions of the step length.
    """

    info: DataInfo
    query: SagaQuery
    origin: Floats
    best: float = math.inf
    least: float = math.inf
    idle: int = 0
    cuts: int = 0
    steps: float = 0.0


@dataclass(frozen=True)
class SAGA:
    """SAGA: stochastic gradients with variance reduction, for smooth losses and separable penalties.

    The step length is ``1 / L``, with ``L`` the largest curvature of the loss along a row (``1 / (2 L)`` for the
    squared loss). If the second derivative is unbounded (Poisson, gamma), ``L`` is that at the start, and steps are
    implicit (Point-SAGA), so they cannot overshoot. If the gap grows, steps are shortened.

    With ``staleness=inf, concurrency=1``, or with one worker, shards run one after another and one iterate passes
    through all. Otherwise their epochs run in parallel and are averaged.

    Parameters
    ----------
    epochs : int
        Passes over a shard in one step.
    threads : int
        Threads that update the same point without locks, if one worker has all rows in memory. They may overwrite each
        other's updates, so fits are not reproducible to the last bit. Derivatives, gradients and certificates are not
        affected. See `offbeat.kernels.saga.dense_shared`.

    Raises
    ------
    ProblemError
        If a parameter is below 1.

    References
    ----------
    Defazio, Bach & Lacoste-Julien 2014, NIPS.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L1(1e-2)), X, y, solver=solvers.SAGA(), tol=1e-8).status
    'converged'
    """

    epochs: int = 1
    threads: int = 1

    name = "saga"
    max_staleness = math.inf
    needs = (SMOOTH_LOSS, ONE_OUTPUT, SEPARABLE)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters below 1."""
        check_count("SAGA", "epochs", self.epochs)
        check_count("SAGA", "threads", self.threads)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> SagaLocal:
        """Return a new local state, or the one that a contribution was made from."""
        return saga_rows.new_local(shard, contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[SAGAState, SagaQuery]:
        """Return the first state and query, for the derivatives at the start of the fit."""
        room = info.n_rows if info.n_shards == 1 and info.resident else 0
        query = hub.first_query(info, room, self.epochs, self.threads)
        return SAGAState(info, query, query.point), query

    def local_step(self, problem: Problem, shard: Shard, local: SagaLocal, query: SagaQuery) -> Step:
        """Run epochs over a shard, with a table of derivatives if it has one, else with the anchor."""
        tables = local.last is not None and local.last.table.size > 0
        run = saga_epochs.with_table if tables else saga_epochs.with_anchor
        return saga_rows.local_step(problem, shard, local, query, run)

    def global_step(self, problem: Problem, state: SAGAState, board: Board) -> tuple[SAGAState, SagaQuery]:
        """Return the state and query with the new point, average gradient and anchor."""
        total, info, query = board.total(), state.info, state.query
        sums = SagaContribution.unflat(total, query.point.size, query.copies.size)
        facts = sums.facts
        state = replace(state, passes=facts.passes / info.n_rows, note="")
        if not np.all(np.isfinite(total)) or facts.bad > 0.0:
            return replace(state, status="not finite", note="derivatives of rows are not finite"), query
        if query.number == 0:
            query = hub.with_metric(problem, info, query, sums)
        query = query._replace(
            point=hub.iterate(info, query, sums, state.origin),
            average=sums.gradient / info.n_rows,
            anchor=sums.anchor / info.n_rows,
            number=query.number + 1,
        )
        candidate = hub.candidate(problem, info, query, facts)
        state = replace(state, candidate=candidate, query=query)
        if facts.steps >= state.steps + info.n_shards * self.epochs:
            objective = facts.loss / info.n_rows + info.penalty.value(candidate.coef)
            state = _check_progress(replace(state, steps=facts.steps), candidate.estimate, objective)
        return state, state.query


def _check_progress(state: SAGAState, estimate: float, objective: float) -> SAGAState:
    """Return the state after a round. Shorten the steps if gap or objective stopped to decrease."""
    fell = estimate < state.best or objective < state.least - RELATIVE_ROUNDING * abs(state.least)
    if (
        not estimate > MAX_GAP_GROWTH * state.best
        and (fell or state.idle < MAX_IDLE_ROUNDS)
        and math.isfinite(objective)
    ):
        best, least = min(estimate, state.best), min(objective, state.least)
        return replace(state, best=best, least=least, idle=0 if fell else state.idle + 1)
    if state.cuts >= MAX_STEP_REDUCTIONS:
        return replace(state, status="stalled")
    query = state.query._replace(damp=STEP_REDUCTION * state.query.damp)
    note = f"steps were too long: {query.damp:.3g} of the usual length"
    return replace(state, query=query, best=estimate, least=objective, idle=0, cuts=state.cuts + 1, note=note)
