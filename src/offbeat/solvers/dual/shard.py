"""The shard's side of `SDCA`: its dual variables, their sums, and its step."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Targets, Workspace
from offbeat.data.source import CSR
from offbeat.losses.questions import piecewise_linear
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step
from offbeat.solvers.dual import active_set
from offbeat.solvers.dual import epochs as dual_sweeps

ACTIVE_SET_INTERVAL = 4  # steps between two calls of the active-set method
RESUM_INTERVAL = 16  # steps between two exact sums; changes are added in between, and rounding accumulates


class SdcaQuery(NamedTuple):
    """What a shard needs for its epochs. Vectors are in the units of the uncentred columns, intercept last.

    - ``point``: coefficients that the dual variables of all shards imply, before soft thresholding;
    - ``shrink``: ``1 / (n l2)``, where ``l2`` includes the pull to the anchor; ``threshold``: ``l1 / l2``, or length 0;
    - ``sigma``: number of shards that move at once (CoCoA+); without rounds, divided by a shard's steps: see `delays`;
    - ``warm``: whether the first step sets dual variables to the derivatives at the point, instead of zero;
    - ``signs``: whether rows with a positive dual variable are also summed separately;
    - ``room``: rows of the largest shard;
    - ``exact``: ``1 / (n l2)`` without the pull, then 1 with an intercept or 0; of length 0 unless a single shard
      may use the active-set method;
    - ``anchor``: the point of the pull, which shards return with their contributions;
    - ``threads``: threads that share the rows of a shard;
    - ``seen``: number of contributions in the point; -1 with rounds, where it is not used.
    """

    point: Floats
    shrink: Floats
    threshold: Floats
    sigma: float
    warm: bool
    signs: bool
    seed: int
    epochs: int
    room: int
    exact: Floats
    anchor: Floats
    threads: int = 1
    seen: float = -1.0

    @property
    def coef(self) -> Floats:
        """Coefficients at the point, after soft thresholding."""
        return soft_threshold(self.point[:-1], self.threshold)


class SdcaScalars(NamedTuple):
    """Scalars of a contribution. They are summed over shards.

    - ``conjugate``: ``sum v (l*(theta) - theta o)``; ``conjugate_above``: the same over rows with ``theta > 0``;
    - ``gap``: sum of the gaps of the rows when they were visited; ``norm``: ``sum v ||x||^2 / (n l2)``;
    - ``loss``, ``h``, ``first``: of the first step;
    - ``exact``: 1 if the active-set method set the dual variables, with this ``intercept``; no pull is needed then;
    - ``dual``: dual objective of its last solution, if there was one (``polished``);
    - ``asked``: sum of ``seen`` over the shard's queries; ``rarity``: reciprocal of the number of its contributions.
    """

    conjugate: float
    conjugate_above: float
    gap: float
    loss: float
    norm: float
    h: float
    passes: float
    steps: float
    first: float
    exact: float = 0.0
    intercept: float = 0.0
    polished: float = 0.0
    dual: float = 0.0
    asked: float = 0.0
    rarity: float = 1.0
    present: float = 1.0


class SdcaContribution(NamedTuple):
    """Contribution of a shard, or a sum of contributions. Vectors have the intercept last.

    ``gradient`` is ``sum v theta x``, ``above`` the same over rows with ``theta > 0``. In the first step, ``slope`` and
    ``repair`` are the gradient of the loss and ``sum v h x``. In later steps, ``slope`` is the anchor of the query.
    ``theta`` are the dual variables, padded to the rows of the largest shard. They allow another worker to continue;
    their sum over shards has no meaning.
    """

    gradient: Floats
    above: Floats
    slope: Floats
    repair: Floats
    facts: SdcaScalars
    theta: Floats

    def flat(self) -> Floats:
        """Return all fields in one array."""
        return np.concatenate([*self[:4], self.facts, self.theta])

    @classmethod
    def unflat(cls, flat: Floats, size: int) -> SdcaContribution:
        """Return what `flat` packed; ``size`` is the number of columns, intercept included."""
        end = 4 * size + len(SdcaScalars._fields)
        vectors = flat[: 4 * size].reshape(4, size)
        return cls(
            vectors[0], vectors[1], vectors[2], vectors[3], SdcaScalars(*flat[4 * size : end].tolist()), flat[end:]
        )


class SdcaLocal(NamedTuple):
    """Local state of a shard: its last contribution (None at first), and row norms, which can be computed again."""

    workspace: Workspace
    last: SdcaContribution | None
    norms: dual_sweeps.RowNorms | None = None


def soft_threshold(values: Floats, threshold: Floats) -> Floats:
    """Return the soft-thresholded values, or the values themselves if there are no thresholds."""
    if not threshold.size:
        return values
    out: Floats = np.sign(values) * np.maximum(np.abs(values) - threshold, 0.0)
    return out


def local_step(problem: Problem, shard: Shard, local: SdcaLocal, query: SdcaQuery) -> Step:
    """Run epochs of coordinate ascent. The first step only sets the dual variables."""
    if local.last is None:
        last = _start_contribution(problem, shard, local, query)
        return Step(SdcaLocal(local.workspace, last), last.flat(), 1.0, "start")
    last = local.last
    theta, query = last.theta.copy(), with_own_sigma(query, last)
    point, norms = query.point.copy(), local.norms
    if norms is None or not np.array_equal(norms.shrink, query.shrink):
        norms = dual_sweeps.row_norms(shard, local.workspace, query.shrink)
    rng = np.random.default_rng((query.seed, shard.first_row, round(last.facts.steps)))
    gap = work = 0.0
    threads = query.threads if last.facts.steps else 1
    rule = dual_sweeps.EpochSettings(problem.loss, query.shrink, query.threshold, query.sigma, threads, rng)
    for _ in range(query.epochs):
        gap, more = dual_sweeps.epoch(shard, local.workspace, norms, rule, theta, point)
        work += more
        if threads > 1:
            point = _recomputed_point(problem, shard, local, query, theta)
    better = _solve_active_set(problem, shard, theta, query, last.facts)
    theta = theta if better is None else better.theta
    sums, none = _conjugates(problem, shard, theta), np.zeros_like(point)
    exact = query.signs or threads > 1 or round(last.facts.steps) % RESUM_INTERVAL == RESUM_INTERVAL - 1
    if better is not None or exact:
        gradient, above = _gradients(shard, local, theta)
    else:
        above = none.copy()
        gradient = last.gradient + (query.point - point) / (query.sigma * np.maximum(query.shrink, 1e-300))
    gradient[-1], above[-1] = sums[:, 1]
    facts = last.facts._replace(
        conjugate=float(sums[0, 0]), conjugate_above=float(sums[1, 0]), gap=gap, loss=0.0, h=0.0, first=0.0,
        passes=last.facts.passes + work * shard.n_rows, steps=last.facts.steps + 1.0, exact=0.0,
        asked=last.facts.asked + query.seen, rarity=1.0 / (last.facts.steps + 2.0),
    )  # fmt: skip
    if better is not None:
        facts = facts._replace(exact=1.0, polished=1.0, intercept=better.intercept, dual=better.dual)
    new = SdcaContribution(gradient, above, query.anchor, none, facts, theta)
    return Step(SdcaLocal(local.workspace, new, norms), new.flat(), work, "ascent")


def with_own_sigma(query: SdcaQuery, last: SdcaContribution) -> SdcaQuery:
    """Return the query with this shard's own ``sigma``, for fits without rounds.

    ``sigma`` is proportional to the number of the shard's steps. Until all shards have contributed, queries do not
    change, and a shard adds its own moves to the point.
    """
    if query.seen > 0.0:
        return query._replace(sigma=max(query.sigma * (last.facts.steps + 1.0), 1.0))
    if query.seen == 0.0 and not query.warm:
        return query._replace(point=query.point - query.shrink * last.gradient)
    return query


def _solve_active_set(
    problem: Problem, shard: Shard, theta: Floats, query: SdcaQuery, facts: SdcaScalars
) -> active_set.ActiveSetSolution | None:
    """Return a solution of the active-set method every few steps, if the problem allows it."""
    wanted = (
        query.exact.size
        and round(facts.steps) % ACTIVE_SET_INTERVAL == ACTIVE_SET_INTERVAL - 1
        and shard.source.resident
    )
    if not wanted or not piecewise_linear(problem.loss):
        return None
    before = facts.dual if facts.polished else -math.inf
    found = active_set.solve_active_set(problem, shard, theta[: shard.n_rows], query.exact, before)
    if found is None:
        return None
    return found._replace(theta=np.concatenate([found.theta, theta[shard.n_rows :]]))


def _recomputed_point(problem: Problem, shard: Shard, local: SdcaLocal, query: SdcaQuery, theta: Floats) -> Floats:
    """Return the point that the dual variables imply. Updates that threads lost are in it again."""
    assert local.last is not None
    gradient = _gradients(shard, local, theta)[0]
    gradient[-1] = _conjugates(problem, shard, theta)[0, 1]
    out: Floats = query.point - query.sigma * query.shrink * (gradient - local.last.gradient)
    return out


def _gradients(shard: Shard, local: SdcaLocal, theta: Floats) -> tuple[Floats, Floats]:
    """Return ``sum v theta x`` over all rows and over those with ``theta > 0``, without accumulated rounding."""
    from offbeat.kernels import row_sums

    k = shard.source.shape[1]
    out, zero, done = np.zeros((2, k + 1)), np.zeros(k), 0
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        rows = int(ranges[-1, 1])
        slopes = theta[done : done + rows]
        if targets.weight.size:
            slopes = slopes * targets.weight
        if isinstance(block, CSR):
            row_sums.sparse_gradient(block, slopes, out)
        else:
            row_sums.dense_gradient(block, slopes, zero, out)
        done += rows
    return out[0], out[1]


def _conjugates(problem: Problem, shard: Shard, theta: Floats) -> Floats:
    """Return the sums of the conjugate and of ``v theta``: over all rows, and over those with ``theta > 0``."""
    from offbeat.kernels import row_sums

    out = np.zeros((2, 2))
    row_sums.conjugates(problem.loss, Targets(shard.y, shard.weight, shard.offset), theta[: shard.n_rows], out)
    return out


def _start_contribution(problem: Problem, shard: Shard, local: SdcaLocal, query: SdcaQuery) -> SdcaContribution:
    """Return the first contribution: the loss at the start. With a warm start, derivatives become dual variables."""
    from offbeat.kernels import row_sums

    theta, done = np.zeros(max(query.room, shard.n_rows)), 0
    w, b = np.ascontiguousarray(query.coef), float(query.point[-1])
    head, sums = np.zeros(4), np.zeros((3, w.size + 1))
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        rows = int(ranges[-1, 1])
        part = theta[done : done + rows]
        if isinstance(block, CSR):
            row_sums.sparse_start(problem.loss, block, targets, w, b, query.shrink, part, head, sums)
        else:
            row_sums.dense_start(problem.loss, block, targets, w, b, query.shrink, part, head, sums)
        done += rows
    slope, repair = (sums[0], sums[2]) if query.seen < 0.0 else (query.anchor, np.zeros_like(query.anchor))
    if not query.warm:
        theta[:], sums = 0.0, np.zeros_like(sums)
    conjugate = _conjugates(problem, shard, theta)
    facts = SdcaScalars(
        float(conjugate[0, 0]), float(conjugate[1, 0]), 0.0, float(head[0]), float(head[3]), float(head[2]),
        float(shard.n_rows), 0.0, 1.0,
    )  # fmt: skip
    return SdcaContribution(sums[0], sums[1], slope, repair, facts, theta)
