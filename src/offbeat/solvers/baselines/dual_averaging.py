"""Regularised dual averaging with contributions of any age. The published ASIP-SGD is an option.

Sources: Xiao 2010, Dual Averaging Methods for Regularized Stochastic Learning and Online Optimization (JMLR 11:2543,
algorithm 1 with beta_t = sqrt(t) / eta); Gonzalez, Trifan, Garcia-Molina et al. 2015 (arXiv 1510.07092, section 4.1).

Every shard holds the mean of all its mini-batch gradients. Shards are weighted by rows, so a shard that makes more
steps does not count more. The iterate is ``prox(start - eta sqrt(t) mean gradient)``. The model is a weighted average
of the iterates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common import delayed_evaluation
from offbeat.solvers._common.delayed_evaluation import InternalCoordinates
from offbeat.solvers.baselines import minibatch, sgd
from offbeat.solvers.baselines.minibatch import StochasticLocal


class DualAveragingQuery(NamedTuple):
    """The point to evaluate, the seed that determines the rows, and the mean dual (used by the variant "asip")."""

    x: Floats
    frame: InternalCoordinates
    seed: int
    dual: Floats


@dataclass(frozen=True)
class DualAveragingState(State):
    """State of the hub: the start ``origin``, the iterate ``x``, the average iterate ``mean``."""

    info: DataInfo
    origin: Floats
    x: Floats
    mean: Floats
    updates: int = 0


@dataclass(frozen=True)
class DualAveraging:
    """Regularised dual averaging: stochastic gradients that may be delayed, repeated or lost.

    It takes every loss and penalty. Its noise decays slowly: a fit to a small tolerance usually ends with ``max_iter``.

    Parameters
    ----------
    batch : float
        Share of each shard's rows in a mini-batch, in (0, 1].
    eta : float, optional
        Iterate ``t`` is ``eta / sqrt(t)`` times the sum of gradients away from the start, before the prox. The default
        is the reciprocal of the largest curvature of the loss.
    variant : {"keyed", "asip"}
        With "keyed" a shard averages its own gradients. With "asip" a shard adds its gradient to the mean of all duals
        that it has received: the published update ``dual <- (dual + received) / (1 + peers) + gradient``, meant for
        `offbeat.topology.Broadcast`.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    References
    ----------
    Xiao 2010, JMLR 11:2543, algorithm 1.

    Examples
    --------
    >>> import math
    >>> from offbeat import Problem, engines, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> cluster = engines.Simulated(4, straggler={0: 10.0})
    >>> problem = Problem(losses.Logistic(), penalties.L2(0.1))
    >>> method = solvers.DualAveraging()
    >>> solve(problem, X, y, solver=method, engine=cluster, staleness=math.inf, tol=0.1).status
    'converged'
    """

    batch: float = 0.1
    eta: float | None = None
    variant: Literal["keyed", "asip"] = "keyed"

    name = "dual-averaging"
    max_staleness = math.inf
    early = True
    exact = False  # a small tolerance is not to be expected

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters out of range."""
        sgd.check_hyperparameters(self.name, self.batch, self.eta)
        if self.variant not in ("keyed", "asip"):
            raise ProblemError(f'variant of DualAveraging is {self.variant!r}; give "keyed" or "asip"')

    def check(self, problem: Problem) -> None:
        """Accept every problem."""

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> StochasticLocal:
        """Return the local state that a contribution was made from."""
        return StochasticLocal(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[DualAveragingState, DualAveragingQuery]:
        """Return the first state and query: the start of the fit."""
        x = delayed_evaluation.start(info)
        return DualAveragingState(info, x, x, x), DualAveragingQuery(
            x, delayed_evaluation.coordinates(info), info.seed, np.zeros_like(x)
        )

    def local_step(self, problem: Problem, shard: Shard, local: StochasticLocal, query: DualAveragingQuery) -> Step:
        """Add the gradient of the next mini-batch to the shard's mean, or to the dual of the query ("asip")."""
        point = sgd.SgdQuery(query.x, query.frame, query.seed)
        drawn = sgd.next_gradient(problem, shard, local, point, self.batch)
        clock, scale = drawn.clock, shard.n_rows / drawn.seen.rows
        new = drawn.seen.gradient * scale
        loss = drawn.seen.loss * scale
        if self.variant == "asip":  # the hub divides the sum over shards by the number of rows
            dual = query.dual * shard.n_rows + new
        else:
            old = np.zeros_like(new) if local.contribution is None else local.contribution[: new.size]
            before = 0.0 if local.contribution is None else float(local.contribution[-sgd.N_SCALARS])
            dual = old + (new - old) / (clock + 1.0)
            loss = before + (loss - before) / (clock + 1.0)
        numbers = [loss, drawn.level * shard.n_rows, clock + 1.0, drawn.visited]
        payload = np.concatenate([dual, [shard.n_rows * (clock + 1.0)], numbers])
        return Step(local._replace(contribution=payload), payload, drawn.work, "mini-batch")

    def global_step(
        self, problem: Problem, state: DualAveragingState, board: Board
    ) -> tuple[DualAveragingState, DualAveragingQuery]:
        """Return the state and query with the next iterate; update the average iterate."""
        info, total = state.info, board.total()
        mean, m = total / info.n_rows, state.x.size
        query = DualAveragingQuery(state.x, delayed_evaluation.coordinates(info), info.seed, mean[:m])
        state = replace(state, passes=float(mean[-1]))
        if not np.all(np.isfinite(total)):
            return replace(state, status="diverged"), query
        t = max(float(mean[m]), 1.0)  # mean number of steps of a shard
        gradient = mean[:m] if self.variant == "keyed" else mean[:m] / t
        step = (self.eta or 1.0 / float(mean[-3])) * math.sqrt(t)
        v = state.origin - step * gradient
        x = np.concatenate([info.penalty.prox(v[: info.size], step), v[info.size :]])
        updates = state.updates + 1
        average = state.mean + (x - state.mean) * 2.0 / (updates + 1.0)
        candidate = minibatch.candidate(problem, info, average, float(mean[-4]), gradient)
        state = replace(state, x=x, mean=average, updates=updates, candidate=candidate)
        return state, query._replace(x=x)
