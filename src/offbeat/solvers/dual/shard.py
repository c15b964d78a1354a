"""The shard's side of `SDCA`: its block of dual variables, and what they stand for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.losses.questions import piecewise_linear
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step
from offbeat.solvers.dual import active_set
from offbeat.solvers.dual import epochs as dual_sweeps

POLISH = 4  # steps after which dual variables are solved for
EXACT = 16  # steps after which sums are taken anew


class Query(NamedTuple):
    """Where the fit stands, in the units of the columns, about zero.

    ``point`` is where the dual variables of all shards put the coefficients, before soft thresholds, intercept last;
    ``shrink`` is ``1 / (n l2)`` with all that is quadratic; ``threshold`` is ``l1 / l2``, or of length 0. ``sigma`` is
    the number of shards that move at once. ``warm`` says whether a first step sets dual variables to the slopes at the
    point, not to zero; ``signs`` whether rows with a positive dual variable are summed apart; ``room`` the rows of the
    largest shard. ``exact`` is ``1 / (n l2)`` with nothing else in it, and 1 for an intercept, 0 for none; of length 0
    unless a single shard may solve for its dual variables. ``anchor`` is what the point is pulled to; shards only
    repeat it. ``threads`` share the rows of a shard. ``seen`` is how many contributions are in the point; -1 in rounds,
    where it does not matter. Without rounds ``sigma`` is for each contribution that a shard has made: see `dual_ages`.
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
        """Coefficients in the units of the columns."""
        return soft(self.point[:-1], self.threshold)


class Facts(NamedTuple):
    """Numbers that a contribution carries besides vectors; they add up over shards.

    ``conjugate`` is ``sum v (l*(theta) - theta o)``, ``conjugate_above`` the same where ``theta > 0``; ``gap`` is the
    gap of rows as they were visited; ``norm`` is ``sum v ||x||^2 / (n l2)``; ``loss``, ``h`` and ``first`` are of the
    first step. ``exact`` says that the dual variables were solved for, with this ``intercept``: they need no pull.
    ``dual`` is their dual objective, of the last time that they were, if ever (``polished``). ``asked`` is the sum of
    what the queries of a shard had seen, ``rarity`` the reciprocal of the number of its contributions.
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


class Contribution(NamedTuple):
    """What a shard puts on the board, all with the intercept last.

    ``gradient``: ``sum v theta x``; ``above``: the same where ``theta > 0``; ``slope`` and ``repair``: of the first
    step, the loss gradient and ``sum v h x``. Later steps have the anchor that they were asked with in place of the
    slope. ``theta``, padded to the rows of the largest shard, is for whoever goes on with this shard: its sum means
    nothing.
    """

    gradient: Floats
    above: Floats
    slope: Floats
    repair: Floats
    facts: Facts
    theta: Floats

    def flat(self) -> Floats:
        """Return all in one array."""
        return np.concatenate([*self[:4], self.facts, self.theta])

    @classmethod
    def unflat(cls, flat: Floats, size: int) -> Contribution:
        """Return what `flat` packed; ``size`` is the number of columns, intercept included."""
        end = 4 * size + len(Facts._fields)
        vectors = flat[: 4 * size].reshape(4, size)
        return cls(vectors[0], vectors[1], vectors[2], vectors[3], Facts(*flat[4 * size : end].tolist()), flat[end:])


class Local(NamedTuple):
    """A shard's contribution, which has all that it knows (None at first), and what can be found out again."""

    workspace: Workspace
    last: Contribution | None
    norms: dual_sweeps.Norms | None = None


def soft(values: Floats, threshold: Floats) -> Floats:
    """Return soft thresholds; without thresholds, the values."""
    if not threshold.size:
        return values
    out: Floats = np.sign(values) * np.maximum(np.abs(values) - threshold, 0.0)
    return out


def local_step(problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
    """Set the dual variables at the start, or better them by some epochs."""
    if local.last is None:
        last = _started(problem, shard, local, query)
        return Step(Local(local.workspace, last), last.flat(), 1.0, "start")
    last = local.last
    theta, query = last.theta.copy(), own(query, last)
    point, norms = query.point.copy(), local.norms
    if norms is None or not np.array_equal(norms.shrink, query.shrink):
        norms = dual_sweeps.measured(shard, local.workspace, query.shrink)
    rng = np.random.default_rng((query.seed, shard.start, round(last.facts.steps)))
    gap = work = 0.0
    threads = query.threads if last.facts.steps else 1
    rule = dual_sweeps.Rule(problem.loss, query.shrink, query.threshold, query.sigma, threads, rng)
    for _ in range(query.epochs):
        gap, more = dual_sweeps.epoch(shard, local.workspace, norms, rule, theta, point)
        work += more
        if threads > 1:
            point = _repeated(problem, shard, local, query, theta)
    better = _polished(problem, shard, theta, query, last.facts)
    theta = theta if better is None else better.theta
    sums, none = _conjugates(problem, shard, theta), np.zeros_like(point)
    exact = query.signs or threads > 1 or round(last.facts.steps) % EXACT == EXACT - 1
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
    new = Contribution(gradient, above, query.anchor, none, facts, theta)
    return Step(Local(local.workspace, new, norms), new.flat(), work, "ascent")


def own(query: Query, last: Contribution) -> Query:
    """Return the query as it is for this shard, where there are no rounds.

    Shards hold back in proportion to how often they move. At the start of a fit, until all have reported, they are
    asked the same again and again, and know of no moves but their own.
    """
    if query.seen > 0.0:
        return query._replace(sigma=max(query.sigma * (last.facts.steps + 1.0), 1.0))
    if query.seen == 0.0 and not query.warm:
        return query._replace(point=query.point - query.shrink * last.gradient)
    return query


def _polished(problem: Problem, shard: Shard, theta: Floats, query: Query, facts: Facts) -> active_set.Polished | None:
    """Return dual variables that are solved for, from time to time and where that is possible."""
    wanted = query.exact.size and round(facts.steps) % POLISH == POLISH - 1 and shard.source.resident
    if not wanted or not piecewise_linear(problem.loss):
        return None
    before = facts.dual if facts.polished else -math.inf
    found = active_set.polished(problem, shard, theta[: shard.n_rows], query.exact, before)
    if found is None:
        return None
    return found._replace(theta=np.concatenate([found.theta, theta[shard.n_rows :]]))


def _repeated(problem: Problem, shard: Shard, local: Local, query: Query, theta: Floats) -> Floats:
    """Return the point that the dual variables stand for, whatever became of updates on the way."""
    assert local.last is not None
    gradient = _gradients(shard, local, theta)[0]
    gradient[-1] = _conjugates(problem, shard, theta)[0, 1]
    out: Floats = query.point - query.sigma * query.shrink * (gradient - local.last.gradient)
    return out


def _gradients(shard: Shard, local: Local, theta: Floats) -> tuple[Floats, Floats]:
    """Return what the dual variables stand for, in all and where they are positive: sums of changes gather rounding."""
    from offbeat.kernels import dual_sums

    out, done = np.zeros((2, shard.source.shape[1] + 1)), 0
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        rows = int(ranges[-1, 1])
        part, goal = theta[done : done + rows], tuple(targets)
        if isinstance(block, CSR):
            dual_sums.sparse_gradient(tuple(block), goal, part, out)
        else:
            dual_sums.dense_gradient(block, goal, part, out)
        done += rows
    return out[0], out[1]


def _conjugates(problem: Problem, shard: Shard, theta: Floats) -> Floats:
    from offbeat.kernels import dual_sums

    out = np.zeros((2, 2))
    dual_sums.conjugates(problem.loss, (shard.y, shard.weight, shard.offset), theta[: shard.n_rows], out)
    return out


def _started(problem: Problem, shard: Shard, local: Local, query: Query) -> Contribution:
    """Return the evaluation of the start; its slopes are the first dual variables where the start is warm."""
    from offbeat.kernels import dual_sums

    theta, done = np.zeros(max(query.room, shard.n_rows)), 0
    w, b = np.ascontiguousarray(query.coef), float(query.point[-1])
    head, sums = np.zeros(4), np.zeros((3, w.size + 1))
    for block, targets, ranges in shard.blocks(1.0, local.workspace):
        rows = int(ranges[-1, 1])
        part, goal = theta[done : done + rows], tuple(targets)
        if isinstance(block, CSR):
            dual_sums.sparse_start(problem.loss, tuple(block), goal, w, b, query.shrink, part, (head, sums))
        else:
            dual_sums.dense_start(problem.loss, block, goal, w, b, query.shrink, part, (head, sums))
        done += rows
    slope, repair = (sums[0], sums[2]) if query.seen < 0.0 else (query.anchor, np.zeros_like(query.anchor))
    if not query.warm:
        theta[:], sums = 0.0, np.zeros_like(sums)
    conjugate = _conjugates(problem, shard, theta)
    facts = Facts(
        float(conjugate[0, 0]), float(conjugate[1, 0]), 0.0, float(head[0]), float(head[3]), float(head[2]),
        float(shard.n_rows), 0.0, 1.0,
    )  # fmt: skip
    return Contribution(sums[0], sums[1], slope, repair, facts, theta)
