"""Accelerated proximal gradient (FISTA) with adaptive restart and backtracking. Steps also grow again.

Sources: Beck & Teboulle 2009 (SIAM J. Imaging Sci. 2:183, eq. 4.1-4.3); O'Donoghue & Candes 2015 (Found. Comput. Math.
15:715, section 3.2, the gradient scheme of restart); Scheinberg, Goldfarb & Bai 2014 (Found. Comput. Math. 14:389:
momentum when steps grow again). The function scheme of restart is not used: the objective of extrapolated points rises
too easily for it.

The loss is evaluated at extrapolated points only. So the certificate and the model belong to these points. The penalty
may be infinite there (bounds), so they are projected on its domain first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Point, Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common.needs import SMOOTH_LOSS, check_needs
from offbeat.solvers._common.stalling import StallCounter, classes_separated

MAX_BACKTRACKING_STEPS = 100  # from one accepted point
RELATIVE_ROUNDING = 1e-12  # of the objective: smaller increases do not restart the momentum
MAX_STALLED_PASSES = 500  # passes without progress, before the fit stops; momentum may raise the objective for long


class Anchor(NamedTuple):
    """The last accepted extrapolated point, with the gradient of the loss there."""

    y: Floats
    loss: float
    objective: float
    gradient: Floats


@dataclass(frozen=True)
class ProximalGradientState(State):
    """State of FISTA.

    ``y`` is the point under evaluation, ``x`` the proximal point that it was extrapolated from, ``older`` the proximal
    point before. ``momentum`` is ``t`` of FISTA at the anchor, ``ahead`` its next value. ``steepness`` is ``L``, the
    reciprocal of the step; ``taken`` is ``L`` of the last accepted step. ``ceiling`` is the objective at the last
    restart: momentum restarts when the objective exceeds it. ``trials`` counts backtracking steps.
    """

    info: DataInfo
    y: Floats
    point: Point
    x: Floats
    older: Floats
    anchor: Anchor | None = None
    momentum: float = 1.0
    ahead: float = 1.0
    steepness: float = 1.0
    taken: float = 1.0
    ceiling: float = math.inf
    trials: int = 0
    patience: StallCounter = field(default_factory=lambda: StallCounter(limit=MAX_STALLED_PASSES))


@dataclass(frozen=True)
class ProximalGradient:
    """Accelerated proximal gradient (FISTA), for smooth losses and any penalty, columns and outputs.

    Parameters
    ----------
    growth : float
        Factor by which the step grows after each accepted point, at least 1.

    Raises
    ------
    ProblemError
        If ``growth`` is below 1.

    References
    ----------
    Beck & Teboulle 2009, SIAM J. Imaging Sci. 2:183.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L1(1e-3)), X, y, solver=solvers.ProximalGradient()).status
    'converged'
    """

    growth: float = 1.02

    name = "proximal-gradient"
    max_staleness = 0.0
    needs = (SMOOTH_LOSS,)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for a growth below 1."""
        if not 1.0 <= self.growth < math.inf:
            raise ProblemError(f"growth of ProximalGradient is {self.growth}; give a number from 1")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Workspace:
        """Return scratch memory."""
        return Workspace()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[ProximalGradientState, Point]:
        """Return the first state and query: the start, projected on the domain of the penalty."""
        y = evaluation.start(info).flat()
        point = _query(info, y)
        return ProximalGradientState(info, y, point, y, y), point

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Evaluate the query on the shard."""
        return evaluation.local_step(problem, shard, local, query)

    def global_step(
        self, problem: Problem, state: ProximalGradientState, board: Board
    ) -> tuple[ProximalGradientState, Point]:
        """Accept the evaluated point or backtrack. Return the state and the next extrapolated point."""
        at, _ = evaluation.gather(state.info, board, state.point)
        state = replace(state, passes=state.passes + 1.0, progress=None, note="")
        if np.isnan(at.loss) or (state.anchor is None and not evaluation.finite(at)):
            return replace(state, status="not finite"), state.point
        if state.anchor is None:
            steepness = _first_curvature(problem, at)
            state = replace(state, steepness=steepness, taken=steepness)
        else:
            needed = _required_curvature(state.anchor, state.y, at)
            if _must_backtrack(state, at, needed):
                return _backtrack(state, needed)
            state = replace(state, steepness=max(state.steepness / self.growth, needed), taken=state.steepness)
        state = _certify(problem, state, at)
        return _accept(state, at)


def _projected(info: DataInfo, x: Floats) -> Floats:
    """Return the point projected on the domain of the penalty: a proximal step of length 0."""
    return np.concatenate([info.penalty.prox(x[: info.size], 0.0), x[info.size :]])


def _query(info: DataInfo, y: Floats) -> Point:
    """Return the query at a point."""
    return evaluation.query(info, Iterate(y[: info.size], y[info.size :]))


def _first_curvature(problem: Problem, at: Evaluation) -> float:
    """Return a first guess of ``L``, a typical curvature of the loss. Later passes correct it."""
    if at.repair_sum > 0.0:
        return at.repair_sum
    return float(problem.loss.smoothness) if math.isfinite(problem.loss.smoothness) else 1.0


def _gradient(at: Evaluation) -> Floats:
    """Return the gradient of the loss, intercepts last."""
    return np.concatenate([at.gradient, at.intercept_gradient])


def _objective(info: DataInfo, y: Floats, at: Evaluation) -> float:
    """Return the objective, penalty included."""
    return at.loss + info.penalty.value(y[: info.size])


def _required_curvature(anchor: Anchor, y: Floats, at: Evaluation) -> float:
    """Return the least L for which the quadratic bound at the anchor holds at ``y`` (Beck & Teboulle, lemma 2.1).

    If the difference of the losses is lost in rounding, the change of the gradient is used instead.
    """
    step = y - anchor.y
    squared = float(step @ step)
    if squared == 0.0:
        return 0.0
    if not evaluation.finite(at):
        return math.inf
    excess = at.loss - anchor.loss - float(anchor.gradient @ step)
    if abs(excess) < 1e-6 * abs(anchor.loss):
        return float((_gradient(at) - anchor.gradient) @ step) / squared
    return 2.0 * excess / squared


def _must_backtrack(state: ProximalGradientState, at: Evaluation, needed: float) -> bool:
    """Whether to backtrack: the objective rose and the quadratic bound does not hold."""
    assert state.anchor is not None
    rose = not _objective(state.info, state.y, at) <= state.anchor.objective
    return rose and needed > state.steepness * (1.0 + 1e-6) and state.trials < MAX_BACKTRACKING_STEPS


def _backtrack(state: ProximalGradientState, needed: float) -> tuple[ProximalGradientState, Point]:
    """Take a shorter proximal step from the same anchor."""
    steepness = min(max(needed, 1.5 * state.steepness), 10.0 * state.steepness)
    note = f"step shortened to {1.0 / steepness:.3g}"
    return _prox_step(replace(state, steepness=steepness, trials=state.trials + 1, note=note), state.older)


def _certify(problem: Problem, state: ProximalGradientState, at: Evaluation) -> ProximalGradientState:
    """Return the state with the certificate of the evaluated point, and with a status if the fit should stop."""
    k = state.info.size
    progress = evaluation.progress(problem, state.info, Iterate(state.y[:k], state.y[k:]), at)
    patience = state.patience.after(progress.certificate)
    status = "stalled" if patience.over else None
    if classes_separated(problem, state.info, at, progress):
        status = "separable"
    return replace(state, progress=progress, patience=patience, status=status)


def _accept(state: ProximalGradientState, at: Evaluation) -> tuple[ProximalGradientState, Point]:
    """Make the evaluated point the anchor. Restart the momentum if the objective exceeds the ceiling."""
    objective = _objective(state.info, state.y, at)
    anchor = Anchor(state.y, at.loss, objective, _gradient(at))
    state = replace(state, anchor=anchor, trials=0, momentum=state.ahead)
    if state.momentum == 1.0 or objective > state.ceiling + RELATIVE_ROUNDING * abs(state.ceiling):
        state = replace(state, momentum=1.0, ceiling=objective)
    return _prox_step(state, state.x)


def _prox_step(state: ProximalGradientState, origin: Floats) -> tuple[ProximalGradientState, Point]:
    """Take the proximal step from the anchor to ``x``. Extrapolate along ``x - origin``, the last proximal point.

    The momentum restarts if the step and ``x - origin`` form an obtuse angle (the gradient scheme).
    """
    info, anchor = state.info, state.anchor
    assert anchor is not None
    v = anchor.y - anchor.gradient / state.steepness
    x = np.concatenate([info.penalty.prox(v[: info.size], 1.0 / state.steepness), v[info.size :]])
    ahead, share = 1.0, 0.0
    if not float((anchor.y - x) @ (x - origin)) > 0.0:
        ratio = state.steepness / state.taken
        ahead = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * ratio * state.momentum**2))
        share = (state.momentum - 1.0) / ahead
    y = _projected(info, x + share * (x - origin))
    point = _query(info, y)
    return replace(state, x=x, older=origin, y=y, ahead=ahead, point=point), point
