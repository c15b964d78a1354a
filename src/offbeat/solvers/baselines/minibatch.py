"""Mini-batches, and what the stochastic methods share.

Rows are drawn in short runs of neighbours, and a batch reads its runs in order. The seed, the shard and the clock
determine the runs. So a step that is repeated on another worker uses the same rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard, Workspace
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways.protocol import Candidate, DataInfo
from offbeat.solvers._common import curvature, delayed_evaluation
from offbeat.solvers._common.constants import ROWS_PER_RUN
from offbeat.solvers._common.delayed_evaluation import InternalCoordinates, ShardEvaluation


@dataclass(frozen=True)
class MiniBatch(Shard):
    """Some rows of a shard, as a shard: a mini-batch step evaluates it."""

    runs: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def ranges(self, fraction: float = 1.0) -> NDArray[np.int64]:
        """Return the runs of rows, as (start, stop) pairs."""
        return self.runs


def mini_batch(shard: Shard, share: float, key: tuple[int, int]) -> MiniBatch:
    """Return the mini-batch of a step.

    Every pass over the shard visits each run once, in a new random order.

    Parameters
    ----------
    shard : Shard
    share : float
        Share of the rows of the shard, in (0, 1].
    key : tuple of int
        Seed of the fit, and clock of the step, which counts from 0.
    """
    n = shard.n_rows
    pieces = max(math.ceil(n / ROWS_PER_RUN), 1)
    per_batch = min(max(round(share * pieces), 1), pieces)
    seed, clock = key
    batches = math.ceil(pieces / per_batch)
    epoch, number = divmod(clock, batches)
    order = np.random.default_rng((seed, shard.first_row, epoch)).permutation(pieces)
    first = np.sort(order[number * per_batch : (number + 1) * per_batch]) * ROWS_PER_RUN
    runs = np.stack([first, np.minimum(first + ROWS_PER_RUN, n)], axis=1).astype(np.int64)
    own = {f.name: getattr(shard, f.name) for f in fields(Shard)}
    return MiniBatch(**own, runs=runs)


class StochasticLocal(NamedTuple):
    """Local state of a shard: its last contribution, which holds all that the next step needs."""

    workspace: Workspace
    contribution: Floats | None = None


def batch_gradient(
    problem: Problem, shard: Shard, workspace: Workspace, frame: InternalCoordinates, x: Floats
) -> ShardEvaluation:
    """Return the sums of loss and gradient over the rows of a batch at ``x``."""
    return delayed_evaluation.evaluate_shard(problem, shard, workspace, frame, frame.point(x, repair=False), x)


def largest_curvature(
    problem: Problem, shard: Shard, workspace: Workspace, frame: InternalCoordinates, x: Floats
) -> tuple[float, float]:
    """Return the largest curvature per row, which sets the first step size, and the work in gradient passes."""
    return curvature.largest_curvature(problem, shard, workspace, frame, x)


def candidate(problem: Problem, info: DataInfo, x: Floats, loss: float, batch_gradient: Floats) -> Candidate:
    """Return ``x`` as a candidate, with an estimate of its gap from averages of mini-batch losses and gradients.

    Noise in the averages makes the estimate too large. The gradient of the intercept is assumed to be zero.
    """
    u, b = x[: info.size], x[info.size :]
    loss = max(loss, -info.reference.conjugate_zero)  # lower bound of any loss
    at = Evaluation(loss, batch_gradient[: info.size], np.zeros(info.n_outputs), None, 0.0)
    c = problem.certify(info.penalty, u, at, info.reference, b)
    return Candidate(u, b, 2.0 * c.relative_gap)
