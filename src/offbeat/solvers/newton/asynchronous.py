"""Newton's method without a barrier: every shard has a quadratic model of its loss, and the hub minimises their sum.

Source: Rodomanov & Kropotov 2016, A Superlinearly-Convergent Proximal Newton-Type Method for the Optimization of
Finite Sums (NIM; ICML, eq. 3-5).

The model of shard ``i`` is expanded at the last point ``z_i`` that it evaluated. Its contribution is
``(H_i, H_i z_i - g_i)`` and the constant term. The iterate minimises the sum of the models plus the penalty.

Far from the optimum each shard has its own safeguard. It moves ``z_i`` towards the query only as far as its model
predicts its loss well enough. If every loss exceeds its model by at most `MAX_MODEL_ERROR` of the quadratic term, the
objective decreases. A shard whose Hessian has changed little keeps it, and evaluates the gradient only.
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

MAX_MODEL_ERROR = 0.5  # loss minus model, over the model's quadratic term, of an accepted move
PROMISE_SHARE = 0.25  # additional error, over the decrease that the sum predicts; for shards with a flat model
BACKTRACKING_FACTOR = 0.3  # of a move
MAX_BACKTRACKING_STEPS = 12
LARGE_MODEL_ERROR = 0.1  # error of a model over its quadratic term, for losses whose curvature jumps
MAX_LARGE_ERRORS = 4  # moves with a large error, before an upper bound of the curvature replaces the Hessian
MAX_REUSE_ERROR = 0.03  # predicted error of a model, over its quadratic term; below, its Hessian is kept
RELATIVE_ROUNDING = 1e-12  # of the loss
N_TAIL_SCALARS = 6  # at the end of a contribution
UNKNOWN_ERROR = 1e300  # stands for infinity in a contribution


class AsynchronousNewtonQuery(NamedTuple):
    """The point to move to; ``promise`` is the decrease of the mean objective that the models predict there."""

    x: Floats
    frame: InternalCoordinates
    promise: float


class ShardModel(NamedTuple):
    """Quadratic model of a shard: its last evaluation ``look``, and the Hessian, which was evaluated at ``anchor``."""

    look: ShardEvaluation
    hessian: Floats
    anchor: Floats

    def quadratic_term(self, x: Floats) -> float:
        """Return the quadratic term of the model at ``x``."""
        d = x - self.look.x
        return 0.5 * float(d @ self.hessian @ d)

    def value(self, x: Floats) -> float:
        """Return what the model predicts at ``x``."""
        return self.look.loss + float(self.look.gradient @ (x - self.look.x)) + self.quadratic_term(x)


class AsynchronousNewtonLocal(NamedTuple):
    """Local state of a shard.

    ``missed`` and ``bent`` are the error of the model on the last move, and its quadratic term. ``error`` is the rate
    ``missed / bent**1.5`` (the error is of third order). ``doubts`` counts moves with a large error, ``visited`` rows.
    """

    workspace: Workspace
    contribution: Floats | None = None
    model: ShardModel | None = None
    error: float = math.inf
    missed: float = 0.0
    bent: float = 0.0
    doubts: int = 0
    visited: float = 0.0


@dataclass(frozen=True)
class AsynchronousNewtonState(State):
    """State of the hub: the iterate, and the first-order change of the objective in the last step."""

    info: DataInfo
    x: Floats
    change: float = 0.0


def init_global(info: DataInfo) -> tuple[AsynchronousNewtonState, AsynchronousNewtonQuery]:
    """Return the first state and query: the start of the fit."""
    x = delayed_evaluation.start(info)
    return AsynchronousNewtonState(info, x), AsynchronousNewtonQuery(x, delayed_evaluation.coordinates(info), 0.0)


def local_step(problem: Problem, shard: Shard, local: AsynchronousNewtonLocal, query: AsynchronousNewtonQuery) -> Step:
    """Move the expansion point of the shard's model towards the query. Return the step with the new model."""
    if local.model is None and local.contribution is not None:
        local = _restored_local(local, query.frame, shard.n_rows)
    if local.model is None:
        seen, work = _evaluate(problem, shard, local, query.frame, query.x, hessian=True)
        assert seen.hessian is not None
        local = local._replace(model=ShardModel(seen, seen.hessian, seen.x), visited=local.visited + seen.rows)
        kind = "gradient + Hessian"
    else:
        local, work, kind = _move(problem, shard, local, query)
    payload = _payload(local)
    return Step(local._replace(contribution=payload), payload, work, kind)


def _evaluate(
    problem: Problem,
    shard: Shard,
    local: AsynchronousNewtonLocal,
    frame: InternalCoordinates,
    x: Floats,
    *,
    hessian: bool,
) -> tuple[ShardEvaluation, float]:
    """Return the evaluation of the shard at ``x``, and its work in gradient passes."""
    point = frame.point(x, hessian=hessian)
    return delayed_evaluation.evaluate_shard(problem, shard, local.workspace, frame, point, x), work_of(point)


def _move(
    problem: Problem, shard: Shard, local: AsynchronousNewtonLocal, query: AsynchronousNewtonQuery
) -> tuple[AsynchronousNewtonLocal, float, str]:
    """Backtrack from the query to a point where the model is accurate. Return the local state, the work, a label."""
    local, work = _with_upper_bound(problem, shard, local, query.frame)
    model, x, visited = local.model, query.x, local.visited
    assert model is not None
    allowance = PROMISE_SHARE * query.promise * shard.n_rows + RELATIVE_ROUNDING * abs(model.look.loss)
    for _ in range(MAX_BACKTRACKING_STEPS):
        hessian = _outdated(local, x)
        seen, cost = _evaluate(problem, shard, local, query.frame, x, hessian=hessian)
        work, visited = work + cost, visited + seen.rows
        quadratic, predicted = model.quadratic_term(x), model.value(x)
        if seen.finite and seen.loss <= predicted + MAX_MODEL_ERROR * quadratic + allowance:
            missed = abs(seen.loss - predicted)
            error = _error_rate(local.error, missed, quadratic, model.look.loss)
            new = ShardModel(seen, model.hessian, model.anchor)
            if seen.hessian is not None:
                new = ShardModel(seen, seen.hessian, x)
            what = "gradient + Hessian" if hessian else "gradient"
            doubts = local.doubts + (
                local.doubts < MAX_LARGE_ERRORS
                and missed > LARGE_MODEL_ERROR * quadratic
                and curvature_jumps(problem.loss)
            )
            local = AsynchronousNewtonLocal(
                local.workspace, local.contribution, new, error, missed, quadratic, doubts, visited
            )
            return local, work, what
        x = model.look.x + BACKTRACKING_FACTOR * (x - model.look.x)
    # Where the second derivative jumps, a model may have too little curvature for any step, however short.
    doubts = max(local.doubts, MAX_LARGE_ERRORS) if curvature_jumps(problem.loss) else local.doubts
    return local._replace(visited=visited, doubts=doubts), work, "stayed"


def _with_upper_bound(
    problem: Problem, shard: Shard, local: AsynchronousNewtonLocal, frame: InternalCoordinates
) -> tuple[AsynchronousNewtonLocal, float]:
    """After `MAX_LARGE_ERRORS` large errors, replace the Hessian by an upper bound. Return the work too.

    If the second derivative of the loss jumps (Huber, squared hinge), the relative error of a model does not vanish for
    short moves, and the iterate may cycle. With upper bounds the objective decreases (Mairal 2015, MISO).
    """
    model = local.model
    assert model is not None
    if local.doubts != MAX_LARGE_ERRORS:
        return local, 0.0
    matrix, work = curvature.gram_matrix(shard, local.workspace, frame)
    model = ShardModel(model.look, problem.loss.smoothness * matrix, model.look.x)
    return local._replace(model=model, doubts=MAX_LARGE_ERRORS + 1, visited=local.visited + shard.n_rows), work


def _outdated(local: AsynchronousNewtonLocal, x: Floats) -> bool:
    """Whether the Hessian is predicted to change too much between its anchor and ``x``."""
    assert local.model is not None
    if local.doubts > MAX_LARGE_ERRORS:
        return False
    d = x - local.model.anchor
    if math.isinf(local.error):
        return bool(np.any(d))
    return local.error * math.sqrt(max(0.5 * float(d @ local.model.hessian @ d), 0.0)) > MAX_REUSE_ERROR


def _error_rate(before: float, missed: float, quadratic: float, loss: float) -> float:
    """Return the error rate of the model, updated with the last move unless rounding dominates it."""
    if quadratic <= 1e3 * RELATIVE_ROUNDING * abs(loss) or quadratic <= 0.0:
        return before
    rate = missed / quadratic**1.5
    return float(rate if math.isinf(before) else max(rate, 0.5 * before))


def _payload(local: AsynchronousNewtonLocal) -> Floats:
    """Return the contribution: evaluation, ``x``, ``H x``, ``H``, ``x.Hx``, errors and counts."""
    model = local.model
    assert model is not None
    x = model.look.x
    turned = model.hessian @ x
    tail = [float(x @ turned), local.missed, local.bent, min(local.error, UNKNOWN_ERROR), local.doubts, local.visited]
    return np.concatenate([model.look.flat(), x, turned, symmetric.packed(model.hessian), tail])


def _restored_local(local: AsynchronousNewtonLocal, frame: InternalCoordinates, rows: float) -> AsynchronousNewtonLocal:
    """Return the local state that a contribution was made from. The anchor of its Hessian is taken to be ``x``."""
    payload = local.contribution
    assert payload is not None
    m = frame.size + 1
    triangle = m * (m + 1) // 2
    head, rest = payload[: -N_TAIL_SCALARS - triangle - 2 * m], payload[-N_TAIL_SCALARS - triangle - 2 * m :]
    x = rest[:m]
    hessian = symmetric.unpacked(rest[2 * m : -N_TAIL_SCALARS], m)
    missed, quadratic, error, doubts, visited = (float(value) for value in payload[-5:])
    gradient, repair = (
        head[delayed_evaluation.N_SCALARS : delayed_evaluation.N_SCALARS + m],
        head[delayed_evaluation.N_SCALARS + m :],
    )
    seen = ShardEvaluation(x, float(head[0]), gradient, repair, float(head[3]), rows)
    error = math.inf if error >= UNKNOWN_ERROR else error
    return AsynchronousNewtonLocal(
        local.workspace, payload, ShardModel(seen, hessian, x), error, missed, quadratic, round(doubts), visited
    )


def global_step(
    problem: Problem, state: AsynchronousNewtonState, board: Board
) -> tuple[AsynchronousNewtonState, AsynchronousNewtonQuery]:
    """Return the state and query at the minimum of the summed models plus the penalty."""
    info, total = state.info, board.total()
    state = replace(state, passes=float(total[-1]) / info.n_rows, note="")
    if not np.all(np.isfinite(total)):
        return replace(state, status="diverged"), AsynchronousNewtonQuery(
            state.x, delayed_evaluation.coordinates(info), 0.0
        )
    at, rest = delayed_evaluation.unflat(info, total)
    m = state.x.size
    model = _SummedModel(
        symmetric.unpacked(rest[2 * m : -N_TAIL_SCALARS], m), rest[m : 2 * m], *map(float, rest[-6:-3])
    )
    if not info.reference.fit_intercept:
        model.hessian[-1, -1] = 1.0
    gradient = model.gradient(at, state.x)
    d, change = newton_step(info.penalty, model.hessian, gradient, state.x, _accuracy(info, state.change))
    x = state.x + d
    candidate = _candidate(problem, info, at, model, x)
    state = replace(
        state, x=x, change=change, candidate=candidate, status=_separable_status(problem, info, at, candidate)
    )
    return state, AsynchronousNewtonQuery(x, delayed_evaluation.coordinates(info), max(-0.5 * change, 0.0))


class _SummedModel(NamedTuple):
    """Means of the shards' models: ``H``, ``H x`` and ``x.Hx`` at their points, errors and quadratic terms of moves."""

    hessian: Floats
    turned: Floats
    curved: float
    missed: float
    bent: float

    def gradient(self, at: DelayedEvaluation, x: Floats) -> Floats:
        """Return the gradient of the summed models at ``x``."""
        predicted: Floats = self.hessian @ x - self.turned + at.gradient
        return predicted

    def distance(self, x: Floats) -> float:
        """Return the sum of the quadratic terms at ``x``."""
        return max(0.5 * (float(x @ self.hessian @ x) - 2.0 * float(x @ self.turned) + self.curved), 0.0)


def _candidate(problem: Problem, info: DataInfo, at: DelayedEvaluation, model: _SummedModel, x: Floats) -> Candidate:
    """Return ``x`` as a candidate, with the smaller of two estimates of its gap.

    The first is a bound from the gradients before the step. The second uses the gradient that the models predict, with
    an error in proportion to the errors observed on the last moves.
    """
    distance = model.distance(x)
    bound = delayed_evaluation.candidate(problem, info, at, x, 1.5 * distance)
    if not model.bent > 0.0:
        return bound
    ratio = 3.0 * model.missed / model.bent
    wrong = max(ratio * min(math.sqrt(distance / model.bent), 1.0), 3.0 * MAX_REUSE_ERROR)
    gradient = model.gradient(at, x) + wrong * (model.hessian @ x - model.turned)
    if not info.reference.fit_intercept:
        gradient[-1] = 0.0
    loss = float(x @ at.gradient) - at.conjugate + distance
    along = float(x[:-1] @ at.repair) + float(x[-1]) * at.h if at.repair.size else 0.0
    guess = at._replace(gradient=gradient, conjugate=float(x @ gradient) - loss, along=along)
    estimate = 2.0 * delayed_evaluation.candidate(problem, info, guess, x, 0.0).estimate
    return bound._replace(estimate=min(bound.estimate, estimate))


def _accuracy(info: DataInfo, before: float) -> float:
    """Return the accuracy of the coordinate descent for `newton_step`."""
    tolerance = info.reference.tolerance
    wanted = 0.0 if math.isnan(tolerance) else tolerance * info.reference.objective
    progress = 1e-3 * math.sqrt(abs(before)) if before else 1e-4
    return max(min(progress, 1e-4 * wanted) if wanted > 0.0 else progress, 1e-15)


def _separable_status(problem: Problem, info: DataInfo, at: DelayedEvaluation, candidate: Candidate) -> str | None:
    """Return "separable" if the loss vanishes and no penalty bounds the coefficients, else None."""
    endless = problem.loss.classifier and not math.isfinite(candidate.dual)
    return "separable" if endless and not info.penalty.has_dual and at.loss < 1e-4 * info.reference.objective else None


def new_local(contribution: Floats | None) -> AsynchronousNewtonLocal:
    """Return a local state. A contribution is unpacked in the first step, as that needs a query."""
    return AsynchronousNewtonLocal(Workspace(), contribution)
