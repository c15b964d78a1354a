"""`SDCA` without rounds: shards do not know the newest moves of the others.

Dual variables are valid for any age. The point follows from the newest ones of all shards, and their lower bound is
true. Delays endanger progress only: shards that do not know of each other's moves overshoot together. Simultaneous
moves are safe if ``sum 1 / sigma_i <= 1``, because ``||sum d_i||^2 <= sum sigma_i ||d_i||^2`` then (Cauchy-Schwarz;
with equal ``sigma_i`` this is CoCoA+). Without rounds, a shard with ``c_i`` contributions has the weight ``c_i /
sigma_i``. So ``sigma_i = c_i sum_j 1 / c_j``: slow shards take long steps, fast ones short steps. If only some shards
are at work at once, ``sigma`` is smaller in proportion; if messages are late, it is larger. This proportion is
measured, by the number of contributions that each query had seen. For bounded delays, theory requires a ``sigma`` that
grows with the delay (Hsieh, Yu & Dhillon 2015, ICML, theorem 3; Pal et al. 2016, arXiv 1610.07184, Hybrid-DCA). The
growth used here was measured: docs/solvers.md has the figures.

The anchor is the mean of the anchors in the newest contributions, moved towards the point. As a sum over the board it
is the same for all peers that have the same contributions. It moves by `ANCHOR_PACE` of what its age allows. With a
pace of 1 it overshoots, as shards follow a new anchor late and slowly: eight shards of a logistic loss with a ridge of
1e-3 oscillated about the intercept, with a gap of 3e-4. A pace of 0.25 took no more passes. There is no momentum: it
took two to three times as many passes, because points of different ages do not lie along a direction.
"""

from __future__ import annotations

import math
from dataclasses import replace

from offbeat.sideways.protocol import DataInfo
from offbeat.solvers.dual import hub
from offbeat.solvers.dual.hub import SDCAState
from offbeat.solvers.dual.shard import SdcaContribution, SdcaQuery

REFERENCE_AGE = 1.5  # mean age of anchors, in contributions of each shard, when all shards are at work at once
ANCHOR_PACE = 0.5  # step of the anchor, over what its age allows; with 1 it overshoots


def without_rounds(info: DataInfo) -> bool:
    """Whether the fit has several shards that do not wait for each other."""
    return info.staleness > 0.0 and info.n_shards > 1


def first_query(query: SdcaQuery, info: DataInfo) -> SdcaQuery:
    """Return the first query of a fit without rounds."""
    return query._replace(sigma=float(info.at_once), seen=0.0)


def move_point(state: SDCAState, sums: SdcaContribution) -> SDCAState:
    """Return the state at the point that the newest contributions imply, with a new anchor.

    If few shards are at work at once, anchors are younger, and move less each time.
    """
    info, anchor = state.info, sums.slope / state.info.n_shards
    window = _window(state, sums)
    if state.candidate is None:
        state = replace(hub.choose_pulls(state, sums.facts.norm / info.n_rows), momentum=0.0)
    sigma = sums.facts.rarity * window / info.n_shards
    query = state.query._replace(seen=sums.facts.steps + info.n_shards, sigma=sigma)
    state = replace(state, anchor=anchor, asked=sums.facts.asked, window=window, query=query)
    x = hub.coefficients_at(state, hub.dual_point(state, sums.gradient))
    share = ANCHOR_PACE * min((window / info.n_shards + 0.5) / REFERENCE_AGE, 1.0)
    return replace(state, x=x, anchor=anchor + share * (x - anchor))


def _window(state: SDCAState, sums: SdcaContribution) -> float:
    """Return the number of contributions that arrive between a query to a shard and its answer, which is included."""
    window = state.window or float(state.info.at_once)
    seen = sums.facts.steps + state.info.n_shards
    new = seen - state.query.seen
    if not new > 0.0:
        return window
    share = min(new / state.info.n_shards, 1.0)
    return max(window + share * (seen - (sums.facts.asked - state.asked) / new - window), 1.0)


def shared_gap(state: SDCAState, sums: SdcaContribution, lower: float) -> float:
    """Return the part of the gap that belongs to no row: that of the penalty and of the intercept.

    With rounds, the gaps of the rows are enough. Without rounds, each shard soon solves its own rows for the point that
    it knows, and the remaining gap is in the shared terms.
    """
    info, at = state.info, hub.iterate(state.info, state.x)
    primal = info.penalty.value(at.u) + (float(state.x @ sums.gradient) - sums.facts.conjugate) / info.n_rows
    if not math.isfinite(lower):
        lower = hub.dual_value(info, sums.gradient, sums.facts.conjugate)
    return max(primal - lower, 0.0)
