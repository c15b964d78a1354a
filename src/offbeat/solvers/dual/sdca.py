"""Stochastic dual coordinate ascent; across shards, CoCoA+.

Each shard owns the dual variables of its rows and betters them one by one, as if all others stood still but moved as
much as it does itself: ``sigma``. Contributions are ``sum v theta x``, so the coefficients follow from their sum.

Sources: Shalev-Shwartz & Zhang 2013 (J. Mach. Learn. Res. 14:567) and 2016 (Math. Program. 155:105, elastic net); Ma,
Smith, Jaggi et al. 2015 (arXiv 1502.03508, CoCoA+: adding updates is safe with ``sigma`` the number of shards).

An intercept that is not penalised has a constraint in the dual, ``sum v theta = 0``, which single coordinates cannot
keep. It is found by proximal points instead: pulled towards where it was in the last round, it has a dual like any
other column, and the pull vanishes as it settles. Where the ridge is weak beside the rows, all coefficients are pulled
likewise, to a point ahead of them (accelerated proximal points: Shalev-Shwartz & Zhang 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.losses import questions as questions_of_loss
from offbeat.penalties import questions
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Step
from offbeat.solvers._common.needs import BOUNDED_OR_DUAL_STEP, ONE_OUTPUT, RIDGE, check_needs
from offbeat.solvers.dual import delays, hub
from offbeat.solvers.dual import shard as dual_rows
from offbeat.solvers.dual.hub import SDCAState
from offbeat.solvers.dual.shard import Contribution, Local, Query


@dataclass(frozen=True)
class SDCA:
    """Stochastic dual coordinate ascent, for penalties with a ridge part and sparse or dense rows.

    Shards add up their moves (CoCoA+), in rounds or without: see Notes. Quick to a moderate accuracy where the penalty
    is strong; with a weak penalty and a smooth loss `NewtonCG` is faster.

    Parameters
    ----------
    epochs : int
        Passes over a shard between two exchanges.
    threads : int, optional
        Threads that share all rows, which are one shard then, whatever the engine. None: a shard for each worker of the
        engine; shards hold back for each other, which costs many more passes where the loss has a kink.

    Notes
    -----
    With two threads and more, rows are split among them, without locks (Hsieh, Yu & Dhillon 2015, ICML: PASSCoDe).
    What is racy is the point that they share: of two that add to the same coefficient at once, one may be lost, and a
    row may see the coefficients of another half changed. Dual variables are not shared: each belongs to one row. As the
    bound of the optimum and, after every epoch, the point itself are made from them anew, lost updates cost some
    progress, leave no error, and cannot make a certificate wrong. The first epoch, in which all rows pull the same way,
    is left to one thread. Fits with several threads are not repeatable to the last digit.

    Without rounds shards move on top of old moves of others. They hold back by how many moves they do not know of, and
    the more the more often they move, so that a slow shard takes long steps. Dual variables stay valid whatever their
    age: certificates are as true as with rounds. No bound of the staleness is needed: simulated clusters with steps
    and messages late by any amount, losses and restarts all reach theirs; but no theorem covers delays without bound.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_sparse_classification
    >>> X, y = make_sparse_classification(500, 200, seed=0)
    >>> solve(Problem(losses.Hinge(), penalties.L2(1e-2)), X, y, solver=solvers.SDCA(), tol=1e-4).status
    'converged'
    """

    epochs: int = 1
    threads: int | None = None

    name = "sdca"
    max_staleness = math.inf
    needs = (ONE_OUTPUT, BOUNDED_OR_DUAL_STEP, RIDGE)

    @property
    def whole(self) -> bool:
        """Whether all rows are one shard."""
        return self.threads is not None

    def __post_init__(self) -> None:
        """Refuse numbers below one."""
        if self.epochs < 1:
            raise ProblemError(f"epochs of SDCA is {self.epochs}; give a whole number from 1")
        if self.threads is not None and self.threads < 1:
            raise ProblemError(f"threads of SDCA is {self.threads}; give a whole number from 1, or None")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return a shard without dual variables: its first step sets them."""
        size = shard.source.shape[1] + 1
        return Local(Workspace(), None if contribution is None else Contribution.unflat(contribution.copy(), size))

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[SDCAState, Query]:
        """Return the first state and query: to set the dual variables at the start of the fit."""
        x, rule = evaluation.start(info), info.penalty.rule
        l2 = np.append(info.penalty.curvature() * info.scale**2, 0.0)
        l1 = (questions.l1(rule) or 0.0) * info.penalty.weight * info.penalty.factor * info.scale
        w = x.u / info.scale
        at = np.append(w, float(x.b[0] - info.center @ w) if info.reference.fit_intercept else 0.0)
        sigma = float(info.n_shards)
        smooth = questions_of_loss.smooth(problem.loss)
        signs = info.reference.fit_intercept and info.reference.conjugate_zero == 0.0
        shrink = np.append(1.0 / (info.n_rows * l2[:-1]), 0.0)
        room = info.longest or info.n_rows
        alone = info.n_shards == 1 and not smooth and not l1.any()
        exact = np.append(shrink[:-1], float(info.reference.fit_intercept)) if alone else np.empty(0)
        query = Query(
            at, shrink, np.empty(0), sigma, info.warm and smooth, signs, info.seed, self.epochs, room, exact, at,
            self.threads or 1,
        )  # fmt: skip
        if delays.apart(info):
            query = delays.opening(query, info)
        return SDCAState(info, query, l2, l1, np.zeros_like(l2), at, at), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Better the dual variables of a shard."""
        return dual_rows.local_step(problem, shard, local, query)

    def global_step(self, problem: Problem, state: SDCAState, board: Board) -> tuple[SDCAState, Query]:
        """Take the coefficients from the sum of the contributions."""
        total, info, query = board.total(), state.info, state.query
        state = replace(state, progress=None, note="")
        if not np.all(np.isfinite(total)):
            return replace(state, status="not finite", note="a contribution is not finite"), query
        sums = Contribution.unflat(total, state.l2.size)
        state = replace(state, passes=sums.facts.passes / info.n_rows)
        if delays.apart(info):
            state = delays.moved(state, sums)
        elif state.candidate is None and sums.facts.first == info.n_shards:
            state = hub.opened(problem, state, sums)
        else:
            state = hub.moved(state, sums)
        lower, gap = hub.bounded(state, sums), sums.facts.gap / info.n_rows
        if delays.apart(info):
            gap += delays.shared_gap(state, sums, lower)
        state = replace(state, candidate=hub.candidate(state, sums, gap, lower))
        state = hub.patient(state)
        query = state.query._replace(point=hub.point(state, sums.gradient), anchor=state.anchor)
        return hub.proved(replace(state, query=query)), query


__all__ = ["SDCA", "SDCAState"]
