"""Newton's method without rounds: every shard owns a quadratic model of its loss, and the sum of them is minimised.

Source: Rodomanov & Kropotov 2016, A Superlinearly-Convergent Proximal Newton-Type Method for the Optimization of
Finite Sums (NIM; ICML, eq. 3-5). The model of shard ``i`` is expanded at the last point ``z_i`` that it looked at; its
contribution is ``(H_i, H_i z_i - g_i)`` and the constant term; the iterate minimises the sum plus the penalty.

What makes it safe far from the optimum is local, so that it needs no rounds either: a shard moves ``z_i`` towards the
query only as far as its own model foretold its loss well enough, and reports from there. If all models overestimate the
decrease by at most a share `TRUST` of the quadratic term, the sum decreases. A shard whose Hessian has hardly changed
along its moves keeps it, and pays for a gradient only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.losses.questions import curvature_jumps
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import work as work_of
from offbeat.sideways.protocol import Candidate, DataInfo, State, Step
from offbeat.solvers._common import curvature, delayed_evaluation
from offbeat.solvers._common.delayed_evaluation import DelayedEvaluation, InternalCoordinates, ShardEvaluation
from offbeat.solvers.newton import symmetric
from offbeat.solvers.newton.subproblem import newton_step

TRUST = 0.5  # of the quadratic term of its model, by which a shard's loss may be above the model
SHARE = 0.25  # of the decrease that the sum promises, likewise, for shards whose own model is flat
SHORTER = 0.3  # times the move, after one that went too far
TRIALS = 12
WRONG = 0.1  # error of a model over its quadratic term, where the curvature of the loss jumps
DOUBTS = 4  # such errors, after which the largest curvature takes the place of the Hessian
REUSE = 0.03  # predicted error of a model, over its quadratic term, below which its Hessian is kept
NOISE = 1e-12  # of the loss: rounding
TAIL = 6  # numbers at the end of a contribution
UNKNOWN = 1e300


class Query(NamedTuple):
    """The point to look at; ``promise`` is the decrease of the mean objective that the models foretell there."""

    x: Floats
    frame: InternalCoordinates
    promise: float


class Model(NamedTuple):
    """A shard's model: its last look, and the Hessian with the point that it is of."""

    look: ShardEvaluation
    hessian: Floats
    anchor: Floats

    def bent(self, x: Floats) -> float:
        """Return the quadratic term of the move to ``x``."""
        d = x - self.look.x
        return 0.5 * float(d @ self.hessian @ d)

    def value(self, x: Floats) -> float:
        """Return what the model foretells at ``x``."""
        return self.look.loss + float(self.look.gradient @ (x - self.look.x)) + self.bent(x)


class Local(NamedTuple):
    """What a shard remembers.

    ``error`` is how fast the model goes wrong: error over quadratic term, over the root of the quadratic term (the
    error is of third order). ``missed`` and ``bent`` are error and quadratic term of the last move; ``doubts`` counts
    moves on which the model was far off; ``visited`` counts rows.
    """

    workspace: Workspace
    contribution: Floats | None = None
    model: Model | None = None
    error: float = math.inf
    missed: float = 0.0
    bent: float = 0.0
    doubts: int = 0
    visited: float = 0.0


@dataclass(frozen=True)
class KeyedState(State):
    """Where the method stands: the last query, and how far it was from the one before."""

    info: DataInfo
    x: Floats
    change: float = 0.0


def init_global(info: DataInfo) -> tuple[KeyedState, Query]:
    """Return the first state and query."""
    x = delayed_evaluation.start(info)
    return KeyedState(info, x), Query(x, delayed_evaluation.coordinates(info), 0.0)


def local_step(problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
    """Move the shard's model towards the query; say what it is there."""
    if local.model is None and local.contribution is not None:
        local = _rebuilt(local, query.frame, shard.n_rows)
    if local.model is None:
        seen, work = _look(problem, shard, local, query.frame, query.x, hessian=True)
        assert seen.hessian is not None
        local = local._replace(model=Model(seen, seen.hessian, seen.x), visited=local.visited + seen.rows)
        kind = "gradient + Hessian"
    else:
        local, work, kind = _moved(problem, shard, local, query)
    payload = _payload(local)
    return Step(local._replace(contribution=payload), payload, work, kind)


def _look(
    problem: Problem, shard: Shard, local: Local, frame: InternalCoordinates, x: Floats, *, hessian: bool
) -> tuple[ShardEvaluation, float]:
    point = frame.point(x, hessian=hessian)
    return delayed_evaluation.evaluate_shard(problem, shard, local.workspace, frame, point, x), work_of(point)


def _moved(problem: Problem, shard: Shard, local: Local, query: Query) -> tuple[Local, float, str]:
    """Return the local state after the move, what it cost, and what was done."""
    local, work = _majorized(problem, shard, local, query.frame)
    model, x, visited = local.model, query.x, local.visited
    assert model is not None
    allowance = SHARE * query.promise * shard.n_rows + NOISE * abs(model.look.loss)
    for _ in range(TRIALS):
        hessian = _outdated(local, x)
        seen, cost = _look(problem, shard, local, query.frame, x, hessian=hessian)
        work, visited = work + cost, visited + seen.rows
        bent, foretold = model.bent(x), model.value(x)
        if seen.finite and seen.loss <= foretold + TRUST * bent + allowance:
            missed = abs(seen.loss - foretold)
            error = _error(local.error, missed, bent, model.look.loss)
            new = Model(seen, model.hessian, model.anchor)
            if seen.hessian is not None:
                new = Model(seen, seen.hessian, x)
            what = "gradient + Hessian" if hessian else "gradient"
            doubts = local.doubts + (local.doubts < DOUBTS and missed > WRONG * bent and curvature_jumps(problem.loss))
            local = Local(local.workspace, local.contribution, new, error, missed, bent, doubts, visited)
            return local, work, what
        x = model.look.x + SHORTER * (x - model.look.x)
    return local._replace(visited=visited), work, "stayed"


def _majorized(problem: Problem, shard: Shard, local: Local, frame: InternalCoordinates) -> tuple[Local, float]:
    """Return a local state whose curvature is the largest that the loss can have, once there is doubt in the Hessian.

    Where the second derivative of the loss jumps (Huber, squared hinge), models stay wrong by a share of their
    quadratic terms however short the moves, and the iterate may go to and fro. Above all of the loss, they only go down
    (Mairal 2015, MISO).
    """
    model = local.model
    assert model is not None
    if local.doubts != DOUBTS:
        return local, 0.0
    matrix, work = curvature.gram_matrix(shard, local.workspace, frame)
    model = Model(model.look, problem.loss.smoothness * matrix, model.look.x)
    return local._replace(model=model, doubts=DOUBTS + 1, visited=local.visited + shard.n_rows), work


def _outdated(local: Local, x: Floats) -> bool:
    """Whether the Hessian has changed too much between the point that it is of and ``x``."""
    assert local.model is not None
    if local.doubts > DOUBTS:
        return False
    d = x - local.model.anchor
    if math.isinf(local.error):
        return bool(np.any(d))
    return local.error * math.sqrt(max(0.5 * float(d @ local.model.hessian @ d), 0.0)) > REUSE


def _error(before: float, missed: float, bent: float, loss: float) -> float:
    """Return the rate at which the model goes wrong, from the newest move where rounding lets it tell."""
    if bent <= 1e3 * NOISE * abs(loss) or bent <= 0.0:
        return before
    rate = missed / bent**1.5
    return float(rate if math.isinf(before) else max(rate, 0.5 * before))


def _payload(local: Local) -> Floats:
    """Return look, ``x``, ``H x``, ``H``, ``x.Hx``; error, quadratic term, rate, doubts; rows visited."""
    model = local.model
    assert model is not None
    x = model.look.x
    turned = model.hessian @ x
    tail = [float(x @ turned), local.missed, local.bent, min(local.error, UNKNOWN), local.doubts, local.visited]
    return np.concatenate([model.look.flat(), x, turned, symmetric.packed(model.hessian), tail])


def _rebuilt(local: Local, frame: InternalCoordinates, rows: float) -> Local:
    """Return the local state that goes with a contribution; its Hessian is of the last point, as far as it tells."""
    payload = local.contribution
    assert payload is not None
    m = frame.size + 1
    triangle = m * (m + 1) // 2
    head, rest = payload[: -TAIL - triangle - 2 * m], payload[-TAIL - triangle - 2 * m :]
    x = rest[:m]
    hessian = symmetric.unpacked(rest[2 * m : -TAIL], m)
    missed, bent, error, doubts, visited = (float(value) for value in payload[-5:])
    gradient, repair = (
        head[delayed_evaluation.N_SCALARS : delayed_evaluation.N_SCALARS + m],
        head[delayed_evaluation.N_SCALARS + m :],
    )
    seen = ShardEvaluation(x, float(head[0]), gradient, repair, float(head[3]), rows)
    error = math.inf if error >= UNKNOWN else error
    return Local(local.workspace, payload, Model(seen, hessian, x), error, missed, bent, round(doubts), visited)


def global_step(problem: Problem, state: KeyedState, board: Board) -> tuple[KeyedState, Query]:
    """Minimise the sum of the models and the penalty."""
    info, total = state.info, board.total()
    state = replace(state, passes=float(total[-1]) / info.n_rows, note="")
    if not np.all(np.isfinite(total)):
        return replace(state, status="diverged"), Query(state.x, delayed_evaluation.coordinates(info), 0.0)
    at, rest = delayed_evaluation.unflat(info, total)
    m = state.x.size
    model = _Sum(symmetric.unpacked(rest[2 * m : -TAIL], m), rest[m : 2 * m], *map(float, rest[-6:-3]))
    if not info.reference.fit_intercept:
        model.hessian[-1, -1] = 1.0
    gradient = model.gradient(at, state.x)
    d, change = newton_step(info.penalty, model.hessian, gradient, state.x, _accuracy(info, state.change))
    x = state.x + d
    candidate = _candidate(problem, info, at, model, x)
    state = replace(state, x=x, change=change, candidate=candidate, status=_endless(problem, info, at, candidate))
    return state, Query(x, delayed_evaluation.coordinates(info), max(-0.5 * change, 0.0))


class _Sum(NamedTuple):
    """Means of the models of all shards: ``H``, ``H x`` and ``x.Hx`` at the points of the shards, errors of moves."""

    hessian: Floats
    turned: Floats
    curved: float
    missed: float
    bent: float

    def gradient(self, at: DelayedEvaluation, x: Floats) -> Floats:
        """Return the gradient of the sum at ``x``."""
        foretold: Floats = self.hessian @ x - self.turned + at.gradient
        return foretold

    def distance(self, x: Floats) -> float:
        """Return the quadratic term of all models at ``x``."""
        return max(0.5 * (float(x @ self.hessian @ x) - 2.0 * float(x @ self.turned) + self.curved), 0.0)


def _candidate(problem: Problem, info: DataInfo, at: DelayedEvaluation, model: _Sum, x: Floats) -> Candidate:
    """Return ``x`` with the smaller of two estimates of its gap.

    One is a bound, but with gradients from before the step. The other takes the gradient that the models foretell,
    less exact by the error that models of this age were seen to have.
    """
    distance = model.distance(x)
    bound = delayed_evaluation.candidate(problem, info, at, x, 1.5 * distance)
    if not model.bent > 0.0:
        return bound
    ratio = 3.0 * model.missed / model.bent
    wrong = max(ratio * min(math.sqrt(distance / model.bent), 1.0), 3.0 * REUSE)
    gradient = model.gradient(at, x) + wrong * (model.hessian @ x - model.turned)
    if not info.reference.fit_intercept:
        gradient[-1] = 0.0
    loss = float(x @ at.gradient) - at.conjugate + distance
    along = float(x[:-1] @ at.repair) + float(x[-1]) * at.h if at.repair.size else 0.0
    guess = at._replace(gradient=gradient, conjugate=float(x @ gradient) - loss, along=along)
    estimate = 2.0 * delayed_evaluation.candidate(problem, info, guess, x, 0.0).estimate
    return bound._replace(estimate=min(bound.estimate, estimate))


def _accuracy(info: DataInfo, before: float) -> float:
    """Return how far coordinate descent may leave coordinates, in roots of the objective."""
    tolerance = info.reference.tolerance
    wanted = 0.0 if math.isnan(tolerance) else tolerance * info.reference.objective
    progress = 1e-3 * math.sqrt(abs(before)) if before else 1e-4
    return max(min(progress, 1e-4 * wanted) if wanted > 0.0 else progress, 1e-15)


def _endless(problem: Problem, info: DataInfo, at: DelayedEvaluation, candidate: Candidate) -> str | None:
    """Return "separable" where the loss vanishes and nothing penalises growth."""
    endless = problem.loss.classifier and not math.isfinite(candidate.dual)
    return "separable" if endless and not info.penalty.has_dual and at.loss < 1e-4 * info.reference.objective else None


def new_local(contribution: Floats | None) -> Local:
    """Return a local state; what the contribution says is unpacked with the first query."""
    return Local(Workspace(), contribution)


__all__ = ["KeyedState", "Local", "Query", "global_step", "init_global", "local_step", "new_local"]
