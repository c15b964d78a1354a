"""Accelerated proximal gradient (FISTA) with restarts, and a step that backtracks and grows.

Sources: Beck & Teboulle 2009 (SIAM J. Imaging Sci. 2:183, eq. 4.1-4.3); O'Donoghue & Candes 2015 (Found. Comput. Math.
15:715, section 3.2, the gradient scheme: the objective of extrapolated points rises too easily for the other);
Scheinberg, Goldfarb & Bai 2014 (Found. Comput. Math. 14:389): momentum under steps that grow again.

The method evaluates the loss at the extrapolated points only, so the certificate, and the model, are those of
these points: a certificate that mixed the gradient of one point with the coefficients of another would be wrong. A
penalty may be infinite there (bounds), so they are first projected on its domain.
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
from offbeat.solvers._common.stalling import Patience, separated

TRIALS = 100
NOISE = 1e-12  # of the objective
PASSES = 500  # momentum may carry it up for long


class Anchor(NamedTuple):
    """The last accepted extrapolated point, with the gradient of the loss there."""

    y: Floats
    loss: float
    objective: float
    gradient: Floats


@dataclass(frozen=True)
class ProximalGradientState(State):
    """Where the method stands.

    ``y`` is under evaluation, ``x`` the proximal point it was extrapolated from, ``older`` the one before;
    ``momentum`` is the sequence t of FISTA at the anchor, ``ahead`` its next value; ``steepness`` is the reciprocal L
    of the step, ``taken`` that of the last accepted one. Momentum must not carry the objective above ``ceiling``, that
    of the last restart.
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
    patience: Patience = field(default_factory=lambda: Patience(limit=PASSES))


@dataclass(frozen=True)
class ProximalGradient:
    """Accelerated proximal gradient for any penalty, any number of columns and outputs.

    Parameters
    ----------
    growth : float
        Factor from 1 by which the step grows after each success.

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
        """Refuse a step that shrinks by itself."""
        if not 1.0 <= self.growth < math.inf:
            raise ProblemError(f"growth of ProximalGradient is {self.growth}; give a number from 1")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Workspace:
        """Return scratch memory."""
        return Workspace()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[ProximalGradientState, Point]:
        """Return the first query: the start, brought within bounds."""
        y = evaluation.start(info).flat()
        point = _query(info, y)
        return ProximalGradientState(info, y, point, y, y), point

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Evaluate the query on the shard."""
        return evaluation.local_step(problem, shard, local, query)

    def global_step(
        self, problem: Problem, state: ProximalGradientState, board: Board
    ) -> tuple[ProximalGradientState, Point]:
        """Accept the point that was evaluated or shorten the step, then step and extrapolate."""
        at, _ = evaluation.gather(state.info, board, state.point)
        state = replace(state, passes=state.passes + 1.0, progress=None, note="")
        if np.isnan(at.loss) or (state.anchor is None and not evaluation.finite(at)):
            return replace(state, status="not finite"), state.point
        if state.anchor is None:
            steepness = _first_steepness(problem, at)
            state = replace(state, steepness=steepness, taken=steepness)
        else:
            needed = _needed(state.anchor, state.y, at)
            if _too_steep(state, at, needed):
                return _shorten(state, needed)
            state = replace(state, steepness=max(state.steepness / self.growth, needed), taken=state.steepness)
        state = _certified(problem, state, at)
        return _advance(state, at)


def _within(info: DataInfo, x: Floats) -> Floats:
    """Return the point with its coefficients projected on the domain of the penalty: a proximal step of length 0."""
    return np.concatenate([info.penalty.prox(x[: info.size], 0.0), x[info.size :]])


def _query(info: DataInfo, y: Floats) -> Point:
    return evaluation.query(info, Iterate(y[: info.size], y[info.size :]))


def _first_steepness(problem: Problem, at: Evaluation) -> float:
    """Return a typical curvature of the loss; the first passes correct it."""
    if at.repair_sum > 0.0:
        return at.repair_sum
    return float(problem.loss.smoothness) if math.isfinite(problem.loss.smoothness) else 1.0


def _gradient(at: Evaluation) -> Floats:
    return np.concatenate([at.gradient, at.intercept_gradient])


def _objective(info: DataInfo, y: Floats, at: Evaluation) -> float:
    return at.loss + info.penalty.value(y[: info.size])


def _needed(anchor: Anchor, y: Floats, at: Evaluation) -> float:
    """Return the least L for which the quadratic bound at the anchor holds at ``y`` (Beck & Teboulle, lemma 2.1).

    Where rounding hides the difference of the losses, the change of the gradient tells instead.
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


def _too_steep(state: ProximalGradientState, at: Evaluation, needed: float) -> bool:
    """Whether to go back: the bound does not hold, and the objective rose."""
    assert state.anchor is not None
    rose = not _objective(state.info, state.y, at) <= state.anchor.objective
    return rose and needed > state.steepness * (1.0 + 1e-6) and state.trials < TRIALS


def _shorten(state: ProximalGradientState, needed: float) -> tuple[ProximalGradientState, Point]:
    """Step from the anchor again, shorter."""
    steepness = min(max(needed, 1.5 * state.steepness), 10.0 * state.steepness)
    note = f"step shortened to {1.0 / steepness:.3g}"
    return _step(replace(state, steepness=steepness, trials=state.trials + 1, note=note), state.older)


def _certified(problem: Problem, state: ProximalGradientState, at: Evaluation) -> ProximalGradientState:
    k = state.info.size
    progress = evaluation.progress(problem, state.info, Iterate(state.y[:k], state.y[k:]), at)
    patience = state.patience.after(progress.certificate)
    status = "stalled" if patience.over else None
    if separated(problem, state.info, at, progress):
        status = "separable"
    return replace(state, progress=progress, patience=patience, status=status)


def _advance(state: ProximalGradientState, at: Evaluation) -> tuple[ProximalGradientState, Point]:
    """Make the evaluated point the anchor; forget the momentum if it carried the objective too high."""
    objective = _objective(state.info, state.y, at)
    anchor = Anchor(state.y, at.loss, objective, _gradient(at))
    state = replace(state, anchor=anchor, trials=0, momentum=state.ahead)
    if state.momentum == 1.0 or objective > state.ceiling + NOISE * abs(state.ceiling):
        state = replace(state, momentum=1.0, ceiling=objective)
    return _step(state, state.x)


def _step(state: ProximalGradientState, origin: Floats) -> tuple[ProximalGradientState, Point]:
    """Take the proximal step from the anchor and extrapolate beyond it, seen from ``origin``, the last such point.

    Where the step turns against the momentum, it starts afresh.
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
    y = _within(info, x + share * (x - origin))
    point = _query(info, y)
    return replace(state, x=x, older=origin, y=y, ahead=ahead, point=point), point
