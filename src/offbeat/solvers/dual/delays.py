"""`SDCA` without rounds: contributions whose shards did not know of the newest moves of the others.

Dual variables are valid whatever they were computed from: the point is that of the newest of all shards, and the bound
of the optimum that they prove is true. What age endangers is progress: shards that do not know of each other overshoot
together. Moves made at once are safe if ``sum 1 / sigma_i <= 1``, as ``||sum d_i||^2 <= sum sigma_i ||d_i||^2`` then
(Cauchy-Schwarz; with all ``sigma_i`` alike this is CoCoA+). Without rounds a shard that answers ``c_i`` times is
as loud as ``c_i / sigma_i``, so that here ``sigma_i = c_i sum_j 1 / c_j``: the slow ones take long steps, the others
short ones, and all come forward alike. Where only some shards are at work at once, all hold back by so much less, and
where messages are late by so much more: that share is measured, by what each answer had seen of the moves before it.
With all delays bounded, theory asks for a ``sigma`` that grows with them (Hsieh, Yu & Dhillon 2015, ICML, theorem 3;
Pal et al. 2016, arXiv 1610.07184, Hybrid-DCA); how far it must was measured: the docs have figures.

The anchor that coefficients are pulled to is the mean of those that the newest contributions were asked with, moved
towards the point: a sum over the board like all else, so that ranks which heard of things in another order, or lost
their state, agree as soon as they have the same contributions. It moves half as fast as news of it is old: as fast, it
overshoots, for a shard follows a new anchor no sooner than it hears of it, and slowly then, as it holds back (eight
shards of a logistic loss with a ridge of 1e-3 swung about the intercept for ever, a gap of 3e-4 wide; a quarter as fast
took no more passes). There is no momentum: it took two to three times the passes, as points of different ages are no
line to follow.
"""

from __future__ import annotations

import math
from dataclasses import replace

from offbeat.sideways.protocol import DataInfo
from offbeat.solvers.dual import hub
from offbeat.solvers.dual.hub import SDCAState
from offbeat.solvers.dual.shard import Contribution, Query

ROUND = 1.5  # mean age of anchors, in contributions of each shard, where all shards are at work at once
PACE = 0.5  # of an anchor, in units of what its age allows: at 1 it overshoots


def apart(info: DataInfo) -> bool:
    """Whether shards go on without each other: a single one has nobody to wait for."""
    return info.staleness > 0.0 and info.n_shards > 1


def opening(query: Query, info: DataInfo) -> Query:
    """Return the first query of a fit without rounds."""
    return query._replace(sigma=float(info.at_once), seen=0.0)


def moved(state: SDCAState, sums: Contribution) -> SDCAState:
    """Return the state at the point that the newest contributions stand for.

    Where few of the shards are at work at once, anchors are younger, and move less each time.
    """
    info, anchor = state.info, sums.slope / state.info.n_shards
    window = _window(state, sums)
    if state.candidate is None:
        state = replace(hub.pulled(state, sums.facts.norm / info.n_rows), momentum=0.0)
    sigma = sums.facts.rarity * window / info.n_shards
    query = state.query._replace(seen=sums.facts.steps + info.n_shards, sigma=sigma)
    state = replace(state, anchor=anchor, asked=sums.facts.asked, window=window, query=query)
    x = hub.primal(state, hub.point(state, sums.gradient))
    share = PACE * min((window / info.n_shards + 0.5) / ROUND, 1.0)
    return replace(state, x=x, anchor=anchor + share * (x - anchor))


def _window(state: SDCAState, sums: Contribution) -> float:
    """Return how many contributions arrive from when a shard is asked until it answers, its own included."""
    window = state.window or float(state.info.at_once)
    seen = sums.facts.steps + state.info.n_shards
    new = seen - state.query.seen
    if not new > 0.0:
        return window
    share = min(new / state.info.n_shards, 1.0)
    return max(window + share * (seen - (sums.facts.asked - state.asked) / new - window), 1.0)


def shared_gap(state: SDCAState, sums: Contribution, lower: float) -> float:
    """Return the part of the gap that no shard sees: that of the penalty and of the intercept.

    Where everybody waits, the gaps of the rows as they were visited say enough. Without, shards that hear little of
    each other are soon at peace with their own rows, and what is left is in what all of them share.
    """
    info, at = state.info, hub.iterate(state.info, state.x)
    primal = info.penalty.value(at.u) + (float(state.x @ sums.gradient) - sums.facts.conjugate) / info.n_rows
    if not math.isfinite(lower):
        lower = hub.bound(info, sums.gradient, sums.facts.conjugate)
    return max(primal - lower, 0.0)
