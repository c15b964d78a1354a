"""Proximal gradient whose gradients may be of any age (DAve-RPG).

Source: Mishchenko, Iutzeler, Malick & Amini 2018, A Delay-tolerant Proximal-Gradient Algorithm for Distributed
Learning (ICML; algorithm 1, and section 3.1 for the repetitions). Worker ``i`` owns ``x_i = z_i - grad f_i(z_i) / L_i``
from the last point ``z_i`` that it saw, and the iterate is the prox of the mean of all ``x_i``. Here every shard has
its own bound ``L_i`` of the curvature, and means are weighted with it: ``v = sum(L_i z_i - grad f_i) / sum(L_i)``,
``z = prox(v)`` with the step ``1 / sum(L_i)``. Each map ``z - grad f_i(z) / L_i`` is nonexpansive, so that no delay can
make the iteration diverge, and the bound of a shard may change whenever the shard likes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Floats, Problem, Separable
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common import curvature, delayed_evaluation
from offbeat.solvers._common.delayed_evaluation import Frame, Look
from offbeat.solvers._common.needs import SMOOTH_LOSS, check_needs

MARGIN = 1.05  # over the curvature that was seen
TRIALS = 30  # halvings of a move to a point where the loss is not finite
NOISE = {8: 1e-9, 4: 3e-6}  # of the loss, by the bytes of a value: changes below are rounding


class Query(NamedTuple):
    """The point to take the gradient at; the rest is for workers that repeat.

    ``mean`` is ``sum(L_i z_i - grad f_i)`` and ``steepness`` ``sum(L_i)``, both over all rows; ``factor`` and
    ``weight`` belong to the penalty.
    """

    x: Floats
    frame: Frame
    mean: Floats
    steepness: float
    n_rows: int
    factor: Floats
    weight: Floats


class Local(NamedTuple):
    """What a shard remembers: its last look, the curvature bound (per row), rows visited so far."""

    workspace: Workspace
    contribution: Floats | None
    last: Look | None = None
    bound: float = 0.0
    visited: float = 0.0


@dataclass(frozen=True)
class DelayedState(State):
    """Where the method stands."""

    info: DataInfo
    x: Floats


@dataclass(frozen=True)
class DelayedProximalGradient:
    """Proximal gradient that needs no rounds: the newest gradient of each shard, however old, and no step size to set.

    Parameters
    ----------
    repeats : int
        Proximal gradient steps on a shard's own rows between two contributions.

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
    needs = (SMOOTH_LOSS,)

    def __post_init__(self) -> None:
        """Refuse to do nothing."""
        if self.repeats < 1:
            raise ProblemError(f"repeats of DelayedProximalGradient is {self.repeats}; give a whole number from 1")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return a local state; what the contribution says is unpacked with the first query."""
        return Local(Workspace(), contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[DelayedState, Query]:
        """Return the first query: the start."""
        x = delayed_evaluation.start(info)
        return DelayedState(info, x), self._query(info, x, np.zeros(0), 0.0)

    def _query(self, info: DataInfo, x: Floats, mean: Floats, steepness: float) -> Query:
        if self.repeats == 1:
            return Query(x, delayed_evaluation.frame(info), np.zeros(0), 0.0, info.n_rows, np.zeros(0), np.zeros(0))
        return Query(
            x, delayed_evaluation.frame(info), mean, steepness, info.n_rows, info.penalty.factor, info.penalty.weight
        )

    def local_step(self, problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
        """Take the gradient at the query, and at what follows from it on these rows, as often as asked."""
        local, work = _prepared(problem, shard, local, query)
        local, cost = _moved(problem, shard, local, query.frame, query.x)
        work += cost
        for _ in range(self.repeats - 1 if query.mean.size else 0):
            x = _own_step(problem, local, query, shard.n_rows)
            local, cost = _moved(problem, shard, local, query.frame, x)
            work += cost
        payload = _payload(local)
        return Step(local._replace(contribution=payload), payload, work, "gradient")

    def global_step(self, problem: Problem, state: DelayedState, board: Board) -> tuple[DelayedState, Query]:
        """Take the proximal step from the weighted mean of all shards."""
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


def _payload(local: Local) -> Floats:
    """Return look, ``L x``, ``L``, ``L x.x`` and the rows visited; ``L`` for all rows of the shard together."""
    last = local.last
    assert last is not None
    steepness = local.bound * last.rows
    tail = [steepness, steepness * float(last.x @ last.x), local.visited]
    return np.concatenate([last.flat(), steepness * last.x, tail])


def _prepared(problem: Problem, shard: Shard, local: Local, query: Query) -> tuple[Local, float]:
    """Return a local state with a bound of the curvature: the one in the contribution, or a new one."""
    if local.last is not None:
        return local, 0.0
    if local.contribution is not None:
        return _rebuilt(local, query.frame, shard.n_rows), 0.0
    bound, work = curvature.largest(problem, shard, local.workspace, query.frame, query.x)
    return local._replace(bound=bound, visited=min(work, 1.0) * shard.n_rows), work


def _rebuilt(local: Local, frame: Frame, rows: float) -> Local:
    """Return the local state that goes with a contribution."""
    payload = local.contribution
    assert payload is not None
    size = frame.size + frame.n_outputs
    steepness = float(payload[-3])
    x = payload[-3 - size : -3] / steepness
    slopes = delayed_evaluation.HEAD + size
    last = Look(
        x,
        float(payload[0]),
        payload[delayed_evaluation.HEAD : slopes],
        payload[slopes : -3 - size],
        float(payload[3]),
        rows,
    )
    return local._replace(last=last, bound=steepness / rows, visited=float(payload[-1]))


def _moved(problem: Problem, shard: Shard, local: Local, frame: Frame, x: Floats) -> tuple[Local, float]:
    """Return the local state after a look at ``x``, with the bound raised to what the move showed.

    Where a loss without bound is not finite, or has risen much more than its curvature foretold, the look is taken on
    the way there: a contribution may be from any point.
    """
    last, visited = local.last, local.visited
    for trial in range(1, TRIALS + 1):
        new = delayed_evaluation.look(problem, shard, local.workspace, frame, frame.point(x), x)
        visited += new.rows
        if last is None:
            return local._replace(last=new, visited=visited), float(trial)
        needed = _needed(last, new, shard.source.dtype.itemsize)
        if needed <= (1.0 + 1e-9) * local.bound or (new.finite and needed <= 4.0 * local.bound):
            bound = max(local.bound, MARGIN * needed if needed > local.bound else 0.0)
            return local._replace(last=new, bound=bound, visited=visited), float(trial)
        if math.isfinite(problem.loss.smoothness) and new.finite:
            return local._replace(last=new, bound=MARGIN * needed, visited=visited), float(trial)
        x = 0.5 * (x + last.x)
    return local._replace(bound=2.0 * local.bound, visited=visited), float(TRIALS)


def _needed(last: Look, new: Look, bytes_each: int) -> float:
    """Return the curvature (per row) that the move from one look to the next showed; ``inf`` when not finite."""
    if not new.finite:
        return math.inf
    d = new.x - last.x
    squared = float(d @ d) * new.rows
    if squared == 0.0:
        return 0.0
    above = new.loss - last.loss - float(last.gradient @ d)
    secant = float((new.gradient - last.gradient) @ d)
    if abs(above) < NOISE[bytes_each] * abs(last.loss) or secant <= 0.0:
        return 0.0
    return max(2.0 * above, secant) / squared


def _own_step(problem: Problem, local: Local, query: Query, rows: float) -> Floats:
    """Return the iterate that the shard's newest contribution leads to, the others being as the query knew them.

    The query's mean holds this shard's contribution before: it is exchanged for the new one (algorithm 1, line 7).
    """
    assert local.last is not None
    old = np.zeros(query.x.size) if local.contribution is None else _pull(local.contribution, query.x.size)
    before = 0.0 if local.contribution is None else float(local.contribution[-3])
    new = local.bound * rows
    pull = query.mean - old + new * local.last.x - local.last.gradient
    steepness = query.steepness - before + new
    v, k = pull / steepness, query.frame.size
    penalty = Separable(problem.penalty._replace(weights=None), query.factor, query.weight)
    return np.concatenate([penalty.prox(v[:k], query.n_rows / steepness), v[k:]])


def _pull(payload: Floats, size: int) -> Floats:
    """Return ``L x - gradient`` of a contribution."""
    pull: Floats = payload[-3 - size : -3] - payload[delayed_evaluation.HEAD : delayed_evaluation.HEAD + size]
    return pull
