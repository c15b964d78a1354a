"""Consensus ADMM in Douglas-Rachford form. The same code serves fits with a barrier, in batches and without.

Notation: ``f_i`` is shard ``i``'s share of the mean loss, ``R`` the penalty, ``rho_i`` the shard's penalty parameter.

- hub: ``z = prox_{R / sum rho}(sum (rho_i p_i - y_i) / sum rho)``;
- shard: ``x_i = prox_{f_i / rho_i}(2 z - s_i)`` with ``s_i = p_i - y_i / rho_i``, ``y_i`` the gradient of ``f_i`` at
  ``x_i``, and ``p_i = (a - 1) x_i + (2 - a) z``. That is ``s_i += a (x_i - z)`` when solved exactly.

Only ``z`` can be stale. ``rho_i`` is the product of a *level*, the same for all shards, and the curvature of the
shard's own loss. So the consensus is weighted, and shards may differ in size. A contribution holds the position and
the gradient of its shard, and its own ``rho_i``. So it stays valid when the hub changes the level.

Layout: `ADMM` has the step functions. `_consensus_step` is the hub's step; `_balance_residuals` adapts the level.

Sources: Eckstein & Bertsekas 1992 (Math. Program. 55:293, over-relaxation); Boyd et al. 2011 (Found. Trends Mach.
Learn. 3:1, section 7); Wohlberg 2017 (arXiv 1704.06209: relative residuals).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from offbeat.data.shards import Shard
from offbeat.errors import ProblemError
from offbeat.losses.questions import smooth
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, Progress, State, Step
from offbeat.solvers._common.needs import ONE_OUTPUT, SMOOTH_OR_DUAL_STEP, check_needs
from offbeat.solvers._common.parameters import check_count, check_positive
from offbeat.solvers.admm import asip, bounds, local_prox
from offbeat.solvers.admm import dual_ascent as admm_ascent
from offbeat.solvers.admm import smooth as admm_smooth
from offbeat.solvers.admm.local_prox import AdmmContribution, AdmmQuery, AdmmScalars

MAX_RESIDUAL_RATIO = 5.0  # between primal and dual residual; the level changes above it
MAX_LEVEL_CHANGES = 12
ASCENT_EPOCHS = 10  # of dual coordinate ascent, for one Newton step of a smooth local solve
FIRST_LEVEL = 0.3
MAX_STEPS_PER_ROUND = 2.5  # of the average shard; with more, shards are too uneven for residuals to tell about rho
MIN_LEVEL, MAX_LEVEL = 0.01, 30.0
MIN_LAG = 1e-290  # below, 2^-steps is close to underflow and its logarithm is not used
MAX_IDLE_ROUNDS = 100  # rounds in which the consensus does not move, before the fit stops


@dataclass(frozen=True)
class AdmmState(State):
    """State of the hub.

    ``query`` holds the consensus and the level. The fields ``round_*`` describe the hub when the last round ended, and
    ``rounds`` counts rounds. ``changes`` counts changes of the level, ``patience`` the rounds to wait before the next
    change, ``idle`` the last rounds in a row in which the consensus did not move.
    """

    info: DataInfo
    query: AdmmQuery
    round_clock: float = 0.0
    round_steps: float = 0.0
    round_z: Floats | None = None
    rounds: int = 0
    changes: int = 0
    patience: int = 1
    idle: int = 0


@dataclass(frozen=True)
class ADMM:
    """Consensus ADMM: every shard minimises its own loss plus a proximal term towards the consensus.

    It takes smooth losses, losses with a ``dual_step``, and every penalty. It converges with stale messages
    too (``staleness=inf``).

    Parameters
    ----------
    relaxation : float
        Over-relaxation, between 0 and 2.
    rho : float, optional
        Penalty parameter of every shard, in units of the mean objective's curvature per shard. None adapts it: the
        primal and dual residuals are kept in balance.
    variant : {"douglas-rachford", "asip"}
        "asip" is ASIP-ADMM as published, a baseline: see `offbeat.solvers.admm.asip`. It has a fixed ``rho`` (0.01
        unless given) and no ``relaxation``. No proof of convergence is known.
    inner : int
        Maximum number of Newton steps in a local solve. L-BFGS may take three times as many steps, and dual coordinate
        ascent (losses with kinks) ten times as many epochs. For "asip": passes of mini-batches.
    seconds : float, optional
        Time limit of a local solve, in seconds. The solve then returns its current point. Engines convert the time
        into gradient passes.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    References
    ----------
    Boyd et al. 2011, Found. Trends Mach. Learn. 3:1, section 7.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> solve(Problem(losses.Hinge(), penalties.L2(1e-2)), X, y, solver=solvers.ADMM(), tol=1e-4).status
    'converged'
    """

    relaxation: float = 1.6
    rho: float | None = None
    variant: Literal["douglas-rachford", "asip"] = "douglas-rachford"
    inner: int = 5
    seconds: float | None = None

    max_staleness = math.inf
    needs = (ONE_OUTPUT, SMOOTH_OR_DUAL_STEP)
    early = True

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters out of range."""
        if not 0.0 < self.relaxation < 2.0:
            raise ProblemError(f"relaxation of ADMM is {self.relaxation}; give a number between 0 and 2")
        check_positive("ADMM", "rho", self.rho, optional=True)
        if self.variant not in ("douglas-rachford", "asip"):
            raise ProblemError(f'variant of ADMM is {self.variant!r}; give "douglas-rachford" or "asip"')
        check_count("ADMM", "inner", self.inner)
        if self.seconds is not None and not self.seconds > 0.0:
            raise ProblemError(f"seconds of ADMM is {self.seconds}; give a positive number, or None")

    @property
    def name(self) -> str:
        """Name in traces and messages."""
        return "admm" if self.variant == "douglas-rachford" else "asip-admm"

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Any:
        """Return a new local state, or the one that a contribution was made from."""
        if self.variant == "asip":
            return asip.initial_local(contribution)
        return local_prox.initial_local(shard) if contribution is None else local_prox.restored_local(contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[Any, Any]:
        """Return the first state and query. The query holds the start of the fit as the consensus."""
        if self.variant == "asip":
            return asip.initial(info, self.rho, self.inner, self.seconds)
        z = evaluation.start(info).flat()
        epochs = 1 if smooth(problem.loss) else ASCENT_EPOCHS
        query = AdmmQuery(
            z, info.center, info.scale, float(info.n_rows), float(info.n_shards), info.reference.fit_intercept,
            self.relaxation, self.inner * epochs, math.nan if self.rho is None else self.rho,
            level=FIRST_LEVEL, seed=info.seed, seconds=math.inf if self.seconds is None else self.seconds,
        )  # fmt: skip
        return AdmmState(info, query, round_z=z), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Solve the shard's proximal problem inexactly. The first step only evaluates the start."""
        if self.variant == "asip":
            return asip.local_step(problem, shard, local, query)
        inner = admm_smooth if smooth(problem.loss) else admm_ascent
        take = inner.evaluate_start if local.steps == 0.0 else inner.solve_local
        return local_prox.contribute(shard, query, take(problem, shard, query, local))

    def global_step(self, problem: Problem, state: Any, board: Board) -> tuple[Any, Any]:
        """Apply the prox of the penalty to the weighted mean of the shards, and balance the residuals."""
        if self.variant == "asip":
            return asip.global_step(state, board)
        return _consensus_step(problem, state, board)


def _consensus_step(problem: Problem, state: AdmmState, board: Board) -> tuple[AdmmState, AdmmQuery]:
    """Return the state and query with the new consensus ``z``, which becomes the next candidate."""
    total = board.total()
    if not np.all(np.isfinite(total)):
        status = "not finite" if state.rounds == 0 and state.candidate is None else "diverged"
        return replace(state, progress=None, status=status, note="a contribution is not finite"), state.query
    sums, info, query = AdmmContribution.unflat(total), state.info, state.query
    rho = sums.facts.rho
    mean = sums.pull / rho
    z = np.append(info.penalty.prox(np.ascontiguousarray(mean[:-1]), 1.0 / rho), mean[-1])
    first = state.candidate is None and sums.facts.first == info.n_shards
    progress = _start_progress(problem, info, query.z, sums) if first else None
    query = query._replace(z=z)
    candidate = bounds.candidate(problem, info, sums, z, state.query.z)
    state = replace(
        state, query=query, candidate=candidate, progress=progress, passes=sums.facts.passes, note="",
    )  # fmt: skip
    state = _balance_residuals(state, sums)
    return state, state.query


def _start_progress(problem: Problem, info: DataInfo, z: Floats, sums: AdmmContribution) -> Progress:
    """Return the certified start: all shards have evaluated it in their first step."""
    loss = float(z @ sums.dual) - sums.facts.conjugate
    repair, extra = (sums.repair[:-1], float(sums.repair[-1])) if smooth(problem.loss) else (None, 0.0)
    at = Evaluation(loss, sums.dual[:-1], sums.dual[-1:], repair, extra)
    progress = evaluation.progress(problem, info, Iterate(z[:-1], z[-1:]), at)
    bound = bounds.lower_bound(problem, info, sums)
    return replace(progress, certificate=evaluation.improved(progress.certificate, bound, info))


def _slowest_clock(facts: AdmmScalars, n_shards: int) -> float:
    """Return the number of steps of the slowest shard, up to a constant. A round ends when it grows by one.

    While the slowest shard computes, the others converge to a point that depends on its last contribution. Their
    residuals do not tell about ``rho`` then.
    """
    if facts.lag > MIN_LAG:
        return -math.log2(facts.lag)
    return facts.steps / n_shards


def _balance_residuals(state: AdmmState, sums: AdmmContribution) -> AdmmState:
    """At the end of a round, change the level if one residual is far above the other (Wohlberg 2017)."""
    facts, info, z = sums.facts, state.info, state.query.z
    assert state.round_z is not None
    clock = _slowest_clock(facts, info.n_shards)
    if clock < state.round_clock + 0.9:
        return state
    moved = float(np.linalg.norm(z - state.round_z))
    even = facts.steps <= state.round_steps + MAX_STEPS_PER_ROUND * info.n_shards
    idle = state.idle + 1 if moved <= 1e-15 * float(np.linalg.norm(z)) and state.rounds else 0
    state = replace(
        state, round_clock=clock, round_steps=facts.steps, round_z=z, rounds=state.rounds + 1, idle=idle,
        status="stalled" if idle >= MAX_IDLE_ROUNDS else None, patience=max(state.patience - 1, 0),
    )  # fmt: skip
    if (
        not math.isnan(state.query.rho)
        or state.changes >= MAX_LEVEL_CHANGES
        or state.patience
        or state.rounds < 2
        or not even
    ):
        return state
    size = max(_root(facts.size), math.sqrt(facts.rho) * float(np.linalg.norm(z)), 1e-300)
    slope = max(_root(info.n_shards * facts.slope), 1e-300)
    primal, dual = _root(facts.primal) / size, facts.rho * moved / slope
    if primal <= 1e-12 or dual <= 1e-12 or 1.0 / MAX_RESIDUAL_RATIO <= primal / dual <= MAX_RESIDUAL_RATIO:
        return state
    factor = min(max(math.sqrt(primal / dual), 0.1), 10.0)
    level = min(max(state.query.level * factor, MIN_LEVEL), MAX_LEVEL)
    query = state.query._replace(level=level)
    return replace(
        state, query=query, changes=state.changes + 1, patience=2 + 2 * state.changes,
        note=f"pull times {factor:.2g}",
    )  # fmt: skip


def _root(square: float) -> float:
    """Return the square root of a running sum of squares. Rounding may leave such a sum slightly negative."""
    return math.sqrt(max(square, 0.0))
