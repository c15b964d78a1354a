"""Mini-batch stochastic gradient descent in rounds: the baseline that others are measured by.

Source: Robbins & Monro 1951; Duchi & Singer 2009 (FOBOS, eq. 2-3: the proximal step); Polyak & Juditsky 1992
(averaging). All workers take the gradient of a part of their rows at the same point; steps decay as ``1 / sqrt(t)``;
the model is the average of the later iterates.
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
from offbeat.solvers._common.delayed_evaluation import Frame
from offbeat.solvers.baselines import minibatch
from offbeat.solvers.baselines.minibatch import Local

TAIL = 4  # numbers at the end of a contribution: loss, curvature, clock, rows visited


class Query(NamedTuple):
    """The point to take gradients at; the seed says which rows."""

    x: Floats
    frame: Frame
    seed: int


@dataclass(frozen=True)
class SGDState(State):
    """Where the method stands: the iterate, the averages of iterates, losses and gradients, and how many."""

    info: DataInfo
    x: Floats
    mean: Floats
    gradient: Floats
    loss: float = 0.0
    updates: int = 0


@dataclass(frozen=True)
class SGD:
    """Mini-batch stochastic gradient descent with averaging.

    It comes near the optimum and no further: expect fits to end with ``max_iter``.

    Parameters
    ----------
    batch : float
        Share of the rows of each shard that a step looks at.
    eta : float, optional
        First step; by default the reciprocal of the largest curvature. Step ``t`` is ``eta / sqrt(t)``.

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
    exact = False  # comes near the optimum, and no certificate of it is to be expected

    def __post_init__(self) -> None:
        """Refuse empty batches and steps that go nowhere."""
        check_hyper(self.name, self.batch, self.eta)

    def check(self, problem: Problem) -> None:
        """Accept every problem."""

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return what the contribution says: the clock."""
        return Local(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[SGDState, Query]:
        """Return the first query: the start."""
        x = delayed_evaluation.start(info)
        return SGDState(info, x, x, np.zeros_like(x)), Query(x, delayed_evaluation.frame(info), info.seed)

    def local_step(self, problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
        """Return the gradient of some rows, for all rows of the shard."""
        drawn = draw(problem, shard, local, query, self.batch)
        scale = shard.n_rows / drawn.seen.rows
        numbers = [drawn.seen.loss * scale, drawn.level * shard.n_rows, drawn.clock + 1.0, drawn.visited]
        payload = np.concatenate([drawn.seen.gradient * scale, numbers])
        return Step(local._replace(contribution=payload), payload, drawn.work, "mini-batch")

    def global_step(self, problem: Problem, state: SGDState, board: Board) -> tuple[SGDState, Query]:
        """Take the proximal step; add to the averages."""
        info, total = state.info, board.total()
        mean, m = total / info.n_rows, state.x.size
        query = Query(state.x, delayed_evaluation.frame(info), info.seed)
        state = replace(state, passes=float(mean[-1]))
        if not np.all(np.isfinite(total)):
            return replace(state, status="diverged"), query
        t = state.updates + 1
        step = (self.eta or 1.0 / float(mean[-3])) / math.sqrt(t)
        v = state.x - step * mean[:m]
        x = np.concatenate([info.penalty.prox(v[: info.size], step), v[info.size :]])
        share = 2.0 / (t + 1.0)  # later iterates count more: the first ones are far off
        average = state.mean + share * (x - state.mean)
        gradient = state.gradient + share * (mean[:m] - state.gradient)
        loss = state.loss + share * (float(mean[-4]) - state.loss)
        candidate = minibatch.candidate(problem, info, average, loss, gradient)
        state = replace(state, x=x, mean=average, gradient=gradient, loss=loss, updates=t, candidate=candidate)
        return state, query._replace(x=x)


class Drawn(NamedTuple):
    """A mini-batch gradient, and what the contribution says beside it."""

    seen: delayed_evaluation.Look
    level: float
    clock: int
    visited: float
    work: float


def draw(problem: Problem, shard: Shard, local: Local, query: Query, share: float) -> Drawn:
    """Take the gradient of the rows that are next.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    local : Local
        Its contribution ends with `TAIL` numbers.
    query : Query
    share : float
        Of the rows.
    """
    if local.contribution is None:
        level, work = minibatch.level(problem, shard, local.workspace, query.frame, query.x)
        clock, visited = 0, min(work, 1.0) * shard.n_rows
    else:
        _, total, clocks, visited = (float(value) for value in local.contribution[-TAIL:])
        level, clock, work = total / shard.n_rows, round(clocks), 0.0
    rows = minibatch.batch(shard, share, (query.seed, clock))
    seen = minibatch.gradient(problem, rows, local.workspace, query.frame, query.x)
    return Drawn(seen, level, clock, visited + seen.rows, work + seen.rows / shard.n_rows)


def check_hyper(name: str, batch: float, eta: float | None) -> None:
    """Raise `ProblemError` for a share of rows outside (0, 1] or a first step that is not positive.

    Examples
    --------
    >>> check_hyper("sgd", 0.1, None)
    """
    if not 0.0 < batch <= 1.0:
        raise ProblemError(f"batch of {name} is {batch}; give a share of the rows above 0, up to 1")
    if eta is not None and not 0.0 < eta < math.inf:
        raise ProblemError(f"eta of {name} is {eta}; give a positive number, or None")
