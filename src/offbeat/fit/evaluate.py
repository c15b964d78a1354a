"""Evaluation of one point on all rows of a data set: the only place that asks every shard and adds up the answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

import numpy as np

from offbeat.data.shards import Point, Shard, Workspace
from offbeat.engines.base import Engine
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import View
from offbeat.sideways.protocol import DataInfo


def evaluate(
    problem: Problem, info: DataInfo, shards: Sequence[Shard], engine: Engine, point: Point
) -> tuple[Evaluation, Floats | None]:
    """Evaluate loss, gradient and, where the point asks for it, the Hessian on all shards.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
        Its centre and scale are those of the point.
    shards : sequence of Shard
        Together they hold each row once. They may be cut in another way than ``info`` says.
    engine : Engine
        Evaluates the shards side by side. The sum is taken in the order of the shards.
    point : Point
        From `offbeat.sideways.evaluation.query`.

    Returns
    -------
    at : Evaluation
        Means over the rows visited, in internal coordinates.
    hessian : ndarray of shape (n_columns + 1, n_columns + 1), or None
    """
    total = reduce(np.add, engine.map(partial(_sums, problem, point), shards))
    return evaluation.gather(info, View(total, len(shards), len(shards)), point)


def _sums(problem: Problem, point: Point, shard: Shard) -> Floats:
    """Return the sums over one shard, as one array."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller checks whether the sums are finite
        return evaluation.local_step(problem, shard, Workspace(), point).payload
