"""Descent along a direction with a line search, one evaluation of all rows a trial.

Gradient descent and L-BFGS share everything here but the direction. A trial is accepted on the weak Wolfe conditions
(Nocedal & Wright 2006, eq. 3.6), or on the approximate ones of Hager & Zhang 2005 (SIAM J. Optim. 16:170, section 4),
which compare slopes and so still tell up from down where the objective no longer can for rounding.
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
from offbeat.solvers._common.stalling import Patience, separated

TRIALS = 20
PASSES = 50
NOISE = 1e-7  # of the objective: float32 data rounds it by about as much


@dataclass(frozen=True)
class Rule:
    """When a trial is good enough.

    ``decrease`` and ``curvature`` are the constants of the Wolfe conditions (``inf``: any curvature); the objective is
    compared with the largest of the ``recent`` last ones (Grippo, Lampariello & Lucidi 1986).
    """

    decrease: float = 1e-4
    curvature: float = 0.9
    recent: int = 1


class Spot(NamedTuple):
    """An evaluated point: objective and gradient with the penalty, intercepts last."""

    x: Iterate
    at: Evaluation
    objective: float
    gradient: Floats


class End(NamedTuple):
    """A trial that bounds the step: its length, and the slope there (nan where the loss was not finite)."""

    length: float
    slope: float


NO_END = End(math.inf, math.nan)


@dataclass(frozen=True)
class Search:
    """A line search under way: direction, slope at its start, the length on trial, and the trials around it."""

    direction: Floats
    slope: float
    low: End
    high: End = NO_END
    length: float = 1.0
    trials: int = 0

    def narrowed(self, slope: float, verdict: Literal["long", "short"]) -> Search:
        """Return the search with the next length to try: where the slope would vanish if it were linear."""
        low, high = self.low, self.high
        if verdict == "long":
            high = End(self.length, slope)
        else:
            low = End(self.length, slope)
        if math.isinf(high.length):
            bend = (low.slope - self.low.slope) / (low.length - self.low.length)
            guess = low.length - low.slope / bend if bend > 0.0 else math.inf
            length = min(max(guess, 2.0 * low.length), 10.0 * low.length)
        else:
            width = high.length - low.length
            share = low.slope / (low.slope - high.slope) if high.slope > low.slope else 0.5
            share = share if math.isfinite(share) else 0.25
            length = low.length + width * min(max(share, 0.1), 0.9)
        return replace(self, low=low, high=high, length=length, trials=self.trials + 1)


@dataclass(frozen=True)
class DescentState(State):
    """Where the method stands: the query under way, the accepted point, the search that leads on, curvature seen.

    ``bend`` is the curvature of the penalty, ``level`` a guess of that of the loss; ``pairs`` are the last changes of
    point and gradient, oldest first; ``recent`` the last objectives.
    """

    info: DataInfo
    x: Iterate
    point: Point
    bend: Floats
    spot: Spot | None = None
    search: Search | None = None
    level: float = math.nan
    pairs: tuple[tuple[Floats, Floats], ...] = ()
    recent: tuple[float, ...] = ()
    patience: Patience = field(default_factory=lambda: Patience(limit=PASSES))


Learn: TypeAlias = Callable[[DescentState, Floats, Floats], DescentState]
"""Takes a step and the change of the gradient along it into the state."""
Direct: TypeAlias = Callable[[DescentState, Floats], Floats]
"""Returns the direction of descent for a gradient."""


@dataclass(frozen=True)
class Method:
    """What tells one method of descent from another."""

    rule: Rule
    learn: Learn
    direct: Direct


def start(info: DataInfo) -> tuple[DescentState, Point]:
    """Return the first state and query."""
    x = evaluation.start(info)
    point = evaluation.query(info, x)
    bend = np.append(info.penalty.curvature(), np.zeros(info.n_outputs))
    return DescentState(info, x, point, bend), point


def step(problem: Problem, state: DescentState, board: Board, method: Method) -> tuple[DescentState, Point]:
    """Judge the trial that was evaluated; try another length, or accept it and turn."""
    at, _ = evaluation.gather(state.info, board, state.point)
    state = replace(state, passes=state.passes + 1.0, progress=None, note="")
    spot = _spot(state, at)
    if np.isnan(at.loss) or (state.spot is None and not evaluation.finite(at)):
        return replace(state, status="not finite"), state.point
    verdict = _judge(state, spot, method.rule)
    if verdict != "long":
        state = _certified(problem, state, spot)
    if verdict != "accept":
        return _retry(state, spot, verdict, method)
    if state.spot is None:
        state = replace(state, level=_first_level(problem, at))
    else:
        state = method.learn(state, spot.x.flat() - state.spot.x.flat(), spot.gradient - state.spot.gradient)
    recent = (*state.recent, spot.objective)[-method.rule.recent :]
    return _turn(replace(state, spot=spot, recent=recent), method)


def _spot(state: DescentState, at: Evaluation) -> Spot:
    slope = state.bend * state.x.flat()
    gradient = np.concatenate([at.gradient, at.intercept_gradient]) + slope
    return Spot(state.x, at, at.loss + state.info.penalty.value(state.x.u), gradient)


def _first_level(problem: Problem, at: Evaluation) -> float:
    """Return a typical curvature of the loss: columns have unit variance, so that of the rows."""
    if at.repair_sum > 0.0:
        return at.repair_sum
    return float(problem.loss.smoothness) if math.isfinite(problem.loss.smoothness) else 1.0


def _judge(state: DescentState, spot: Spot, rule: Rule) -> Literal["accept", "long", "short"]:
    """Say whether a trial is good enough, too long or too short."""
    search, origin = state.search, state.spot
    if search is None or origin is None:
        return "accept"
    if not evaluation.finite(spot.at) or not math.isfinite(spot.objective):
        return "long"
    slope = float(spot.gradient @ search.direction)
    allowed = max(state.recent) + rule.decrease * search.length * search.slope
    noise = NOISE * abs(origin.objective)
    flat = spot.objective <= origin.objective + noise and slope <= (2.0 * rule.decrease - 1.0) * search.slope
    if not (spot.objective <= allowed or flat):
        return "long"
    return "short" if slope < rule.curvature * search.slope else "accept"


def _certified(problem: Problem, state: DescentState, spot: Spot) -> DescentState:
    progress = evaluation.progress(problem, state.info, spot.x, spot.at)
    patience = state.patience.after(progress.certificate)
    status = "stalled" if patience.over else None
    if separated(problem, state.info, spot.at, progress):
        status = "separable"
    return replace(state, progress=progress, patience=patience, status=status)


def _retry(
    state: DescentState, spot: Spot, verdict: Literal["long", "short"], method: Method
) -> tuple[DescentState, Point]:
    """Try another length from the accepted point; without an end, forget the curvature; then give up."""
    assert state.search is not None and state.spot is not None
    search = state.search.narrowed(float(spot.gradient @ state.search.direction), verdict)
    if search.trials < TRIALS:
        return _query(replace(state, search=search, note=f"step was too {verdict}: {search.length:.3g} of it next"))
    if state.pairs:
        return _turn(replace(state, pairs=(), note="no step along the direction: curvature forgotten"), method)
    return replace(state, status=state.status or "stalled"), state.point


def _turn(state: DescentState, method: Method) -> tuple[DescentState, Point]:
    """Choose the direction at the accepted point, and query its end."""
    assert state.spot is not None
    gradient = state.spot.gradient
    direction = method.direct(state, gradient)
    slope = float(direction @ gradient)
    if not slope < 0.0:
        state = replace(state, pairs=())
        direction = -gradient / (state.level + state.bend)
        slope = float(direction @ gradient)
    if not slope < 0.0:  # the gradient is zero
        return replace(state, status=state.status or "stalled"), state.point
    return _query(replace(state, search=Search(direction, slope, End(0.0, slope))))


def _query(state: DescentState) -> tuple[DescentState, Point]:
    assert state.spot is not None and state.search is not None
    x = state.spot.x.plus(state.search.direction, state.search.length)
    point = evaluation.query(state.info, x)
    return replace(state, x=x, point=point), point
