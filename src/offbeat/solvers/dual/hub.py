"""The hub's side of `SDCA`: the proximal point iteration and its anchor, lower bounds, candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Candidate, DataInfo, Progress, State
from offbeat.solvers.dual import shard
from offbeat.solvers.dual.shard import SdcaContribution, SdcaQuery

MAX_ROUNDS_PER_HALVING = 20  # rounds for half the gap; then the number of epochs is raised
INTERCEPT_PULL = 5.0  # weight of the intercept's column of ones, over that of a row; measured: 3 to 10 do equally well


@dataclass(frozen=True)
class SDCAState(State):
    """State of the hub. Vectors are in the units of the columns, intercept last.

    - ``query``: the current query; ``l2``, ``l1``: the penalty of each column;
    - ``pull``: weight of the squared distance from ``anchor``, the proximal point; ``x``: the last point;
    - ``momentum``: extrapolation of the anchor beyond ``x``;
    - ``opening``: the certified start; with a warm start a better lower bound may suffice;
    - ``ease``: factor by which the pull raises ``l2``;
    - ``goal``: half of the smallest estimate of the gap when ``rounds`` was last 0;
    - without rounds: ``asked`` is the sum of ``seen`` over the queries of the newest contributions, and ``window`` the
      number of contributions that arrive between a query to a shard and its answer.
    """

    info: DataInfo
    query: SdcaQuery
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


def certify_start(problem: Problem, state: SDCAState, sums: SdcaContribution) -> SDCAState:
    """Certify the start, and choose the pull."""
    info, n = state.info, state.info.n_rows
    on = float(info.reference.fit_intercept)
    repair = (sums.repair[:-1] - sums.facts.h * info.center) / info.scale / n if on else None
    slope = float(sums.slope[-1])
    at = Evaluation(
        sums.facts.loss / n, (sums.slope[:-1] - on * slope * info.center) / info.scale / n,
        np.array([on * slope / n]), repair, sums.facts.h / n,
    )  # fmt: skip
    progress = evaluation.progress(problem, info, iterate(info, state.x), at)
    return choose_pulls(replace(state, progress=progress, opening=progress), sums.facts.norm / n)


def choose_pulls(state: SDCAState, norm: float) -> SDCAState:
    """Choose the pull, for rows whose mean ``||x||^2 / (n l2)`` is ``norm``."""
    n, on = state.info.n_rows, float(state.info.reference.fit_intercept)
    # The square root of the condition number is left to the epochs: measured from 2 to 200, for all losses.
    factor = max(1.0, math.sqrt(norm))
    pull = (factor - 1.0) * state.l2
    # The intercept must not move faster than the shards, whose steps are divided by sigma.
    pull[-1] = on * INTERCEPT_PULL * factor * state.query.sigma / max(norm * n, 1e-300)
    root = math.sqrt(1.0 / factor)
    total = state.l2 + pull
    shrink = np.divide(1.0 / n, total, out=np.zeros_like(total), where=total > 0.0)
    threshold = state.l1 / total[:-1] if state.l1.any() else np.empty(0)
    query = state.query._replace(shrink=shrink, threshold=threshold)
    momentum = 0.0 if factor == 1.0 else (1.0 - root) / (1.0 + root)
    return replace(state, query=query, pull=pull, ease=factor, momentum=momentum)


def move_point(state: SDCAState, sums: SdcaContribution) -> SDCAState:
    """Return the state at the next point, with an extrapolated anchor.

    The extrapolation is dropped if it points uphill (the restart of O'Donoghue & Candes 2015, Found. Comput. Math.
    15:715).

    The anchor is a multiplier of the intercept's constraint; moving it is a step of the method of multipliers. The step
    starts from the anchor in the contributions, not from the one in the state. Otherwise peers that lost their state
    could disagree about the anchor permanently.
    """
    if sums.facts.exact:
        x = np.append(-sums.gradient[:-1] * state.query.exact[:-1], sums.facts.intercept)
        return replace(state, x=x, anchor=x)
    if not sums.facts.first:
        state = replace(state, anchor=sums.slope / state.info.n_shards)
    x = coefficients_at(state, dual_point(state, sums.gradient))
    ahead = float((state.anchor - x)[:-1] @ (x - state.x)[:-1]) <= 0.0
    anchor = x + state.momentum * (x - state.x) if ahead and state.momentum else x
    return replace(state, x=x, anchor=anchor)


def adapt_epochs(state: SDCAState) -> SDCAState:
    """Return the state with more epochs for each anchor, if the gap did not halve in time.

    With momentum and inexact solutions the iteration may fail to converge. Theory requires each proximal problem to be
    solved to some accuracy (Lin, Mairal & Harchaoui 2015, NIPS: Catalyst). Most problems do not need it.
    """
    if state.candidate is None or not state.candidate.estimate < math.inf or not state.momentum:
        return state
    if state.candidate.estimate <= state.goal:
        return replace(state, goal=0.5 * state.candidate.estimate, rounds=0)
    if state.rounds < MAX_ROUNDS_PER_HALVING:
        return replace(state, rounds=state.rounds + 1)
    # The condition number of the pulled problem is about this factor, and so is the number of epochs it takes.
    epochs = max(state.query.epochs, min(2 * state.query.epochs, math.ceil(state.ease)))
    return replace(state, query=state.query._replace(epochs=epochs), rounds=0)


def accept_start(state: SDCAState) -> SDCAState:
    """Return the state with the start as its progress, if the newest lower bound proves it accurate enough."""
    if state.progress is not None or state.opening is None or state.candidate is None:
        return state
    certificate = evaluation.improved(state.opening.certificate, state.candidate.dual, state.info)
    return replace(state, progress=replace(state.opening, certificate=certificate)) if certificate.satisfied else state


def dual_point(state: SDCAState, gradient: Floats) -> Floats:
    """Return the coefficients that the dual variables imply, before soft thresholding."""
    total = state.l2 + state.pull
    mean = gradient / state.info.n_rows
    out: Floats = np.divide(state.pull * state.anchor - mean, total, out=np.zeros_like(total), where=total > 0.0)
    return out


def coefficients_at(state: SDCAState, point: Floats) -> Floats:
    """Return the coefficients at such a point, after soft thresholding."""
    return np.append(shard.soft_threshold(point[:-1], state.query.threshold), point[-1])


def iterate(info: DataInfo, x: Floats) -> Iterate:
    """Return a point in internal coordinates."""
    b = x[-1:] + info.center @ x[:-1] if info.reference.fit_intercept else np.zeros(1)
    return Iterate(x[:-1] * info.scale, b)


def dual_value(info: DataInfo, gradient: Floats, conjugate: float) -> float:
    """Return the dual objective. With an intercept the dual variables must sum to zero."""
    slope = np.ascontiguousarray(-gradient[:-1] / info.scale / info.n_rows)
    value = -conjugate / info.n_rows - info.penalty.conjugate(slope)
    return value if math.isfinite(value) else -math.inf


def lower_bound(state: SDCAState, sums: SdcaContribution) -> float:
    """Return a lower bound of the optimum from the dual variables.

    With an intercept they must sum to zero. The positive or the negative ones, whichever have the larger sum, are
    scaled by ``s < 1`` to achieve this. The bound uses ``l*(s theta) <= s l*(theta)``, which holds if ``l*(0)`` is
    zero.
    """
    info, excess = state.info, float(sums.gradient[-1])
    if not info.reference.fit_intercept or excess == 0.0:
        return dual_value(info, sums.gradient, sums.facts.conjugate)
    if not state.query.signs:
        return -math.inf
    lost, part, own = sums.above, sums.facts.conjugate_above, float(sums.above[-1])
    if excess < 0.0:
        lost, part, own = sums.gradient - lost, sums.facts.conjugate - part, excess - own
    share = excess / own if own else math.inf
    if not 0.0 <= share <= 1.0:
        return -math.inf
    return dual_value(info, sums.gradient - share * lost, sums.facts.conjugate - share * part)


def candidate(state: SDCAState, sums: SdcaContribution, gap: float, lower: float) -> Candidate:
    """Return the point as a candidate, with an estimate of its gap and the lower bound."""
    estimate = math.inf
    if not sums.facts.first:
        estimate = gap / state.info.reference.objective if state.info.reference.objective > 0.0 else gap
    at = iterate(state.info, state.x)
    return Candidate(at.u, at.b, estimate, lower)
