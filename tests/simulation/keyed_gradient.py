"""A small asynchronous method that belongs to the tests: averages of keyed gradient steps, any staleness.

The iterate is the proximal point of the mean of ``z_i - step * grad f_i(z_i)`` over the shards, each at the point it
saw last (Mishchenko, Iutzeler, Malick & Amini 2018, DAve-PG): constant step, whatever the delays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shard import Point, Shard, Sums, Workspace, head_size
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Candidate, DataInfo, Step


class Query(NamedTuple):
    """The point in the columns' units and in internal coordinates, what divides the two, and the step."""

    point: Point
    at: Floats
    inverse: Floats
    step: float
    free: float


@dataclass(frozen=True)
class State:
    """The iterate, and what the loop wants to know."""

    info: DataInfo
    x: Iterate
    step: float
    passes: float = 0.0
    candidate: Candidate | None = None
    progress: None = None
    status: str | None = None
    note: str = ""


@dataclass(frozen=True)
class KeyedGradient:
    """The method; ``bend`` bounds the curvature of a shard in units of the mean of all."""

    bend: float = 1.5
    name = "keyed-gradient"
    max_staleness = math.inf

    def check(self, problem: Problem) -> None:
        """Take any problem: the tests give it smooth losses."""

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Workspace:
        """Return scratch memory."""
        return Workspace()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[State, Query]:
        """Return the first query; the step is one over a bound of the curvature."""
        step = 1.0 / (self.bend * problem.loss.smoothness * (1.0 + info.n_columns))
        state = State(info, evaluation.start(info), step)
        return state, _query(state)

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Query) -> Step:
        """Return rows times the step from the query, and the rows."""
        flat = shard.evaluate(problem.loss, query.point, local).flat()
        sums = Sums.unflat(flat, query.point)
        rows = float(sums.head[-1])
        slope = np.concatenate([sums.gradient * query.inverse, query.free * sums.head[1 : head_size(1) - 2]])
        return Step(local, np.append(rows * query.at - query.step * slope, rows), 1.0, "gradient step")

    def global_step(self, problem: Problem, state: State, board: Board) -> tuple[State, Query]:
        """Return the proximal point of the mean."""
        total = board.total()
        mean = total[:-1] / total[-1]
        u = state.info.penalty.prox(mean[:-1].copy(), state.step)
        x = Iterate(u, mean[-1:].copy())
        moved = float(np.sum((x.flat() - state.x.flat()) ** 2)) / (state.step * state.info.reference.objective)
        passes = state.passes + 1.0 / board.n_shards
        state = replace(state, x=x, passes=passes, candidate=Candidate(x.u, x.b, estimate=moved * board.n_shards))
        return state, _query(state)


def _query(state: State) -> Query:
    info = state.info
    point = evaluation.query(info, state.x)
    return Query(point, state.x.flat(), 1.0 / info.scale, state.step, float(info.reference.fit_intercept))
