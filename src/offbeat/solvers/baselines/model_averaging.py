"""Model averaging: every worker fits its own rows for a while, and the models are averaged, once or again and again.

Sources: Zinkevich, Weimer, Li & Smola 2010 (one-shot); McDonald, Hall & Mann 2010 (periodic); Stich 2019 (local SGD).
One-shot averages of nonlinear models are biased, and periodic ones stop at a distance that depends on how different the
shards are: neither comes to the optimum. They are here because they are what others are compared with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.errors import ProblemError
from offbeat.losses.questions import smooth
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Candidate, DataInfo, State, Step
from offbeat.solvers._common import delayed_evaluation
from offbeat.solvers._common.delayed_evaluation import Frame
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, check_needs
from offbeat.solvers.baselines import minibatch
from offbeat.solvers.baselines.minibatch import RUN, Local


class Query(NamedTuple):
    """Where to start so many epochs from; ``evaluate`` asks for loss and gradient there instead."""

    x: Floats
    frame: Frame
    seed: int
    factor: Floats
    weight: Floats
    evaluate: bool
    epochs: int


@dataclass(frozen=True)
class MeanState(State):
    """Where the method stands: the mean model, how often it was taken."""

    info: DataInfo
    x: Floats
    rounds: int = 0


@dataclass(frozen=True)
class ModelAveraging:
    """Average of models that workers fit to their own rows by stochastic gradient descent.

    It comes near the optimum and no further: expect fits to end with ``max_iter``, or when the rounds are over.

    Parameters
    ----------
    rounds : int or None
        How often models are averaged; 1 is one-shot, None goes on until the fit ends.
    epochs : int
        Passes over its rows that each worker makes between two averages.
    eta : float, optional
        First step; by default from the largest curvature of the loss on a worker's rows.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> method = solvers.ModelAveraging(rounds=None)
    >>> solve(Problem(losses.Logistic(), penalties.L2(0.1)), X, y, solver=method, tol=0.01).status
    'converged'
    """

    rounds: int | None = None
    epochs: int = 2
    eta: float | None = None

    name = "model-averaging"
    exact = False  # the average of models is not the model of the average
    needs = (ONE_OUTPUT, SEPARABLE)

    def __post_init__(self) -> None:
        """Refuse numbers of rounds and epochs below one."""
        if self.rounds is not None and self.rounds < 1:
            raise ProblemError(f"rounds of ModelAveraging is {self.rounds}; give a whole number from 1, or None")
        if self.epochs < 1:
            raise ProblemError(f"epochs of ModelAveraging is {self.epochs}; give a whole number from 1")
        if self.eta is not None and not 0.0 < self.eta < math.inf:
            raise ProblemError(f"eta of ModelAveraging is {self.eta}; give a positive number, or None")

    @property
    def max_staleness(self) -> float:
        """None is needed to average for ever; to count rounds takes rounds."""
        return math.inf if self.rounds is None else 0.0

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return what the contribution says: the clock and the curvature."""
        return Local(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[MeanState, Query]:
        """Return the first query: the start."""
        x = delayed_evaluation.start(info)
        penalty = info.penalty
        query = Query(x, delayed_evaluation.frame(info), info.seed, penalty.factor, penalty.weight, False, self.epochs)
        return MeanState(info, x), query

    def local_step(self, problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
        """Fit the shard's rows from the query on; return the model times the number of rows."""
        memory = _memory(problem, shard, local, query)
        n = shard.n_rows
        if query.evaluate:
            seen = delayed_evaluation.look(
                problem, shard, local.workspace, query.frame, query.frame.point(query.x), query.x
            )
            payload = np.concatenate([seen.flat(), [memory.level * n, memory.epoch, memory.visited + n]])
            return Step(local._replace(contribution=payload), payload, memory.work + 1.0, "gradient")
        eta = self.eta or 1.0 / (memory.level + _noise(problem, memory.level, query.frame))
        mean = self._epochs(problem, shard, local.workspace, query, (memory.epoch, eta))
        numbers = [memory.level * n, memory.epoch + query.epochs, memory.visited + query.epochs * n]
        payload = np.concatenate([mean * n, numbers])
        return Step(local._replace(contribution=payload), payload, memory.work + query.epochs, "epochs")

    def _epochs(
        self, problem: Problem, shard: Shard, workspace: Workspace, query: Query, plan: tuple[int, float]
    ) -> Floats:
        """Return the average iterate of the last epoch."""
        from offbeat.kernels import minibatch as kernels

        clock, eta = plan
        x, frame = query.x.copy(), query.frame
        columns = (frame.center, frame.scale, query.factor, query.weight, 1.0 if frame.fit_intercept else 0.0)
        rule = problem.penalty._replace(weights=None)
        steps = math.ceil(shard.n_rows / RUN)
        sums, taken = np.zeros_like(x), 0
        for epoch in range(clock, clock + query.epochs):
            sums, taken = np.zeros_like(x), 0
            rng = np.random.default_rng((query.seed, shard.start, epoch))
            for block, targets, ranges in shard.blocks(1.0, workspace):
                first, last = int(ranges[0, 0]), int(ranges[-1, 1])
                starts = first + RUN * rng.permutation(math.ceil((last - first) / RUN))
                parts = (starts.astype(np.int64), RUN, eta, 1.0 / max(steps, 1), float(epoch * steps + taken))
                run: Any = kernels.sparse_epoch if isinstance(block, CSR) else kernels.dense_epoch
                data = tuple(block) if isinstance(block, CSR) else block
                run(problem.loss, rule, data, tuple(targets), x, sums, columns, parts)
                taken += len(starts)
        return sums / max(taken, 1)

    def global_step(self, problem: Problem, state: MeanState, board: Board) -> tuple[MeanState, Query]:
        """Take the mean of the models; once the rounds are over, have it evaluated and end."""
        info, total, penalty = state.info, board.total(), state.info.penalty
        query = Query(
            state.x, delayed_evaluation.frame(info), info.seed, penalty.factor, penalty.weight, False, self.epochs
        )
        state = replace(state, passes=float(total[-1]) / info.n_rows)
        if not np.all(np.isfinite(total)):
            return replace(state, status="diverged"), query
        if self.rounds is not None and state.rounds >= self.rounds:
            return _ended(problem, state, total), query
        mean = total[: state.x.size] / info.n_rows
        x = np.concatenate([penalty.prox(mean[: info.size], 0.0), mean[info.size :]])
        state = replace(state, x=x, rounds=state.rounds + 1, candidate=Candidate(x[: info.size], x[info.size :]))
        return state, query._replace(x=x, evaluate=state.rounds == self.rounds)


class Memory(NamedTuple):
    """What a contribution says: curvature (per row), epochs so far, rows visited; and the work of finding it."""

    level: float
    epoch: int
    visited: float
    work: float


def _memory(problem: Problem, shard: Shard, local: Local, query: Query) -> Memory:
    """Return what the last contribution says, or look at the shard for the first time."""
    if local.contribution is not None:
        level, epoch, visited = (float(value) for value in local.contribution[-3:])
        return Memory(level / shard.n_rows, round(epoch), visited, 0.0)
    level, work = minibatch.level(problem, shard, local.workspace, query.frame, query.x)
    return Memory(level, 0, min(work, 1.0) * shard.n_rows, work)


def _noise(problem: Problem, level: float, frame: Frame) -> float:
    """Return how much the curvature of `RUN` rows may be above that of all: scaled columns have a variance of 1."""
    if not smooth(problem.loss):
        level = 1.0
    elif math.isfinite(problem.loss.smoothness):
        level = float(problem.loss.smoothness)
    return level * (frame.size + 1) / RUN


def _ended(problem: Problem, state: MeanState, total: Floats) -> MeanState:
    """Return the state with the certificate of the mean model, at which every shard has just been evaluated."""
    info, k = state.info, state.info.size
    at, _ = delayed_evaluation.unflat(info, total)
    repair = at.repair if at.repair.size else None
    seen = Evaluation(at.loss, at.gradient[:k], at.gradient[k:], repair, at.h if at.repair.size else 0.0)
    progress = evaluation.progress(problem, info, Iterate(state.x[:k], state.x[k:]), seen)
    return replace(state, candidate=None, progress=progress, status="rounds")
