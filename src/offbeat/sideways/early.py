"""Updates before every shard has reported, so that a slow shard does not keep the others waiting.

The shards that have not reported are taken to be like those that have. What comes of that is a better point to go on
from, and proves nothing: no certificate, no bound and no reason to stop is taken from it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from offbeat.problem import Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import Solver, State

LEAST_HEARD = 0.5
"""Share of the shards that must have reported. One shard alone says little: measured on 16, its model leads astray."""


def least_heard(solver: Solver, staleness: float) -> float:
    """Return the share of the shards that must have reported before an update."""
    return LEAST_HEARD if staleness > 0 and getattr(solver, "early", False) else 1.0


def global_step(solver: Solver, problem: Problem, state: State, board: Board) -> tuple[State, Any]:
    """Return the state and the query after an update, from all shards or from those that have reported."""
    if board.complete:
        return solver.global_step(problem, state, board)
    state, query = solver.global_step(problem, state, board.in_proportion())
    candidate = state.candidate
    if candidate is not None:
        candidate = candidate._replace(estimate=math.inf, dual=-math.inf)
    passes = state.passes * board.heard
    return replace(state, candidate=candidate, progress=None, status=None, passes=passes), query
