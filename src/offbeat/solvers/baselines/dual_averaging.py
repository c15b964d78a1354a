"""Regularised dual averaging, with contributions of any age; as ASIP-SGD published it, as an option.

Sources: Xiao 2010, Dual Averaging Methods for Regularized Stochastic Learning and Online Optimization (JMLR 11:2543,
algorithm 1 with beta_t = sqrt(t) / eta); Gonzalez, Trifan, Garcia-Molina et al. 2015 (arXiv 1510.07092, section 4.1).
Every shard owns the mean of all its mini-batch gradients, weighted by its rows: a shard that is asked more often than
others does not count more. The iterate is ``prox(start - eta sqrt(t) mean gradient)``, the model the average iterate.
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
from offbeat.solvers._common.delayed_evaluation import Frame
from offbeat.solvers.baselines import minibatch, sgd
from offbeat.solvers.baselines.minibatch import Local


class Query(NamedTuple):
    """The point to take gradients at, the seed, and the mean of all duals (of the variant "asip")."""

    x: Floats
    frame: Frame
    seed: int
    dual: Floats


@dataclass(frozen=True)
class AveragingState(State):
    """Where the method stands: the origin of the prox, the iterate, the average iterate."""

    info: DataInfo
    origin: Floats
    x: Floats
    mean: Floats
    updates: int = 0


@dataclass(frozen=True)
class DualAveraging:
    """Regularised dual averaging: stochastic gradients that may be late, repeated or lost.

    It comes near the optimum and no further: expect fits to end with ``max_iter``.

    Parameters
    ----------
    batch : float
        Share of the rows of each shard that a step looks at.
    eta : float, optional
        Step ``t`` moves by ``eta / sqrt(t)`` times the sum of gradients; by default the reciprocal of the largest
        curvature of the loss.
    variant : {"keyed", "asip"}
        Whether a shard adds to its own sum of gradients, or to the mean of all that it has received (the published
        update ``dual <- (dual + received) / (1 + peers) + gradient``, meant for `offbeat.topology.Broadcast`).

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
    exact = False  # comes near the optimum, and no certificate of it is to be expected

    def __post_init__(self) -> None:
        """Refuse empty batches, steps that go nowhere, and unknown variants."""
        sgd.check_hyper(self.name, self.batch, self.eta)
        if self.variant not in ("keyed", "asip"):
            raise ProblemError(f'variant of DualAveraging is {self.variant!r}; give "keyed" or "asip"')

    def check(self, problem: Problem) -> None:
        """Accept every problem."""

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return what the contribution says: the sum of gradients and the clock."""
        return Local(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[AveragingState, Query]:
        """Return the first query: the start."""
        x = delayed_evaluation.start(info)
        return AveragingState(info, x, x, x), Query(x, delayed_evaluation.frame(info), info.seed, np.zeros_like(x))

    def local_step(self, problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
        """Add the gradient of some rows to the shard's own mean, or to the dual that it was sent."""
        point = sgd.Query(query.x, query.frame, query.seed)
        drawn = sgd.draw(problem, shard, local, point, self.batch)
        clock, scale = drawn.clock, shard.n_rows / drawn.seen.rows
        new = drawn.seen.gradient * scale
        loss = drawn.seen.loss * scale
        if self.variant == "asip":  # the sum over shards is to be the mean dual times the rows
            dual = query.dual * shard.n_rows + new
        else:
            old = np.zeros_like(new) if local.contribution is None else local.contribution[: new.size]
            before = 0.0 if local.contribution is None else float(local.contribution[-sgd.TAIL])
            dual = old + (new - old) / (clock + 1.0)
            loss = before + (loss - before) / (clock + 1.0)
        numbers = [loss, drawn.level * shard.n_rows, clock + 1.0, drawn.visited]
        payload = np.concatenate([dual, [shard.n_rows * (clock + 1.0)], numbers])
        return Step(local._replace(contribution=payload), payload, drawn.work, "mini-batch")

    def global_step(self, problem: Problem, state: AveragingState, board: Board) -> tuple[AveragingState, Query]:
        """Take the prox of the mean gradient of all times; add to the average iterate."""
        info, total = state.info, board.total()
        mean, m = total / info.n_rows, state.x.size
        query = Query(state.x, delayed_evaluation.frame(info), info.seed, mean[:m])
        state = replace(state, passes=float(mean[-1]))
        if not np.all(np.isfinite(total)):
            return replace(state, status="diverged"), query
        t = max(float(mean[m]), 1.0)  # steps that a shard has taken, in the mean
        gradient = mean[:m] if self.variant == "keyed" else mean[:m] / t
        step = (self.eta or 1.0 / float(mean[-3])) * math.sqrt(t)
        v = state.origin - step * gradient
        x = np.concatenate([info.penalty.prox(v[: info.size], step), v[info.size :]])
        updates = state.updates + 1
        average = state.mean + (x - state.mean) * 2.0 / (updates + 1.0)
        candidate = minibatch.candidate(problem, info, average, float(mean[-4]), gradient)
        state = replace(state, x=x, mean=average, updates=updates, candidate=candidate)
        return state, query._replace(x=x)
