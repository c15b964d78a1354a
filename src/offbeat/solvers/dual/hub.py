"""The hub's side of `SDCA`: rounds, the points that coefficients are pulled to, and bounds of the optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Candidate, DataInfo, Progress, State
from offbeat.solvers.dual import shard
from offbeat.solvers.dual.shard import Contribution, Query

PATIENCE = 20  # rounds in which the gap should halve
PULL = 5.0  # weight of the intercept's own column of ones, over that of a row: measured, 3 to 10 are alike


@dataclass(frozen=True)
class SDCAState(State):
    """Where the hub stands, in the units of the columns, intercept last: the query under way, ``l2`` and ``l1``.

    ``pull`` is the weight of the squared distance from ``anchor``, which moves once a round; ``x`` is the last point;
    ``momentum`` says how far ahead of the next one the anchor is put.
    ``opening`` is the certified start: a warm one may need no better point, but a better bound. ``goal`` is half of the
    least estimate of the gap when ``rounds`` began to be counted; ``ease`` is what the pull divides the difficulty by.
    Without rounds, ``asked`` is what the queries of the newest contributions had seen, all together, and ``window`` how
    many contributions arrive from when a shard is asked until it answers.
    """

    info: DataInfo
    query: Query
    l2: Floats
    l1: Floats
    pull: Floats
    anchor: Floats
    x: Floats
    momentum: float = 0.0
    opening: Progress | None = None
    ease: float = 1.0
    goal: float = math.inf
    rounds: int = 0
    asked: float = 0.0
    window: float = 0.0


def opened(problem: Problem, state: SDCAState, sums: Contribution) -> SDCAState:
    """Certify the start, and choose the pulls."""
    info, n = state.info, state.info.n_rows
    on = float(info.reference.fit_intercept)
    repair = (sums.repair[:-1] - sums.facts.h * info.center) / info.scale / n if on else None
    slope = float(sums.slope[-1])
    at = Evaluation(
        sums.facts.loss / n, (sums.slope[:-1] - on * slope * info.center) / info.scale / n,
        np.array([on * slope / n]), repair, sums.facts.h / n,
    )  # fmt: skip
    progress = evaluation.progress(problem, info, iterate(info, state.x), at)
    return pulled(replace(state, progress=progress, opening=progress), sums.facts.norm / n)


def pulled(state: SDCAState, norm: float) -> SDCAState:
    """Return the state with the pulls chosen, for rows with this mean of ``||x||^2 / (n l2)``."""
    n, on = state.info.n_rows, float(state.info.reference.fit_intercept)
    # Half of the difficulty (of its logarithm) is left to the epochs: measured from 2 to 200, for all losses.
    ease = max(1.0, math.sqrt(norm))
    pull = (ease - 1.0) * state.l2
    # The intercept moves no faster than shards that hold back for each other.
    pull[-1] = on * PULL * ease * state.query.sigma / max(norm * n, 1e-300)
    root = math.sqrt(1.0 / ease)
    total = state.l2 + pull
    shrink = np.divide(1.0 / n, total, out=np.zeros_like(total), where=total > 0.0)
    threshold = state.l1 / total[:-1] if state.l1.any() else np.empty(0)
    query = state.query._replace(shrink=shrink, threshold=threshold)
    momentum = 0.0 if ease == 1.0 else (1.0 - root) / (1.0 + root)
    return replace(state, query=query, pull=pull, ease=ease, momentum=momentum)


def moved(state: SDCAState, sums: Contribution) -> SDCAState:
    """Return the state at the next point, with an anchor ahead of it unless that points uphill.

    Dropping such momentum is the restart of O'Donoghue & Candes 2015 (Found. Comput. Math. 15:715).

    The anchor is a multiplier of the intercept's constraint, and each move of it one of the method of multipliers. What
    it is counted from is the anchor that the shards were asked with, not the one that is remembered: among peers, those
    that lost their state may have made another round of it than the rest, and would disagree about it for ever.
    """
    if sums.facts.exact:
        x = np.append(-sums.gradient[:-1] * state.query.exact[:-1], sums.facts.intercept)
        return replace(state, x=x, anchor=x)
    if not sums.facts.first:
        state = replace(state, anchor=sums.slope / state.info.n_shards)
    x = primal(state, point(state, sums.gradient))
    ahead = float((state.anchor - x)[:-1] @ (x - state.x)[:-1]) <= 0.0
    anchor = x + state.momentum * (x - state.x) if ahead and state.momentum else x
    return replace(state, x=x, anchor=anchor)


def patient(state: SDCAState) -> SDCAState:
    """Return a state that asks for more epochs between moves of the anchor, where these have led nowhere.

    A point that is moved ahead of rough solutions may wander for ever; theory wants each of them to be solved to some
    accuracy, of which most problems have no need (Lin, Mairal & Harchaoui 2015, NIPS: Catalyst).
    """
    if state.candidate is None or not state.candidate.estimate < math.inf or not state.momentum:
        return state
    if state.candidate.estimate <= state.goal:
        return replace(state, goal=0.5 * state.candidate.estimate, rounds=0)
    if state.rounds < PATIENCE:
        return replace(state, rounds=state.rounds + 1)
    # Ease is the square root of the difficulty: the pulled problem is as difficult, and takes about as many epochs.
    epochs = max(state.query.epochs, min(2 * state.query.epochs, math.ceil(state.ease)))
    return replace(state, query=state.query._replace(epochs=epochs), rounds=0)


def proved(state: SDCAState) -> SDCAState:
    """Return the state with the start as its progress, where the newest bound proves it good enough."""
    if state.progress is not None or state.opening is None or state.candidate is None:
        return state
    certificate = evaluation.improved(state.opening.certificate, state.candidate.dual, state.info)
    return replace(state, progress=replace(state.opening, certificate=certificate)) if certificate.satisfied else state


def point(state: SDCAState, gradient: Floats) -> Floats:
    """Return where the dual variables put the coefficients, before soft thresholds."""
    total = state.l2 + state.pull
    mean = gradient / state.info.n_rows
    out: Floats = np.divide(state.pull * state.anchor - mean, total, out=np.zeros_like(total), where=total > 0.0)
    return out


def primal(state: SDCAState, point: Floats) -> Floats:
    """Return the coefficients at such a point."""
    return np.append(shard.soft(point[:-1], state.query.threshold), point[-1])


def iterate(info: DataInfo, x: Floats) -> Iterate:
    """Return a point in internal coordinates."""
    b = x[-1:] + info.center @ x[:-1] if info.reference.fit_intercept else np.zeros(1)
    return Iterate(x[:-1] * info.scale, b)


def bound(info: DataInfo, gradient: Floats, conjugate: float) -> float:
    """Return the dual objective, for dual variables that sum to zero where there is an intercept."""
    slope = np.ascontiguousarray(-gradient[:-1] / info.scale / info.n_rows)
    value = -conjugate / info.n_rows - info.penalty.conjugate(slope)
    return value if math.isfinite(value) else -math.inf


def bounded(state: SDCAState, sums: Contribution) -> float:
    """Return a lower bound of the optimum from the dual variables themselves.

    Where there is an intercept, the positive ones or the negative ones, whichever add up to more, are scaled down by
    ``s`` until all sum to zero: ``l*(s theta) <= s l*(theta)`` where ``l*(0)`` is zero.
    """
    info, excess = state.info, float(sums.gradient[-1])
    if not info.reference.fit_intercept or excess == 0.0:
        return bound(info, sums.gradient, sums.facts.conjugate)
    if not state.query.signs:
        return -math.inf
    lost, part, own = sums.above, sums.facts.conjugate_above, float(sums.above[-1])
    if excess < 0.0:
        lost, part, own = sums.gradient - lost, sums.facts.conjugate - part, excess - own
    share = excess / own if own else math.inf
    if not 0.0 <= share <= 1.0:
        return -math.inf
    return bound(info, sums.gradient - share * lost, sums.facts.conjugate - share * part)


def candidate(state: SDCAState, sums: Contribution, gap: float, lower: float) -> Candidate:
    """Return the point with a guess of its gap, and the bound that the dual variables prove."""
    estimate = math.inf
    if not sums.facts.first:
        estimate = gap / state.info.reference.objective if state.info.reference.objective > 0.0 else gap
    at = iterate(state.info, state.x)
    return Candidate(at.u, at.b, estimate, lower)
