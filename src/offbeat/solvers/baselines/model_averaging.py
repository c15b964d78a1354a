"""Model averaging, a baseline: workers run SGD on their own rows, and the models are averaged once or periodically.

Sources: Zinkevich, Weimer, Li & Smola 2010 (one-shot); McDonald, Hall & Mann 2010 (periodic); Stich 2019 (local SGD).

Neither variant converges to the optimum. One-shot averages of nonlinear models are biased. Periodic averages keep a
bias that depends on how different the shards are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.kernels.arguments import MinibatchColumns, MinibatchPlan
from offbeat.losses.questions import smooth
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Candidate, DataInfo, State, Step
from offbeat.solvers._common import delayed_evaluation
from offbeat.solvers._common.constants import ROWS_PER_RUN
from offbeat.solvers._common.delayed_evaluation import InternalCoordinates
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, check_needs
from offbeat.solvers._common.parameters import check_count, check_positive
from offbeat.solvers.baselines import minibatch
from offbeat.solvers.baselines.minibatch import StochasticLocal


class ModelAveragingQuery(NamedTuple):
    """The point to start ``epochs`` epochs of SGD from.

    With ``evaluate``, loss and gradient there are asked for instead.
    """

    x: Floats
    frame: InternalCoordinates
    seed: int
    factor: Floats
    weight: Floats
    evaluate: bool
    epochs: int


@dataclass(frozen=True)
class ModelAveragingState(State):
    """State of the hub: the mean model and the number of averages so far."""

    info: DataInfo
    x: Floats
    rounds: int = 0


@dataclass(frozen=True)
class ModelAveraging:
    """Average of the models that workers fit to their own rows by stochastic gradient descent: a baseline.

    The average is biased. A fit to a small tolerance usually ends with ``max_iter``, or after the last round.

    Parameters
    ----------
    rounds : int or None
        Number of averages. 1 is one-shot averaging; None averages until the fit ends.
    epochs : int
        Passes of each worker over its rows between two averages.
    eta : float, optional
        First step size. By default it follows from the largest curvature of the loss on a worker's rows.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

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
    early = True
    exact = False  # the average of models is not the model of the average
    needs = (ONE_OUTPUT, SEPARABLE)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters out of range."""
        check_count("ModelAveraging", "rounds", self.rounds, optional=True)
        check_count("ModelAveraging", "epochs", self.epochs)
        check_positive("ModelAveraging", "eta", self.eta, optional=True)

    @property
    def max_staleness(self) -> float:
        """0 if rounds are counted, which needs a barrier; else any staleness."""
        return math.inf if self.rounds is None else 0.0

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> StochasticLocal:
        """Return the local state that a contribution was made from."""
        return StochasticLocal(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[ModelAveragingState, ModelAveragingQuery]:
        """Return the first state and query: the start of the fit."""
        x = delayed_evaluation.start(info)
        penalty = info.penalty
        query = ModelAveragingQuery(
            x, delayed_evaluation.coordinates(info), info.seed, penalty.factor, penalty.weight, False, self.epochs
        )
        return ModelAveragingState(info, x), query

    def local_step(self, problem: Problem, shard: Shard, local: StochasticLocal, query: ModelAveragingQuery) -> Step:
        """Run SGD epochs from the query. The contribution is the average iterate times the number of rows."""
        memory = _history(problem, shard, local, query)
        n = shard.n_rows
        if query.evaluate:
            seen = delayed_evaluation.evaluate_shard(
                problem, shard, local.workspace, query.frame, query.frame.point(query.x), query.x
            )
            payload = np.concatenate([seen.flat(), [memory.level * n, memory.epoch, memory.visited + n]])
            return Step(local._replace(contribution=payload), payload, memory.work + 1.0, "gradient")
        eta = self.eta or 1.0 / (memory.level + _curvature_noise(problem, memory.level, query.frame))
        mean = self._epochs(problem, shard, local.workspace, query, (memory.epoch, eta))
        numbers = [memory.level * n, memory.epoch + query.epochs, memory.visited + query.epochs * n]
        payload = np.concatenate([mean * n, numbers])
        return Step(local._replace(contribution=payload), payload, memory.work + query.epochs, "epochs")

    def _epochs(
        self, problem: Problem, shard: Shard, workspace: Workspace, query: ModelAveragingQuery, plan: tuple[int, float]
    ) -> Floats:
        """Run the epochs. Return the average iterate of the last one."""
        from offbeat.kernels import minibatch as kernels

        clock, eta = plan
        x, frame = query.x.copy(), query.frame
        columns = MinibatchColumns(frame.center, frame.scale, query.factor, query.weight, float(frame.fit_intercept))
        rule = problem.penalty._replace(weights=None)
        steps = math.ceil(shard.n_rows / ROWS_PER_RUN)
        sums, taken = np.zeros_like(x), 0
        for epoch in range(clock, clock + query.epochs):
            sums, taken = np.zeros_like(x), 0
            rng = np.random.default_rng((query.seed, shard.first_row, epoch))
            for block, targets, ranges in shard.blocks(1.0, workspace):
                first, last = int(ranges[0, 0]), int(ranges[-1, 1])
                starts = first + ROWS_PER_RUN * rng.permutation(math.ceil((last - first) / ROWS_PER_RUN))
                before = float(epoch * steps + taken)
                parts = MinibatchPlan(starts.astype(np.int64), ROWS_PER_RUN, eta, 1.0 / max(steps, 1), before)
                run: Any = kernels.sparse_epoch if isinstance(block, CSR) else kernels.dense_epoch
                run(problem.loss, rule, block, targets, x, sums, columns, parts)
                taken += len(starts)
        return sums / max(taken, 1)

    def global_step(
        self, problem: Problem, state: ModelAveragingState, board: Board
    ) -> tuple[ModelAveragingState, ModelAveragingQuery]:
        """Take the mean of the models. After the last round, have it evaluated and end the fit."""
        info, total, penalty = state.info, board.total(), state.info.penalty
        query = ModelAveragingQuery(
            state.x, delayed_evaluation.coordinates(info), info.seed, penalty.factor, penalty.weight, False, self.epochs
        )
        state = replace(state, passes=float(total[-1]) / info.n_rows)
        if not np.all(np.isfinite(total)):
            return replace(state, status="diverged"), query
        if self.rounds is not None and state.rounds >= self.rounds:
            return _certify_mean(problem, state, total), query
        mean = total[: state.x.size] / info.n_rows
        x = np.concatenate([penalty.prox(mean[: info.size], 0.0), mean[info.size :]])
        state = replace(state, x=x, rounds=state.rounds + 1, candidate=Candidate(x[: info.size], x[info.size :]))
        return state, query._replace(x=x, evaluate=state.rounds == self.rounds)


class ShardHistory(NamedTuple):
    """Scalars of a contribution: curvature (per row), epochs so far, rows visited.

    ``work`` is that of the curvature.
    """

    level: float
    epoch: int
    visited: float
    work: float


def _history(problem: Problem, shard: Shard, local: StochasticLocal, query: ModelAveragingQuery) -> ShardHistory:
    """Return the scalars of the last contribution, or those of a new shard, whose curvature is computed."""
    if local.contribution is not None:
        level, epoch, visited = (float(value) for value in local.contribution[-3:])
        return ShardHistory(level / shard.n_rows, round(epoch), visited, 0.0)
    level, work = minibatch.largest_curvature(problem, shard, local.workspace, query.frame, query.x)
    return ShardHistory(level, 0, min(work, 1.0) * shard.n_rows, work)


def _curvature_noise(problem: Problem, level: float, frame: InternalCoordinates) -> float:
    """Return how much `ROWS_PER_RUN` rows may exceed all rows in curvature, if columns have unit variance."""
    if not smooth(problem.loss):
        level = 1.0
    elif math.isfinite(problem.loss.smoothness):
        level = float(problem.loss.smoothness)
    return level * (frame.size + 1) / ROWS_PER_RUN


def _certify_mean(problem: Problem, state: ModelAveragingState, total: Floats) -> ModelAveragingState:
    """Return the final state, with the certificate of the mean model. All shards have just evaluated it."""
    info, k = state.info, state.info.size
    at, _ = delayed_evaluation.unflat(info, total)
    repair = at.repair if at.repair.size else None
    seen = Evaluation(at.loss, at.gradient[:k], at.gradient[k:], repair, at.h if at.repair.size else 0.0)
    progress = evaluation.progress(problem, info, Iterate(state.x[:k], state.x[k:]), seen)
    return replace(state, candidate=None, progress=progress, status="rounds")
