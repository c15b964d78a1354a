"""Descent methods with a line search. Each trial point is one evaluation of all rows.

Gradient descent and L-BFGS share this module and differ in the direction. A trial point is accepted on the weak Wolfe
conditions (Nocedal & Wright 2006, eq. 3.6), or on the approximate Wolfe conditions (Hager & Zhang 2005, SIAM J. Optim.
16:170, section 4). The latter compare slopes, and remain meaningful when the change of the objective is lost in
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from offbeat.data.shards import Point
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, State
from offbeat.solvers._common.constants import SUFFICIENT_DECREASE
from offbeat.solvers._common.stalling import StallCounter, classes_separated

MAX_LINE_SEARCH_STEPS = 20  # trial points along one direction
MAX_STALLED_PASSES = 50  # passes without progress, before the fit stops
RELATIVE_ROUNDING = 1e-7  # of the objective, with float32 data


@dataclass(frozen=True)
class LineSearchRule:
    """Conditions that an accepted trial point satisfies.

    ``decrease`` and ``curvature`` are the constants of the Wolfe conditions; ``curvature=inf`` drops the second one.
    The objective is compared with the largest of the ``recent`` last ones (Grippo, Lampariello & Lucidi 1986).
    """

    decrease: float = SUFFICIENT_DECREASE
    curvature: float = 0.9
    recent: int = 1


class EvaluatedPoint(NamedTuple):
    """An evaluated point. Objective and gradient include the penalty; the gradient has the intercepts last."""

    x: Iterate
    at: Evaluation
    objective: float
    gradient: Floats


class BracketEnd(NamedTuple):
    """One end of the bracket of step lengths: its length, and the slope there (NaN if the loss is not finite)."""

    length: float
    slope: float


NO_BRACKET_END = BracketEnd(math.inf, math.nan)


@dataclass(frozen=True)
class LineSearch:
    """A line search: its direction, the slope at its start, the bracket ``low`` to ``high``, the next trial length."""

    direction: Floats
    slope: float
    low: BracketEnd
    high: BracketEnd = NO_BRACKET_END
    length: float = 1.0
    trials: int = 0

    def narrowed(self, slope: float, verdict: Literal["long", "short"]) -> LineSearch:
        """Return the search with a smaller bracket. The next length is the root of the secant of the slope."""
        low, high = self.low, self.high
        if verdict == "long":
            high = BracketEnd(self.length, slope)
        else:
            low = BracketEnd(self.length, slope)
        if math.isinf(high.length):
            curvature = (low.slope - self.low.slope) / (low.length - self.low.length)
            guess = low.length - low.slope / curvature if curvature > 0.0 else math.inf
            length = min(max(guess, 2.0 * low.length), 10.0 * low.length)
        else:
            width = high.length - low.length
            share = low.slope / (low.slope - high.slope) if high.slope > low.slope else 0.5
            share = share if math.isfinite(share) else 0.25
            length = low.length + width * min(max(share, 0.1), 0.9)
        return replace(self, low=low, high=high, length=length, trials=self.trials + 1)


@dataclass(frozen=True)
class DescentState(State):
    """State of a descent method.

    ``x`` is the trial point and ``point`` its query, ``spot`` the last accepted point, ``search`` the line search from
    there. ``bend`` is the curvature of the penalty, ``level`` an estimate of that of the loss. ``pairs`` are the last
    changes of point and gradient, oldest first; ``recent`` the last objectives.
    """

    info: DataInfo
    x: Iterate
    point: Point
    bend: Floats
    spot: EvaluatedPoint | None = None
    search: LineSearch | None = None
    level: float = math.nan
    pairs: tuple[tuple[Floats, Floats], ...] = ()
    recent: tuple[float, ...] = ()
    patience: StallCounter = field(default_factory=lambda: StallCounter(limit=MAX_STALLED_PASSES))


UpdateCurvature: TypeAlias = Callable[[DescentState, Floats, Floats], DescentState]
"""Updates the curvature in the state, from a step and the change of the gradient along it."""
ChooseDirection: TypeAlias = Callable[[DescentState, Floats], Floats]
"""Returns the descent direction for a gradient."""


@dataclass(frozen=True)
class DescentMethod:
    """What is specific to one descent method."""

    rule: LineSearchRule
    update: UpdateCurvature
    direction: ChooseDirection


def start(info: DataInfo) -> tuple[DescentState, Point]:
    """Return the first state and query: the start of the fit."""
    x = evaluation.start(info)
    point = evaluation.query(info, x)
    bend = np.append(info.penalty.curvature(), np.zeros(info.n_outputs))
    return DescentState(info, x, point, bend), point


def step(problem: Problem, state: DescentState, board: Board, method: DescentMethod) -> tuple[DescentState, Point]:
    """Accept the trial point and choose a new direction, or try another step length."""
    at, _ = evaluation.gather(state.info, board, state.point)
    state = replace(state, passes=state.passes + 1.0, progress=None, note="")
    trial = _evaluated_point(state, at)
    if np.isnan(at.loss) or (state.spot is None and not evaluation.finite(at)):
        return replace(state, status="not finite"), state.point
    verdict = _verdict(state, trial, method.rule)
    if verdict != "long":
        state = _certify(problem, state, trial)
    if verdict != "accept":
        return _try_another_length(state, trial, verdict, method)
    if state.spot is None:
        state = replace(state, level=_first_curvature(problem, at))
    else:
        state = method.update(state, trial.x.flat() - state.spot.x.flat(), trial.gradient - state.spot.gradient)
    recent = (*state.recent, trial.objective)[-method.rule.recent :]
    return _new_direction(replace(state, spot=trial, recent=recent), method)


def _evaluated_point(state: DescentState, at: Evaluation) -> EvaluatedPoint:
    """Return the trial point with objective and gradient, penalty included."""
    slope = state.bend * state.x.flat()
    gradient = np.concatenate([at.gradient, at.intercept_gradient]) + slope
    return EvaluatedPoint(state.x, at, at.loss + state.info.penalty.value(state.x.u), gradient)


def _first_curvature(problem: Problem, at: Evaluation) -> float:
    """Return a typical curvature of the loss. Columns have unit variance, so the mean over the rows is one."""
    if at.repair_sum > 0.0:
        return at.repair_sum
    return float(problem.loss.smoothness) if math.isfinite(problem.loss.smoothness) else 1.0


def _verdict(state: DescentState, trial: EvaluatedPoint, rule: LineSearchRule) -> Literal["accept", "long", "short"]:
    """Return whether to accept a trial point, or whether its step was too long or too short."""
    search, origin = state.search, state.spot
    if search is None or origin is None:
        return "accept"
    if not evaluation.finite(trial.at) or not math.isfinite(trial.objective):
        return "long"
    slope = float(trial.gradient @ search.direction)
    allowed = max(state.recent) + rule.decrease * search.length * search.slope
    rounding = RELATIVE_ROUNDING * abs(origin.objective)
    flat = trial.objective <= origin.objective + rounding and slope <= (2.0 * rule.decrease - 1.0) * search.slope
    if not (trial.objective <= allowed or flat):
        return "long"
    return "short" if slope < rule.curvature * search.slope else "accept"


def _certify(problem: Problem, state: DescentState, trial: EvaluatedPoint) -> DescentState:
    """Return the state with the certificate of a point, and with a status if the fit should stop."""
    progress = evaluation.progress(problem, state.info, trial.x, trial.at)
    patience = state.patience.after(progress.certificate)
    status = "stalled" if patience.over else None
    if classes_separated(problem, state.info, trial.at, progress):
        status = "separable"
    return replace(state, progress=progress, patience=patience, status=status)


def _try_another_length(
    state: DescentState, trial: EvaluatedPoint, verdict: Literal["long", "short"], method: DescentMethod
) -> tuple[DescentState, Point]:
    """Try another step length. After `MAX_LINE_SEARCH_STEPS`, drop the stored curvature; if there is none, stop."""
    assert state.search is not None and state.spot is not None
    search = state.search.narrowed(float(trial.gradient @ state.search.direction), verdict)
    if search.trials < MAX_LINE_SEARCH_STEPS:
        return _query(replace(state, search=search, note=f"step was too {verdict}: {search.length:.3g} of it next"))
    if state.pairs:
        return _new_direction(replace(state, pairs=(), note="no step along the direction: curvature forgotten"), method)
    return replace(state, status=state.status or "stalled"), state.point


def _new_direction(state: DescentState, method: DescentMethod) -> tuple[DescentState, Point]:
    """Choose a direction at the accepted point, and query the end of a full step."""
    assert state.spot is not None
    gradient = state.spot.gradient
    direction = method.direction(state, gradient)
    slope = float(direction @ gradient)
    if not slope < 0.0:
        state = replace(state, pairs=())
        direction = -gradient / (state.level + state.bend)
        slope = float(direction @ gradient)
    if not slope < 0.0:  # the gradient is zero
        return replace(state, status=state.status or "stalled"), state.point
    return _query(replace(state, search=LineSearch(direction, slope, BracketEnd(0.0, slope))))


def _query(state: DescentState) -> tuple[DescentState, Point]:
    """Return the state and the query for the next trial point of the search."""
    assert state.spot is not None and state.search is not None
    x = state.spot.x.plus(state.search.direction, state.search.length)
    point = evaluation.query(state.info, x)
    return replace(state, x=x, point=point), point
