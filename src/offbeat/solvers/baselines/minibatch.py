"""Random rows: which a step looks at, and what stochastic methods share.

Rows are drawn in short runs, so that blocks are still read in order; which runs, follows from seed, shard and clock,
so that a step repeated elsewhere looks at the same rows.
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
from offbeat.solvers._common.delayed_evaluation import Frame, Look

RUN = 8  # rows that are drawn together


@dataclass(frozen=True)
class Batch(Shard):
    """Some rows of a shard: what a mini-batch step evaluates."""

    runs: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def ranges(self, fraction: float = 1.0) -> NDArray[np.int64]:
        """Return the runs."""
        return self.runs


def batch(shard: Shard, share: float, key: tuple[int, int]) -> Batch:
    """Return the rows that a step looks at.

    Every pass over the shard visits its runs in another order, each once.

    Parameters
    ----------
    shard : Shard
    share : float
        Of the rows of the shard, in (0, 1].
    key : tuple of int
        Seed of the fit, clock of the step from 0.
    """
    n = shard.n_rows
    pieces = max(math.ceil(n / RUN), 1)
    per_batch = min(max(round(share * pieces), 1), pieces)
    seed, clock = key
    batches = math.ceil(pieces / per_batch)
    epoch, number = divmod(clock, batches)
    order = np.random.default_rng((seed, shard.start, epoch)).permutation(pieces)
    first = np.sort(order[number * per_batch : (number + 1) * per_batch]) * RUN
    runs = np.stack([first, np.minimum(first + RUN, n)], axis=1).astype(np.int64)
    own = {f.name: getattr(shard, f.name) for f in fields(Shard)}
    return Batch(**own, runs=runs)


class Local(NamedTuple):
    """What a shard of a stochastic method remembers: its contribution, from which all else follows."""

    workspace: Workspace
    contribution: Floats | None = None


def gradient(problem: Problem, shard: Shard, workspace: Workspace, frame: Frame, x: Floats) -> Look:
    """Return loss and gradient at ``x``, as if the rows of the batch stood for all rows they were drawn from."""
    return delayed_evaluation.look(problem, shard, workspace, frame, frame.point(x, repair=False), x)


def level(problem: Problem, shard: Shard, workspace: Workspace, frame: Frame, x: Floats) -> tuple[float, float]:
    """Return the curvature that the first step size follows from, and the work of finding it."""
    return curvature.largest(problem, shard, workspace, frame, x)


def candidate(problem: Problem, info: DataInfo, x: Floats, loss: float, gradient: Floats) -> Candidate:
    """Return ``x`` with the gap that averages of loss and gradient of mini-batches suggest: a guess.

    Their noise is taken for a gradient that is not zero, so that the guess is rather too large; the intercept is taken
    for optimal.
    """
    u, b = x[: info.size], x[info.size :]
    loss = max(loss, -info.reference.conjugate_zero)  # nothing is below it
    at = Evaluation(loss, gradient[: info.size], np.zeros(info.n_outputs), None, 0.0)
    c = problem.certify(info.penalty, u, at, info.reference, b)
    return Candidate(u, b, 2.0 * c.relative_gap)
