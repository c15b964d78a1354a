"""HOGWILD!: stochastic gradient descent by threads that update one point without locks. A baseline.

Sources: Recht, Re, Wright & Niu 2011 (NIPS, algorithm 1; section 5: the step size is constant in an epoch and decreases
from epoch to epoch); Robbins & Monro 1951; Polyak & Juditsky 1992 (averaging).

The steps are those of `SAGA` without variance reduction: same metric of the columns, same proximal steps, same threads.
So the noise is proportional to the step size. With `SAGA` the noise vanishes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, check_needs
from offbeat.solvers._common.parameters import check_count, check_positive
from offbeat.solvers.saga import epochs, hub
from offbeat.solvers.saga import shard as saga_rows
from offbeat.solvers.saga.messages import SagaContribution, SagaQuery
from offbeat.solvers.saga.shard import SagaLocal

STEP_DECAY_POWER = 0.75
"""Steps are divided by this power of the epoch. With 1 weak ridges take too long, with 0.5 noise decays slowly."""


@dataclass(frozen=True)
class HogwildState(State):
    """State of the hub: the current query, the start ``origin``, the averages of iterates and gradients."""

    info: DataInfo
    query: SagaQuery
    origin: Floats
    mean: Floats
    gradient: Floats


@dataclass(frozen=True)
class Hogwild:
    """Stochastic gradient descent along single rows, by threads without locks (HOGWILD!): a baseline.

    All rows are one shard. The method starts its own threads: ``Hogwild(threads=2)`` with ``engine=Serial()``. Its
    noise decays slowly: a fit to a small tolerance usually ends with ``max_iter``. Threads may overwrite each other's
    updates, so fits with several threads are not reproducible to the last bit. Certificates are valid nevertheless: a
    point is certified on all rows after the threads have ended.

    Parameters
    ----------
    threads : int
        Number of threads, if the rows are in one array. Rows in a list of arrays are visited by one thread. See
        docs/lock-free.md.
    eta : float
        Step size in the first epoch, times the largest curvature of the loss along a row. In epoch ``t`` it is
        ``eta / t^0.75``.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    References
    ----------
    Recht, Re, Wright & Niu 2011, NIPS, algorithm 1.

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
    exact = False  # a small tolerance is not to be expected
    whole = True
    needs = (ONE_OUTPUT, SEPARABLE)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters out of range."""
        check_count("Hogwild", "threads", self.threads)
        check_positive("Hogwild", "eta", self.eta)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> SagaLocal:
        """Return a new local state, or the one that a contribution was made from."""
        return saga_rows.new_local(shard, contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[HogwildState, SagaQuery]:
        """Return the first state and query, for the derivatives at the start. The metric follows from them."""
        query = hub.first_query(info, 0, 1, self.threads)
        return HogwildState(info, query, query.point, query.point, np.zeros_like(query.point)), query

    def local_step(self, problem: Problem, shard: Shard, local: SagaLocal, query: SagaQuery) -> Step:
        """Run one epoch over all rows."""
        return saga_rows.local_step(problem, shard, local, query, epochs.plain_sgd)

    def global_step(self, problem: Problem, state: HogwildState, board: Board) -> tuple[HogwildState, SagaQuery]:
        """Take the point of the epoch, add it to the average, and decrease the step size."""
        total, info, query = board.total(), state.info, state.query
        sums = SagaContribution.unflat(total, query.point.size, query.copies.size)
        state = replace(state, passes=sums.facts.passes / info.n_rows)
        if not np.all(np.isfinite(total)) or sums.facts.bad > 0.0:
            return replace(state, status="diverged", note="derivatives of rows are not finite"), query
        if query.number == 0:
            query = hub.with_metric(problem, info, query, sums)
        x = hub.iterate(info, query, sums, state.origin)
        share = 2.0 / (query.number + 2.0)  # the weight of an iterate grows: the first ones are far from the optimum
        mean = state.mean + share * (x - state.mean)
        gradient = state.gradient + share * (sums.gradient / info.n_rows - state.gradient)
        candidate = hub.candidate(problem, info, query._replace(point=mean, average=gradient), sums.facts)
        query = query._replace(
            point=x, number=query.number + 1, damp=self.eta / (query.number + 1.0) ** STEP_DECAY_POWER
        )
        return replace(state, query=query, mean=mean, gradient=gradient, candidate=candidate), query
