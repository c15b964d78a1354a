"""Mini-batch stochastic gradient descent with a barrier: a baseline.

Sources: Robbins & Monro 1951; Duchi & Singer 2009 (FOBOS, eq. 2-3: the proximal step); Polyak & Juditsky 1992
(averaging).

All workers evaluate the gradient of a mini-batch at the same point. Step ``t`` has the length ``eta / sqrt(t)``. The
model is a weighted average of the iterates, in which later ones count more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common import delayed_evaluation
from offbeat.solvers._common.delayed_evaluation import InternalCoordinates
from offbeat.solvers._common.parameters import check_positive
from offbeat.solvers.baselines import minibatch
from offbeat.solvers.baselines.minibatch import StochasticLocal

N_SCALARS = 4  # at the end of a contribution: loss, curvature, clock, rows visited


class SgdQuery(NamedTuple):
    """The point to evaluate, and the seed that determines the rows."""

    x: Floats
    frame: InternalCoordinates
    seed: int


@dataclass(frozen=True)
class SGDState(State):
    """State of SGD: the iterate, the averages of iterates, losses and gradients, and the number of updates."""

    info: DataInfo
    x: Floats
    mean: Floats
    gradient: Floats
    loss: float = 0.0
    updates: int = 0


@dataclass(frozen=True)
class SGD:
    """Mini-batch stochastic gradient descent with averaging: a baseline, for every loss and penalty.

    Its noise decays slowly. A fit to a small tolerance usually ends with ``max_iter``.

    Parameters
    ----------
    batch : float
        Share of each shard's rows in a mini-batch, in (0, 1].
    eta : float, optional
        First step size. Step ``t`` is ``eta / sqrt(t)``. The default is the reciprocal of the largest curvature.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> solve(Problem(losses.Hinge(), penalties.L2(0.1)), X, y, solver=solvers.SGD(), tol=0.1).status
    'converged'
    """

    batch: float = 0.1
    eta: float | None = None

    name = "sgd"
    max_staleness = 0.0
    exact = False  # a small tolerance is not to be expected

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters out of range."""
        check_hyperparameters(self.name, self.batch, self.eta)

    def check(self, problem: Problem) -> None:
        """Accept every problem."""

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> StochasticLocal:
        """Return the local state that a contribution was made from."""
        return StochasticLocal(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[SGDState, SgdQuery]:
        """Return the first state and query: the start of the fit."""
        x = delayed_evaluation.start(info)
        return SGDState(info, x, x, np.zeros_like(x)), SgdQuery(x, delayed_evaluation.coordinates(info), info.seed)

    def local_step(self, problem: Problem, shard: Shard, local: StochasticLocal, query: SgdQuery) -> Step:
        """Return the gradient of the next mini-batch, scaled to all rows of the shard."""
        drawn = next_gradient(problem, shard, local, query, self.batch)
        scale = shard.n_rows / drawn.seen.rows
        numbers = [drawn.seen.loss * scale, drawn.level * shard.n_rows, drawn.clock + 1.0, drawn.visited]
        payload = np.concatenate([drawn.seen.gradient * scale, numbers])
        return Step(local._replace(contribution=payload), payload, drawn.work, "mini-batch")

    def global_step(self, problem: Problem, state: SGDState, board: Board) -> tuple[SGDState, SgdQuery]:
        """Take the proximal step and update the averages."""
        info, total = state.info, board.total()
        mean, m = total / info.n_rows, state.x.size
        query = SgdQuery(state.x, delayed_evaluation.coordinates(info), info.seed)
        state = replace(state, passes=float(mean[-1]))
        if not np.all(np.isfinite(total)):
            return replace(state, status="diverged"), query
        t = state.updates + 1
        step = (self.eta or 1.0 / float(mean[-3])) / math.sqrt(t)
        v = state.x - step * mean[:m]
        x = np.concatenate([info.penalty.prox(v[: info.size], step), v[info.size :]])
        share = 2.0 / (t + 1.0)  # the weight of an iterate grows with t: the first ones are far from the optimum
        average = state.mean + share * (x - state.mean)
        gradient = state.gradient + share * (mean[:m] - state.gradient)
        loss = state.loss + share * (float(mean[-4]) - state.loss)
        candidate = minibatch.candidate(problem, info, average, loss, gradient)
        state = replace(state, x=x, mean=average, gradient=gradient, loss=loss, updates=t, candidate=candidate)
        return state, query._replace(x=x)


class MiniBatchGradient(NamedTuple):
    """A mini-batch gradient, with the scalars of the contribution and the work in gradient passes."""

    seen: delayed_evaluation.ShardEvaluation
    level: float
    clock: int
    visited: float
    work: float


def next_gradient(
    problem: Problem, shard: Shard, local: StochasticLocal, query: SgdQuery, share: float
) -> MiniBatchGradient:
    """Evaluate the gradient of the next mini-batch of a shard.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    local : StochasticLocal
        Its contribution ends with `N_SCALARS` scalars.
    query : SgdQuery
    share : float
        Share of the rows.
    """
    if local.contribution is None:
        level, work = minibatch.largest_curvature(problem, shard, local.workspace, query.frame, query.x)
        clock, visited = 0, min(work, 1.0) * shard.n_rows
    else:
        _, total, clocks, visited = (float(value) for value in local.contribution[-N_SCALARS:])
        level, clock, work = total / shard.n_rows, round(clocks), 0.0
    rows = minibatch.mini_batch(shard, share, (query.seed, clock))
    seen = minibatch.batch_gradient(problem, rows, local.workspace, query.frame, query.x)
    return MiniBatchGradient(seen, level, clock, visited + seen.rows, work + seen.rows / shard.n_rows)


def check_hyperparameters(name: str, batch: float, eta: float | None) -> None:
    """Raise `ProblemError` for a share of rows outside (0, 1] or a first step that is not positive.

    Examples
    --------
    >>> check_hyperparameters("sgd", 0.1, None)
    """
    if not 0.0 < batch <= 1.0:
        raise ProblemError(f"batch of {name} is {batch}; give a share of the rows above 0, up to 1")
    check_positive(name, "eta", eta, optional=True)
