"""Gradient descent with Barzilai-Borwein steps and a nonmonotone line search.

Sources: Barzilai & Borwein 1988 (IMA J. Numer. Anal. 8:141, eq. 5); Raydan 1997 (SIAM J. Optim. 7:26): an accepted
point may have a larger objective than the last one, but not than the largest of the last ten.

The curvature of the penalty is known. The step takes it into account exactly, column by column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from offbeat.data.shards import Point, Shard, Workspace
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Step
from offbeat.solvers._common import descent
from offbeat.solvers._common.descent import DescentState
from offbeat.solvers._common.needs import SMOOTH_LOSS, SMOOTH_PENALTY, check_needs
from offbeat.solvers._common.parameters import check_count


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent with Barzilai-Borwein steps, for smooth losses and penalties: a baseline.

    Parameters
    ----------
    recent : int
        A new objective is compared with the largest of this many last ones. With 1 the objective decreases at each
        step.

    Raises
    ------
    ProblemError
        If ``recent`` is below 1.

    References
    ----------
    Barzilai & Borwein 1988, IMA J. Numer. Anal. 8:141.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solver=solvers.GradientDescent()).status
    'converged'
    """

    recent: int = 10

    name = "gradient-descent"
    max_staleness = 0.0
    needs = (SMOOTH_LOSS, SMOOTH_PENALTY)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for a number below 1."""
        check_count("GradientDescent", "recent", self.recent)

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
        """Accept the trial point and take a new direction, or try a shorter step."""
        rule = descent.LineSearchRule(curvature=math.inf, recent=self.recent)
        return descent.step(problem, state, board, descent.DescentMethod(rule, _update_curvature, _direction))


def _update_curvature(state: DescentState, s: Floats, y: Floats) -> DescentState:
    """Set the curvature of the loss to that along the last step (Barzilai & Borwein, eq. 5)."""
    level = float(s @ (y - state.bend * s)) / max(float(s @ s), 1e-300)
    return replace(state, level=min(max(level, 1e-8 * state.level), 1e8 * state.level))


def _direction(state: DescentState, gradient: Floats) -> Floats:
    """Return the negative gradient over the curvature of loss and penalty."""
    return -gradient / (state.level + state.bend)
