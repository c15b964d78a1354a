"""Delay-tolerant proximal gradient (DAve-RPG): gradients may be of any age.

Source: Mishchenko, Iutzeler, Malick & Amini 2018, A Delay-tolerant Proximal-Gradient Algorithm for Distributed
Learning (ICML; algorithm 1, and section 3.1 for repeated local steps).

Shard ``i`` holds ``x_i = z_i - grad f_i(z_i) / L_i``, where ``z_i`` is the last point that it received. The iterate is
the prox of the mean of all ``x_i``. Unlike in the paper, every shard has its own bound ``L_i`` of its curvature, and
means are weighted by it: ``v = sum(L_i z_i - grad f_i) / sum(L_i)``, ``z = prox(v)`` with the step ``1 / sum(L_i)``.
Each map ``z - grad f_i(z) / L_i`` is nonexpansive. So the iteration converges for any delay, and a shard may change its
bound at any step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common import curvature, delayed_evaluation
from offbeat.solvers._common.delayed_evaluation import InternalCoordinates, ShardEvaluation
from offbeat.solvers._common.needs import SMOOTH_LOSS, check_needs
from offbeat.solvers._common.parameters import check_count

CURVATURE_MARGIN = 1.05  # new bound of the curvature, over the observed curvature
MAX_HALVINGS = 30  # of a move, while the loss is not finite at its end
RELATIVE_ROUNDING = {8: 1e-9, 4: 3e-6}  # of the loss, by the bytes of a value: smaller changes are rounding


class DelayedGradientQuery(NamedTuple):
    """The point ``x`` to evaluate, and what a shard needs for repeated local steps.

    ``mean`` is ``sum(L_i z_i - grad f_i)`` and ``steepness`` is ``sum(L_i)``, both sums over all rows. ``factor`` and
    ``weight`` belong to the penalty. All these are empty or 0 without repetition.
    """

    x: Floats
    frame: InternalCoordinates
    mean: Floats
    steepness: float
    n_rows: int
    factor: Floats
    weight: Floats


class DelayedGradientLocal(NamedTuple):
    """Local state of a shard: its last evaluation, its bound of the curvature (per row), the rows visited so far."""

    workspace: Workspace
    contribution: Floats | None
    last: ShardEvaluation | None = None
    bound: float = 0.0
    visited: float = 0.0


@dataclass(frozen=True)
class DelayedGradientState(State):
    """State of the hub: the iterate ``x``."""

    info: DataInfo
    x: Floats


@dataclass(frozen=True)
class DelayedProximalGradient:
    """Proximal gradient that uses the newest gradient of each shard, however old. No step size is to be set.

    It takes smooth losses and every penalty.

    Parameters
    ----------
    repeats : int
        Number of proximal gradient steps on a shard's own rows before it contributes.

    Raises
    ------
    ProblemError
        If ``repeats`` is below 1.

    References
    ----------
    Mishchenko, Iutzeler, Malick & Amini 2018, ICML, algorithm 1.

    Examples
    --------
    >>> import math
    >>> from offbeat import Problem, engines, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> cluster = engines.Simulated(4, straggler={0: 10.0})
    >>> problem = Problem(losses.Logistic(), penalties.L1(1e-3))
    >>> method = solvers.DelayedProximalGradient()
    >>> solve(problem, X, y, solver=method, engine=cluster, staleness=math.inf, tol=1e-4).status
    'converged'
    """

    repeats: int = 1

    name = "delayed-proximal-gradient"
    max_staleness = math.inf
    early = True
    needs = (SMOOTH_LOSS,)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for fewer than one step."""
        check_count("DelayedProximalGradient", "repeats", self.repeats)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> DelayedGradientLocal:
        """Return the local state. The contribution is unpacked in the first step, as that needs a query."""
        return DelayedGradientLocal(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[DelayedGradientState, DelayedGradientQuery]:
        """Return the first state and query: the start of the fit."""
        x = delayed_evaluation.start(info)
        return DelayedGradientState(info, x), self._query(info, x, np.zeros(0), 0.0)

    def _query(self, info: DataInfo, x: Floats, mean: Floats, steepness: float) -> DelayedGradientQuery:
        """Return the query at ``x``, with the sums that repeated local steps need."""
        if self.repeats == 1:
            return DelayedGradientQuery(
                x, delayed_evaluation.coordinates(info), np.zeros(0), 0.0, info.n_rows, np.zeros(0), np.zeros(0)
            )
        return DelayedGradientQuery(
            x,
            delayed_evaluation.coordinates(info),
            mean,
            steepness,
            info.n_rows,
            info.penalty.factor,
            info.penalty.weight,
        )

    def local_step(
        self, problem: Problem, shard: Shard, local: DelayedGradientLocal, query: DelayedGradientQuery
    ) -> Step:
        """Evaluate the gradient at the query, then at the end of each repeated local step."""
        local, work = _with_curvature_bound(problem, shard, local, query)
        local, cost = _evaluate_at(problem, shard, local, query.frame, query.x)
        work += cost
        for _ in range(self.repeats - 1 if query.mean.size else 0):
            x = _local_prox_step(problem, local, query, shard.n_rows)
            local, cost = _evaluate_at(problem, shard, local, query.frame, x)
            work += cost
        payload = _payload(local)
        return Step(local._replace(contribution=payload), payload, work, "gradient")

    def global_step(
        self, problem: Problem, state: DelayedGradientState, board: Board
    ) -> tuple[DelayedGradientState, DelayedGradientQuery]:
        """Return the state and query with the new iterate: the prox of the weighted mean of all shards."""
        info, total = state.info, board.total()
        passes = float(total[-1]) / info.n_rows
        at, rest = delayed_evaluation.unflat(info, total)
        pull, steepness, squares = rest[: state.x.size], float(rest[-3]), float(rest[-2])
        if not (np.all(np.isfinite(total)) and steepness > 0.0):
            return replace(state, passes=passes, status="diverged"), self._query(info, state.x, pull, steepness)
        v = (pull - at.gradient) / steepness
        x = np.concatenate([info.penalty.prox(v[: info.size], 1.0 / steepness), v[info.size :]])
        excess = 0.5 * (steepness * float(x @ x) - 2.0 * float(x @ pull) + squares)
        candidate = delayed_evaluation.candidate(problem, info, at, x, max(excess, 0.0))
        state = replace(state, x=x, candidate=candidate, passes=passes)
        return state, self._query(info, x, (pull - at.gradient) * info.n_rows, steepness * info.n_rows)


def _payload(local: DelayedGradientLocal) -> Floats:
    """Return the contribution: the evaluation, ``L x``, ``L``, ``L x.x``, rows visited. ``L`` is a sum over rows."""
    last = local.last
    assert last is not None
    steepness = local.bound * last.rows
    tail = [steepness, steepness * float(last.x @ last.x), local.visited]
    return np.concatenate([last.flat(), steepness * last.x, tail])


def _with_curvature_bound(
    problem: Problem, shard: Shard, local: DelayedGradientLocal, query: DelayedGradientQuery
) -> tuple[DelayedGradientLocal, float]:
    """Return the local state with a bound of the curvature, from the contribution or computed; and the work."""
    if local.last is not None:
        return local, 0.0
    if local.contribution is not None:
        return _restored_local(local, query.frame, shard.n_rows), 0.0
    bound, work = curvature.largest_curvature(problem, shard, local.workspace, query.frame, query.x)
    return local._replace(bound=bound, visited=min(work, 1.0) * shard.n_rows), work


def _restored_local(local: DelayedGradientLocal, frame: InternalCoordinates, rows: float) -> DelayedGradientLocal:
    """Return the local state that a contribution was made from."""
    payload = local.contribution
    assert payload is not None
    size = frame.size + frame.n_outputs
    steepness = float(payload[-3])
    x = payload[-3 - size : -3] / steepness
    slopes = delayed_evaluation.N_SCALARS + size
    last = ShardEvaluation(
        x,
        float(payload[0]),
        payload[delayed_evaluation.N_SCALARS : slopes],
        payload[slopes : -3 - size],
        float(payload[3]),
        rows,
    )
    return local._replace(last=last, bound=steepness / rows, visited=float(payload[-1]))


def _evaluate_at(
    problem: Problem, shard: Shard, local: DelayedGradientLocal, frame: InternalCoordinates, x: Floats
) -> tuple[DelayedGradientLocal, float]:
    """Evaluate ``x``. Return the local state, with the bound raised to the observed curvature, and the work.

    If the curvature of the loss is unbounded, the loss at ``x`` may be not finite or far above the quadratic bound. The
    move is halved then. This is valid: a contribution may come from any point.
    """
    last, visited = local.last, local.visited
    for trial in range(1, MAX_HALVINGS + 1):
        new = delayed_evaluation.evaluate_shard(problem, shard, local.workspace, frame, frame.point(x), x)
        visited += new.rows
        if last is None:
            return local._replace(last=new, visited=visited), float(trial)
        needed = _observed_curvature(last, new, shard.source.dtype.itemsize)
        if needed <= (1.0 + 1e-9) * local.bound or (new.finite and needed <= 4.0 * local.bound):
            bound = max(local.bound, CURVATURE_MARGIN * needed if needed > local.bound else 0.0)
            return local._replace(last=new, bound=bound, visited=visited), float(trial)
        if math.isfinite(problem.loss.smoothness) and new.finite:
            return local._replace(last=new, bound=CURVATURE_MARGIN * needed, visited=visited), float(trial)
        x = 0.5 * (x + last.x)
    return local._replace(bound=2.0 * local.bound, visited=visited), float(MAX_HALVINGS)


def _observed_curvature(last: ShardEvaluation, new: ShardEvaluation, bytes_each: int) -> float:
    """Return the curvature (per row) between two evaluations; ``inf`` if the new one is not finite."""
    if not new.finite:
        return math.inf
    d = new.x - last.x
    squared = float(d @ d) * new.rows
    if squared == 0.0:
        return 0.0
    above = new.loss - last.loss - float(last.gradient @ d)
    secant = float((new.gradient - last.gradient) @ d)
    if abs(above) < RELATIVE_ROUNDING[bytes_each] * abs(last.loss) or secant <= 0.0:
        return 0.0
    return max(2.0 * above, secant) / squared


def _local_prox_step(problem: Problem, local: DelayedGradientLocal, query: DelayedGradientQuery, rows: float) -> Floats:
    """Return the next iterate, from the shard's new contribution and those of the others as the query has them.

    The mean in the query contains this shard's old contribution. The new one replaces it (algorithm 1, line 7).
    """
    assert local.last is not None
    old = np.zeros(query.x.size) if local.contribution is None else _pull_of(local.contribution, query.x.size)
    before = 0.0 if local.contribution is None else float(local.contribution[-3])
    new = local.bound * rows
    pull = query.mean - old + new * local.last.x - local.last.gradient
    steepness = query.steepness - before + new
    v, k = pull / steepness, query.frame.size
    penalty = problem.penalty_with(query.factor, query.weight)
    return np.concatenate([penalty.prox(v[:k], query.n_rows / steepness), v[k:]])


def _pull_of(payload: Floats, size: int) -> Floats:
    """Return ``L x - gradient`` from a contribution."""
    pull: Floats = payload[-3 - size : -3] - payload[delayed_evaluation.N_SCALARS : delayed_evaluation.N_SCALARS + size]
    return pull
