"""Consensus ADMM in the form of Douglas & Rachford: barrier, batches or none, from the same code.

With the share ``f_i`` of the loss on shard ``i``, penalty ``R`` and a parameter ``rho_i`` for each shard:

- hub: ``z = prox_{R / sum rho}(sum (rho_i p_i - y_i) / sum rho)``;
- shard: ``x_i = prox_{f_i / rho_i}(2 z - s_i)`` with ``s_i = p_i - y_i / rho_i``, ``y_i`` the gradient of ``f_i`` at
  ``x_i``, and ``p_i = (a - 1) x_i + (2 - a) z``. That is ``s_i += a (x_i - z)`` when solved exactly.

Only ``z`` is ever stale. Each shard's ``rho_i`` is a level common to all times its own curvature: consensus is
weighted, shards of any size fit in, and how the data is cut matters little. As positions and gradients travel, a
change of level needs no agreement: each contribution holds by itself.

Sources: Eckstein & Bertsekas 1992 (Math. Program. 55:293, over-relaxation); Boyd et al. 2011 (Found. Trends Mach.
Learn. 3:1, section 7); Wohlberg 2017 (arXiv 1704.06209: relative residuals).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from offbeat.data.shard import Shard
from offbeat.errors import ProblemError
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, Progress, State, Step
from offbeat.solvers.admm import asip, bounds, local_prox
from offbeat.solvers.admm import hinge as admm_hinge
from offbeat.solvers.admm import smooth as admm_smooth
from offbeat.solvers.admm.local_prox import Contribution, Facts, Query

BALANCE = 5.0  # ratio of residuals from which the level is changed
CHANGES = 12
START = 0.3  # level to start from
UNEVEN = 2.5  # steps a round by the average shard, above which residuals say nothing of rho
LOWEST, HIGHEST = 0.01, 30.0
UNDERFLOW = 1e-290
IDLE = 100  # rounds without any movement


@dataclass(frozen=True)
class AdmmState(State):
    """Where the hub stands: the consensus, its level, and since when it has not been changed."""

    info: DataInfo
    query: Query
    round_clock: float = 0.0
    round_steps: float = 0.0
    round_z: Floats | None = None
    rounds: int = 0
    changes: int = 0
    patience: int = 1
    idle: int = 0


@dataclass(frozen=True)
class ADMM:
    """Consensus ADMM: every shard solves for itself, with a pull towards what all agree on.

    Safe without a barrier (``staleness=inf``), for smooth losses and the hinge, and every penalty.

    Parameters
    ----------
    relaxation : float
        Over-relaxation, between 0 and 2.
    rho : float, optional
        Strength of the pull, in units of the mean objective's curvature per shard; None adapts it by balancing the
        residuals.
    variant : {"douglas-rachford", "asip"}
        "asip" is ASIP-ADMM as published, a baseline: see `offbeat.solvers.admm.asip`. It has a fixed ``rho`` (0.01
        unless given) and no ``relaxation``, and is not known to converge.
    inner : int
        Most iterations of a local solve: Newton steps; times three with L-BFGS, times ten for the hinge; passes of
        mini-batches for "asip".
    seconds : float, optional
        Time that a local solve may take: it stops with what it has. Engines convert it into work.

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

    def __post_init__(self) -> None:
        """Refuse parameters out of range."""
        if not 0.0 < self.relaxation < 2.0:
            raise ProblemError(f"relaxation of ADMM is {self.relaxation}; give a number between 0 and 2")
        if self.rho is not None and not 0.0 < self.rho < math.inf:
            raise ProblemError(f"rho of ADMM is {self.rho}; give a positive number, or None")
        if self.variant not in ("douglas-rachford", "asip"):
            raise ProblemError(f'variant of ADMM is {self.variant!r}; give "douglas-rachford" or "asip"')
        if self.inner < 1:
            raise ProblemError(f"inner of ADMM is {self.inner}; give a whole number from 1")
        if self.seconds is not None and not self.seconds > 0.0:
            raise ProblemError(f"seconds of ADMM is {self.seconds}; give a positive number, or None")

    @property
    def name(self) -> str:
        """Name in traces and messages."""
        return "admm" if self.variant == "douglas-rachford" else "asip-admm"

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for losses with several outputs."""
        if problem.n_outputs > 1:
            raise ProblemError(f"ADMM does not solve the {problem.loss.name} loss; use LBFGS or ProximalGradient")
        if not getattr(problem.loss, "smooth", True) and problem.loss.name != "hinge":
            hint = "use SDCA, or a smooth loss with ProximalGradient"
            raise ProblemError(f"ADMM needs a smooth loss or the hinge, not the {problem.loss.name} loss; {hint}")

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Any:
        """Return the local state of a shard: none yet, or the one that goes with its contribution."""
        if self.variant == "asip":
            return asip.local(contribution)
        return local_prox.blank(shard) if contribution is None else local_prox.restored(contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[Any, Any]:
        """Return the first state and query: to start from ``z``, the start of the fit."""
        if self.variant == "asip":
            return asip.start(info, self.rho, self.inner, self.seconds)
        z = evaluation.start(info).flat()
        hinge = not getattr(problem.loss, "smooth", True)
        query = Query(
            z, info.center, info.scale, float(info.n_rows), float(info.n_shards), info.reference.fit_intercept,
            self.relaxation, self.inner * (10 if hinge else 1), math.nan if self.rho is None else self.rho,
            level=START, seed=info.seed, seconds=math.inf if self.seconds is None else self.seconds,
        )  # fmt: skip
        return AdmmState(info, query, round_z=z), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Take the proximal step of a shard, inexactly; the first one evaluates the start."""
        if self.variant == "asip":
            return asip.local_step(problem, shard, local, query)
        if getattr(problem.loss, "smooth", True):
            take = admm_smooth.begin if local.steps == 0.0 else admm_smooth.solve
            solved = take(problem, shard, query, local)
        else:
            solved = (admm_hinge.begin if local.steps == 0.0 else admm_hinge.solve)(shard, query, local)
        return local_prox.sent(shard, query, solved)

    def global_step(self, problem: Problem, state: Any, board: Board) -> tuple[Any, Any]:
        """Take the proximal step of the penalty at the mean, and balance the residuals."""
        if self.variant == "asip":
            return asip.global_step(state, board)
        return _step(problem, state, board)


def _step(problem: Problem, state: AdmmState, board: Board) -> tuple[AdmmState, Query]:
    total = board.total()
    if not np.all(np.isfinite(total)):
        status = "not finite" if state.rounds == 0 and state.candidate is None else "diverged"
        return replace(state, progress=None, status=status, note="a contribution is not finite"), state.query
    sums, info, query = Contribution.unflat(total), state.info, state.query
    rho = sums.facts.rho
    mean = sums.pull / rho
    z = np.append(info.penalty.prox(np.ascontiguousarray(mean[:-1]), 1.0 / rho), mean[-1])
    first = state.candidate is None and sums.facts.first == info.n_shards
    progress = _start(problem, info, query.z, sums) if first else None
    query = query._replace(z=z)
    candidate = bounds.candidate(problem, info, sums, z, state.query.z)
    state = replace(
        state, query=query, candidate=candidate, progress=progress, passes=sums.facts.passes, note="",
    )  # fmt: skip
    state = _balanced(state, sums)
    return state, state.query


def _start(problem: Problem, info: DataInfo, z: Floats, sums: Contribution) -> Progress:
    """Return the progress at the start, which all shards have evaluated."""
    loss = float(z @ sums.dual) - sums.facts.conjugate
    smooth = getattr(problem.loss, "smooth", True)
    repair, extra = (sums.repair[:-1], float(sums.repair[-1])) if smooth else (None, 0.0)
    at = Evaluation(loss, sums.dual[:-1], sums.dual[-1:], repair, extra)
    progress = evaluation.progress(problem, info, Iterate(z[:-1], z[-1:]), at)
    bound = bounds.dual(problem, info, sums)
    return replace(progress, certificate=evaluation.improved(progress.certificate, bound, info))


def _clock(facts: Facts, n_shards: int) -> float:
    """Return how many steps the slowest shard has made, up to a constant: rounds end when all have told news.

    While it computes, the others settle around its last contribution: their residuals then say nothing of ``rho``.
    """
    if facts.lag > UNDERFLOW:
        return -math.log2(facts.lag)
    return facts.steps / n_shards


def _balanced(state: AdmmState, sums: Contribution) -> AdmmState:
    """Once a round, compare the residuals, and change the level when one is far above the other."""
    facts, info, z = sums.facts, state.info, state.query.z
    assert state.round_z is not None
    clock = _clock(facts, info.n_shards)
    if clock < state.round_clock + 0.9:
        return state
    moved = float(np.linalg.norm(z - state.round_z))
    even = facts.steps <= state.round_steps + UNEVEN * info.n_shards
    idle = state.idle + 1 if moved <= 1e-15 * float(np.linalg.norm(z)) and state.rounds else 0
    state = replace(
        state, round_clock=clock, round_steps=facts.steps, round_z=z, rounds=state.rounds + 1, idle=idle,
        status="stalled" if idle >= IDLE else None, patience=max(state.patience - 1, 0),
    )  # fmt: skip
    if not math.isnan(state.query.rho) or state.changes >= CHANGES or state.patience or state.rounds < 2 or not even:
        return state
    size = max(_root(facts.size), math.sqrt(facts.rho) * float(np.linalg.norm(z)), 1e-300)
    slope = max(_root(info.n_shards * facts.slope), 1e-300)
    primal, dual = _root(facts.primal) / size, facts.rho * moved / slope
    if primal <= 1e-12 or dual <= 1e-12 or 1.0 / BALANCE <= primal / dual <= BALANCE:
        return state
    factor = min(max(math.sqrt(primal / dual), 0.1), 10.0)
    level = min(max(state.query.level * factor, LOWEST), HIGHEST)
    query = state.query._replace(level=level)
    return replace(
        state, query=query, changes=state.changes + 1, patience=2 + 2 * state.changes,
        note=f"pull times {factor:.2g}",
    )  # fmt: skip


def _root(square: float) -> float:
    """Return the root of a running sum of squares, which rounding may leave below zero."""
    return math.sqrt(max(square, 0.0))
