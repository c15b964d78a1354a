"""HOGWILD!: stochastic gradient descent by threads that share one point and no locks.

Source: Recht, Re, Wright & Niu 2011 (NIPS, algorithm 1; section 5: steps of one length for an epoch, shorter from epoch
to epoch); Robbins & Monro 1951; Polyak & Juditsky 1992 (averaging).

The steps are those of `SAGA` with nothing to hold them against: same metric of the columns, same proximal steps, same
threads. So noise stays in proportion to the length of the steps, and the method comes near the optimum and no further;
`SAGA` with threads is the one whose noise vanishes.
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
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, check_needs
from offbeat.solvers.saga import epochs, hub
from offbeat.solvers.saga import shard as saga_rows
from offbeat.solvers.saga.messages import Contribution, Query
from offbeat.solvers.saga.shard import Local

BACKOFF = 0.75
"""Power of the epoch that steps are divided by. With 1 a weak ridge is never reached, with 0.5 noise goes slowly."""


@dataclass(frozen=True)
class HogwildState(State):
    """Where the hub stands: the query under way, where the iterate began, averages of iterates and gradients."""

    info: DataInfo
    query: Query
    origin: Floats
    mean: Floats
    gradient: Floats


@dataclass(frozen=True)
class Hogwild:
    """Stochastic gradient descent along single rows, by threads without locks (HOGWILD!).

    All rows are one shard, and threads are the method's own: ``Hogwild(threads=2)`` with ``engine=Serial()``. It comes
    near the optimum and no further: expect fits to end with ``max_iter``. Moves of threads may overwrite each other, so
    that with several threads fits are not the same to the last bit; certificates are not touched by that, as a point is
    certified on all rows after the threads have ended.

    Parameters
    ----------
    threads : int
        Threads that work on the same rows and the same point, where rows are in one array. Rows of a list of arrays are
        visited by one thread. See docs/lock-free.md.
    eta : float
        Length of steps in the first epoch, over the reciprocal of the largest curvature of the loss along a row. In
        epoch ``t`` it is ``eta / t^0.75``.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_sparse_classification
    >>> X, y = make_sparse_classification(1000, 50, seed=0)
    >>> problem = Problem(losses.Logistic(), penalties.L2(0.1))
    >>> solve(problem, X, y, solver=solvers.Hogwild(threads=2), tol=1e-3).status
    'converged'
    """

    threads: int = 1
    eta: float = 1.0

    name = "hogwild"
    max_staleness = 0.0
    exact = False  # comes near the optimum, and no certificate of it is to be expected
    whole = True
    needs = (ONE_OUTPUT, SEPARABLE)

    def __post_init__(self) -> None:
        """Refuse numbers of threads below one, and steps that go nowhere."""
        if self.threads < 1:
            raise ProblemError(f"threads of Hogwild is {self.threads}; give a whole number from 1")
        if not 0.0 < self.eta < math.inf:
            raise ProblemError(f"eta of Hogwild is {self.eta}; give a positive number")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return what the contribution says: how many epochs there were, and the curvature of the rows."""
        return saga_rows.new_local(shard, contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[HogwildState, Query]:
        """Return the first state and query: the slopes at the start, from which the metric follows."""
        query = hub.start(info, 0, 1, self.threads)
        return HogwildState(info, query, query.point, query.point, np.zeros_like(query.point)), query

    def local_step(self, problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
        """Run an epoch over all rows."""
        return saga_rows.local_step(problem, shard, local, query, epochs.plain)

    def global_step(self, problem: Problem, state: HogwildState, board: Board) -> tuple[HogwildState, Query]:
        """Take the point; add it to the average; shorten the steps."""
        total, info, query = board.total(), state.info, state.query
        sums = Contribution.unflat(total, query.point.size, query.copies.size)
        state = replace(state, passes=sums.facts.passes / info.n_rows)
        if not np.all(np.isfinite(total)) or sums.facts.bad > 0.0:
            return replace(state, status="diverged", note="slopes of rows are not finite"), query
        if query.number == 0:
            query = hub.first(problem, info, query, sums)
        x = hub.point(info, query, sums, state.origin)
        share = 2.0 / (query.number + 2.0)  # later iterates count more: the first ones are far off
        mean = state.mean + share * (x - state.mean)
        gradient = state.gradient + share * (sums.gradient / info.n_rows - state.gradient)
        candidate = hub.candidate(problem, info, query._replace(point=mean, average=gradient), sums.facts)
        query = query._replace(point=x, number=query.number + 1, damp=self.eta / (query.number + 1.0) ** BACKOFF)
        return replace(state, query=query, mean=mean, gradient=gradient, candidate=candidate), query
