"""L-BFGS: a quasi-Newton method that models the curvature by the last changes of the gradient.

Sources: Liu & Nocedal 1989 (Math. Program. 45:503); Nocedal & Wright 2006, algorithm 7.4 (two-loop recursion).

The initial matrix of the recursion is diagonal: the known curvature of the penalty, plus one number for the loss (eq.
7.20, applied to the loss alone). The line search is that of `offbeat.solvers._common.descent`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Point, Shard, Workspace
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Step
from offbeat.solvers._common import descent
from offbeat.solvers._common.descent import DescentState
from offbeat.solvers._common.needs import SMOOTH_LOSS, SMOOTH_PENALTY, check_needs
from offbeat.solvers._common.parameters import check_count
from offbeat.solvers._common.quasi_newton import lbfgs_direction


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS, for smooth losses and smooth penalties, with any number of columns and outputs.

    Parameters
    ----------
    memory : int
        Number of past steps that model the curvature.

    Raises
    ------
    ProblemError
        If ``memory`` is below 1.

    References
    ----------
    Liu & Nocedal 1989, Math. Program. 45:503.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solver=solvers.LBFGS()).status
    'converged'
    """

    memory: int = 10

    name = "lbfgs"
    max_staleness = 0.0
    needs = (SMOOTH_LOSS, SMOOTH_PENALTY)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for an empty memory."""
        check_count("LBFGS", "memory", self.memory)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Workspace:
        """Return scratch memory."""
        return Workspace()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[DescentState, Point]:
        """Return the first state and query: the start of the fit."""
        return descent.start(info)

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Evaluate the query on the shard."""
        return evaluation.local_step(problem, shard, local, query)

    def global_step(self, problem: Problem, state: DescentState, board: Board) -> tuple[DescentState, Point]:
        """Accept the trial point and choose a new direction, or try another step length."""
        return descent.step(
            problem, state, board, descent.DescentMethod(descent.LineSearchRule(), self._add_pair, _direction)
        )

    def _add_pair(self, state: DescentState, s: Floats, y: Floats) -> DescentState:
        """Store a step ``s`` and the change ``y`` of the gradient, if the curvature along it is positive."""
        if not float(s @ y) > 1e-14 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            return state
        of_loss = y - state.bend * s
        along = float(s @ of_loss)
        level = float(of_loss @ of_loss) / along if along > 0.0 else state.level
        pairs = (*state.pairs, (s, y))[-self.memory :]
        return replace(state, pairs=pairs, level=min(max(level, 1e-8 * state.level), 1e8 * state.level))


def _direction(state: DescentState, gradient: Floats) -> Floats:
    """Return the direction of descent for a gradient."""
    return lbfgs_direction(gradient, state.pairs, state.level + state.bend)
