"""SAGA: steps along single rows, held against the slopes that rows had before.

A single shard whose rows are in memory keeps a table of the slopes that its rows had last (SAGA). Several shards keep
none: a shard tells the others its gradient and where it was taken, and steps are held against the slopes at the mean of
these points, the anchor, where the mean of the gradients belongs. Where shards run one after another, one iterate
passes through all of them; where they run side by side, each makes an epoch from the common point, and their iterates
are averaged. Tables would not do there: each shard remembers slopes of points of its own, and where epochs are long,
nothing draws these together. Measured on shuffled rows in four shards, tables took ten times as many passes.

Sources: Defazio, Bach & Lacoste-Julien 2014 (NIPS, eq. 1-3: the table); Johnson & Zhang 2013 (NIPS: the anchor);
Defazio 2016 (NIPS: implicit steps); De & Goldstein 2016 (ICDM, algorithms 1 and 3: rows without replacement, epochs
side by side); Shamir, Srebro & Zhang 2014 (ICML, eq. 13: what an epoch beside others solves); Mairal 2015 (SIAM J.
Optim. 25:829: models about points of different ages, and their mean); Leblond, Pedregosa & Lacoste-Julien 2017
(AISTATS: sparse rows).

Steps are taken in a metric of the columns: one over the curvature of the loss along each plus that of the penalty, so
that neither units nor rare columns matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from offbeat.data.shards import Shard
from offbeat.errors import ProblemError
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, SMOOTH_LOSS, check_needs
from offbeat.solvers.saga import epochs as saga_epochs
from offbeat.solvers.saga import hub
from offbeat.solvers.saga import shard as saga_rows
from offbeat.solvers.saga.messages import Contribution, Query
from offbeat.solvers.saga.shard import Local

GROWTH = 4.0  # of the estimated gap over the smallest so far, from which steps are too long
LATE = 30  # rounds in which neither gap nor objective fell, after which they are, too
SHORTER = 0.25
CUTS = 20
NOISE = 1e-14  # of the objective


@dataclass(frozen=True)
class SAGAState(State):
    """Where the hub stands: the query under way, where the iterate began.

    ``best`` and ``least`` are the smallest estimates of the gap and of the objective, ``idle`` the rounds without a
    smaller one.
    """

    info: DataInfo
    query: Query
    origin: Floats
    best: float = math.inf
    least: float = math.inf
    idle: int = 0
    cuts: int = 0
    steps: float = 0.0


@dataclass(frozen=True)
class SAGA:
    """Stochastic gradients whose variance vanishes: for any smooth loss and separable penalty, dense or sparse rows.

    Steps have a length of ``1 / L``, ``L`` the largest curvature of the loss along a row (``1 / (2 L)`` for the squared
    loss). Where the second derivative has no bound (Poisson, gamma), ``L`` is taken at the start, and each step ends
    where its own slope says (Point-SAGA), so that it cannot overshoot. Should the gap grow all the same, steps are
    shortened.

    With ``staleness=inf, concurrency=1``, or one worker, shards run one after another and one iterate passes through
    all; else their epochs run side by side and are averaged.

    Parameters
    ----------
    epochs : int
        Passes over a shard between two exchanges.
    threads : int
        Threads that work on the same rows and the same point without locks, where one worker has all rows in memory.
        Their moves may overwrite each other, so that fits are not the same to the last bit; slopes, gradients and
        certificates are not touched by that. See `offbeat.kernels.saga.dense_shared`.

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
        """Refuse numbers below one."""
        if self.epochs < 1 or self.threads < 1:
            name, value = ("epochs", self.epochs) if self.epochs < 1 else ("threads", self.threads)
            raise ProblemError(f"{name} of SAGA is {value}; give a whole number from 1")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return a shard without slopes, or with those of its contribution."""
        return saga_rows.new_local(shard, contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[SAGAState, Query]:
        """Return the first state and query: the slopes at the start of the fit."""
        room = info.n_rows if info.n_shards == 1 and info.resident else 0
        query = hub.start(info, room, self.epochs, self.threads)
        return SAGAState(info, query, query.point), query

    def local_step(self, problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
        """Run epochs over a shard."""
        tables = local.last is not None and local.last.table.size > 0
        run = saga_epochs.with_table if tables else saga_epochs.anchored
        return saga_rows.local_step(problem, shard, local, query, run)

    def global_step(self, problem: Problem, state: SAGAState, board: Board) -> tuple[SAGAState, Query]:
        """Take the point and the average gradient from the sum of the contributions."""
        total, info, query = board.total(), state.info, state.query
        sums = Contribution.unflat(total, query.point.size, query.copies.size)
        facts = sums.facts
        state = replace(state, passes=facts.passes / info.n_rows, note="")
        if not np.all(np.isfinite(total)) or facts.bad > 0.0:
            return replace(state, status="not finite", note="slopes of rows are not finite"), query
        if query.number == 0:
            query = hub.first(problem, info, query, sums)
        query = query._replace(
            point=hub.point(info, query, sums, state.origin),
            average=sums.gradient / info.n_rows,
            anchor=sums.anchor / info.n_rows,
            number=query.number + 1,
        )
        candidate = hub.candidate(problem, info, query, facts)
        state = replace(state, candidate=candidate, query=query)
        if facts.steps >= state.steps + info.n_shards * self.epochs:
            objective = facts.loss / info.n_rows + info.penalty.value(candidate.coef)
            state = _judged(replace(state, steps=facts.steps), candidate.estimate, objective)
        return state, state.query


def _judged(state: SAGAState, estimate: float, objective: float) -> SAGAState:
    """Return the state after a round, with shorter steps where the estimates say that they are too long."""
    fell = estimate < state.best or objective < state.least - NOISE * abs(state.least)
    if not estimate > GROWTH * state.best and (fell or state.idle < LATE) and math.isfinite(objective):
        best, least = min(estimate, state.best), min(objective, state.least)
        return replace(state, best=best, least=least, idle=0 if fell else state.idle + 1)
    if state.cuts >= CUTS:
        return replace(state, status="stalled")
    query = state.query._replace(damp=SHORTER * state.query.damp)
    note = f"steps were too long: {query.damp:.3g} of the usual length"
    return replace(state, query=query, best=estimate, least=objective, idle=0, cuts=state.cuts + 1, note=note)
