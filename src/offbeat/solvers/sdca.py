"""Stochastic dual coordinate ascent; across shards, CoCoA+.

Each shard owns the dual variables of its rows and betters them one by one, as if all others stood still but moved as
much as it does itself: ``sigma``. Contributions are ``sum v theta x``, so the coefficients follow from their sum.

Sources: Shalev-Shwartz & Zhang 2013 (J. Mach. Learn. Res. 14:567) and 2016 (Math. Program. 155:105, elastic net); Ma,
Smith, Jaggi et al. 2015 (arXiv 1502.03508, CoCoA+: adding updates is safe with ``sigma`` the number of shards).

An intercept that is not penalised has a constraint in the dual, ``sum v theta = 0``, which single coordinates cannot
keep. It is found by proximal points instead: pulled towards where it was in the last round, it has a dual like any
other column, and the pull vanishes as it settles. Where the ridge is weak beside the rows, all coefficients are pulled
likewise, to a point ahead of them (accelerated proximal points: Shalev-Shwartz & Zhang 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.data.shard import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Candidate, DataInfo, Progress, State, Step
from offbeat.solvers import dual_rows
from offbeat.solvers.dual_rows import Contribution, Local, Query

PATIENCE = 20  # rounds in which the gap should halve
PULL = 5.0  # weight of the intercept's own column of ones, over that of a row: measured, 3 to 10 are alike


@dataclass(frozen=True)
class SDCAState(State):
    """Where the hub stands, in the units of the columns, intercept last: the query under way, ``l2`` and ``l1``.

    ``pull`` is the weight of the squared distance from ``anchor``, which moves once a round; ``x`` is the last point;
    ``momentum`` says how far ahead of the next one the anchor is put.
    ``opening`` is the certified start: a warm one may need no better point, but a better bound. ``goal`` is half of the
    least estimate of the gap when ``rounds`` began to be counted; ``ease`` is what the pull divides the difficulty by.
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


@dataclass(frozen=True)
class SDCA:
    """Stochastic dual coordinate ascent, for penalties with a ridge part and sparse or dense rows.

    In rounds only: shards add up their moves (CoCoA+), and a move on top of old ones of others may overshoot. Quick to
    a moderate accuracy where the penalty is strong; with a weak penalty and a smooth loss `NewtonCG` is faster.

    Parameters
    ----------
    epochs : int
        Passes over a shard between two exchanges.
    threads : int, optional
        Threads that share all rows, which are one shard then, whatever the engine. None: a shard for each worker of the
        engine; shards hold back for each other, which costs many more passes where the loss has a kink.

    Notes
    -----
    With two threads and more, rows are split among them, without locks (Hsieh, Yu & Dhillon 2015, ICML: PASSCoDe).
    What is racy is the point that they share: of two that add to the same coefficient at once, one may be lost, and a
    row may see the coefficients of another half changed. Dual variables are not shared: each belongs to one row. As the
    bound of the optimum and, after every epoch, the point itself are made from them anew, lost updates cost some
    progress, leave no error, and cannot make a certificate wrong. The first epoch, in which all rows pull the same way,
    is left to one thread. Fits with several threads are not repeatable to the last digit.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_sparse_classification
    >>> X, y = make_sparse_classification(500, 200, seed=0)
    >>> solve(Problem(losses.Hinge(), penalties.L2(1e-2)), X, y, solver=solvers.SDCA(), tol=1e-4).status
    'converged'
    """

    epochs: int = 1
    threads: int | None = None

    name = "sdca"
    max_staleness = 0.0

    @property
    def whole(self) -> bool:
        """Whether all rows are one shard."""
        return self.threads is not None

    def __post_init__(self) -> None:
        """Refuse numbers below one."""
        if self.epochs < 1:
            raise ProblemError(f"epochs of SDCA is {self.epochs}; give a whole number from 1")
        if self.threads is not None and self.threads < 1:
            raise ProblemError(f"threads of SDCA is {self.threads}; give a whole number from 1, or None")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` unless the penalty is a ridge or an elastic net and the dual of the loss is known."""
        if problem.n_outputs > 1 or problem.loss.name in ("poisson", "gamma"):
            raise ProblemError(f"SDCA does not solve the {problem.loss.name} loss; use LBFGS or ProximalGradient")
        if not getattr(problem.loss, "smooth", True) and not hasattr(problem.loss, "dual_step"):
            raise ProblemError(f"SDCA needs a smooth loss, or dual_step of the {problem.loss.name} loss; use ADMM")
        rule = problem.penalty
        ridge = rule.alpha * (1.0 - getattr(rule, "l1_ratio", 0.0)) if rule.name in ("l2", "elastic-net") else 0.0
        if not ridge > 0.0 or (rule.weights is not None and not min(rule.weights) > 0.0):
            raise ProblemError(
                f"SDCA needs a ridge on every coefficient, which {rule.name} has not; use ProximalGradient or Newton"
            )

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return a shard without dual variables: its first step sets them."""
        size = shard.source.shape[1] + 1
        return Local(Workspace(), None if contribution is None else Contribution.unflat(contribution.copy(), size))

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[SDCAState, Query]:
        """Return the first state and query: to set the dual variables at the start of the fit."""
        x, rule = evaluation.start(info), info.penalty.rule
        l2 = np.append(info.penalty.curvature() * info.scale**2, 0.0)
        l1 = rule.alpha * getattr(rule, "l1_ratio", 0.0) * info.penalty.weight * info.penalty.factor * info.scale
        w = x.u / info.scale
        at = np.append(w, float(x.b[0] - info.center @ w) if info.reference.fit_intercept else 0.0)
        sigma = float(info.n_shards)
        smooth = bool(getattr(problem.loss, "smooth", True))
        signs = info.reference.fit_intercept and info.reference.conjugate_zero == 0.0
        shrink = np.append(1.0 / (info.n_rows * l2[:-1]), 0.0)
        room = info.longest or info.n_rows
        alone = info.n_shards == 1 and not smooth and not l1.any()
        exact = np.append(shrink[:-1], float(info.reference.fit_intercept)) if alone else np.empty(0)
        query = Query(
            at, shrink, np.empty(0), sigma, info.warm and smooth, signs, info.seed, self.epochs, room, exact, at,
            self.threads or 1,
        )  # fmt: skip
        return SDCAState(info, query, l2, l1, np.zeros_like(l2), at, at), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Better the dual variables of a shard."""
        return dual_rows.local_step(problem, shard, local, query)

    def global_step(self, problem: Problem, state: SDCAState, board: Board) -> tuple[SDCAState, Query]:
        """Take the coefficients from the sum of the contributions."""
        total, info, query = board.total(), state.info, state.query
        state = replace(state, progress=None, note="")
        if not np.all(np.isfinite(total)):
            return replace(state, status="not finite", note="a contribution is not finite"), query
        sums = Contribution.unflat(total, state.l2.size)
        state = replace(state, passes=sums.facts.passes / info.n_rows)
        if state.candidate is None and sums.facts.first == info.n_shards:
            state = _first(problem, state, sums)
        else:
            state = _moved(state, sums)
        state = _patient(replace(state, candidate=_candidate(state, sums)))
        query = state.query._replace(point=_point(state, sums.gradient), anchor=state.anchor)
        return _proved(replace(state, query=query)), query


def _proved(state: SDCAState) -> SDCAState:
    """Return the state with the start as its progress, where the newest bound proves it good enough."""
    if state.progress is not None or state.opening is None or state.candidate is None:
        return state
    certificate = evaluation.improved(state.opening.certificate, state.candidate.dual, state.info)
    return replace(state, progress=replace(state.opening, certificate=certificate)) if certificate.satisfied else state


def _moved(state: SDCAState, sums: Contribution) -> SDCAState:
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
    x = _primal(state, _point(state, sums.gradient))
    ahead = float((state.anchor - x)[:-1] @ (x - state.x)[:-1]) <= 0.0
    anchor = x + state.momentum * (x - state.x) if ahead and state.momentum else x
    return replace(state, x=x, anchor=anchor)


def _patient(state: SDCAState) -> SDCAState:
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


def _point(state: SDCAState, gradient: Floats) -> Floats:
    """Return where the dual variables put the coefficients, before soft thresholds."""
    total = state.l2 + state.pull
    mean = gradient / state.info.n_rows
    out: Floats = np.divide(state.pull * state.anchor - mean, total, out=np.zeros_like(total), where=total > 0.0)
    return out


def _primal(state: SDCAState, point: Floats) -> Floats:
    return np.append(dual_rows.soft(point[:-1], state.query.threshold), point[-1])


def _first(problem: Problem, state: SDCAState, sums: Contribution) -> SDCAState:
    """Certify the start, and choose the pulls."""
    info, n = state.info, state.info.n_rows
    on = float(info.reference.fit_intercept)
    repair = (sums.repair[:-1] - sums.facts.h * info.center) / info.scale / n if on else None
    slope = float(sums.slope[-1])
    at = Evaluation(
        sums.facts.loss / n, (sums.slope[:-1] - on * slope * info.center) / info.scale / n,
        np.array([on * slope / n]), repair, sums.facts.h / n,
    )  # fmt: skip
    progress = evaluation.progress(problem, info, _iterate(info, state.x), at)
    norm = sums.facts.norm / n
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
    return replace(state, progress=progress, opening=progress, query=query, pull=pull, ease=ease, momentum=momentum)


def _iterate(info: DataInfo, x: Floats) -> Iterate:
    """Return a point in internal coordinates."""
    b = x[-1:] + info.center @ x[:-1] if info.reference.fit_intercept else np.zeros(1)
    return Iterate(x[:-1] * info.scale, b)


def _bound(info: DataInfo, gradient: Floats, conjugate: float) -> float:
    """Return the dual objective, for dual variables that sum to zero where there is an intercept."""
    slope = np.ascontiguousarray(-gradient[:-1] / info.scale / info.n_rows)
    return -conjugate / info.n_rows - info.penalty.conjugate(slope)


def _lower(state: SDCAState, sums: Contribution) -> float:
    """Return a lower bound of the optimum from the dual variables themselves.

    Where there is an intercept, the positive ones or the negative ones, whichever add up to more, are scaled down by
    ``s`` until all sum to zero: ``l*(s theta) <= s l*(theta)`` where ``l*(0)`` is zero.
    """
    info, excess = state.info, float(sums.gradient[-1])
    if not info.reference.fit_intercept or excess == 0.0:
        return _bound(info, sums.gradient, sums.facts.conjugate)
    if not state.query.signs:
        return -math.inf
    lost, part, own = sums.above, sums.facts.conjugate_above, float(sums.above[-1])
    if excess < 0.0:
        lost, part, own = sums.gradient - lost, sums.facts.conjugate - part, excess - own
    share = excess / own if own else math.inf
    if not 0.0 <= share <= 1.0:
        return -math.inf
    return _bound(info, sums.gradient - share * lost, sums.facts.conjugate - share * part)


def _candidate(state: SDCAState, sums: Contribution) -> Candidate:
    info, estimate = state.info, math.inf
    if not sums.facts.first:
        gap = sums.facts.gap / info.n_rows
        estimate = gap / info.reference.objective if info.reference.objective > 0.0 else gap
    lower = _lower(state, sums)
    at = _iterate(info, state.x)
    return Candidate(at.u, at.b, estimate, lower if math.isfinite(lower) else -math.inf)


__all__ = ["SDCA", "SDCAState"]
