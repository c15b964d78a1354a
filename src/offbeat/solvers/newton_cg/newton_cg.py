"""Truncated Newton: conjugate gradients with Hessian-vector products, one a round, and a line search.

Sources: Dembo & Steihaug 1983 (Math. Program. 26:190, truncated Newton); Eisenstat & Walker 1996 (SIAM J. Sci. Comput.
17:16, the forcing term, which sets the accuracy of conjugate gradients).

For weak ridges the fit uses continuation: see `offbeat.solvers._common.continuation`. Each round is one of: evaluate a
trial point, multiply the Hessian by a direction, compute its diagonal, compute a block of it for the preconditioner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common import continuation, hessian_products
from offbeat.solvers._common.constants import SUFFICIENT_DECREASE
from offbeat.solvers._common.hessian_products import (
    BLOCK,
    DIAGONAL,
    EVALUATE,
    NO_COLUMNS,
    PRODUCT,
    HessianLocal,
    HessianQuery,
)
from offbeat.solvers._common.needs import SMOOTH_LOSS, SMOOTH_PENALTY, check_needs
from offbeat.solvers._common.parameters import check_count
from offbeat.solvers._common.stalling import StallCounter, classes_separated
from offbeat.solvers.newton_cg import conjugate_gradients, preconditioner
from offbeat.solvers.newton_cg.conjugate_gradients import ConjugateGradients
from offbeat.solvers.newton_cg.preconditioner import Preconditioner

# A step with less than this share of its predicted decrease is shortened, at most so often. Beyond the minimum along a
# step, predictions of rows are saturated, rightly or wrongly, and the loss has no curvature.
GOOD_DECREASE, MAX_EXTRA_TRIALS = 0.7, 2
MIN_PREDICTED_DECREASE = 1e-6  # of the objective, for a step to be shortened for that reason
MAX_LINE_SEARCH_STEPS = 30
MAX_STALLED_POINTS = 12  # points without progress, before the fit stops
RELATIVE_ROUNDING = 1e-13  # of the objective
MIN_PRODUCTS_FOR_RENEWAL = 8  # products of the last step; with fewer, the preconditioner is kept
MIN_CHANGE_FOR_RENEWAL = 0.01  # of the objective since the preconditioner was made; with less, it is kept
RESIDUAL_SHARE = 0.3  # forcing term, over the square root of the tolerance over the gap
FIRST_BLOCK_SHARE = 0.25  # size of the first preconditioner's block over the usual one


class NewtonCGPoint(NamedTuple):
    """A point with its objective and gradient (intercept last)."""

    x: Iterate
    objective: float
    gradient: Floats


@dataclass(frozen=True)
class NewtonCGState(State):
    """State of truncated Newton.

    - ``x``: the trial point; ``query``: the current query; ``spot``: the accepted point;
    - ``solver``: the preconditioner; ``inner``: conjugate gradients;
    - ``bend``: curvature of the penalty; ``unit`` converts sums in the columns' units into internal ones. Both have the
      precision of conjugate gradients, where one digit is enough;
    - ``ease``: factor of the penalty (continuation);
    - ``length``: length of the trial step, over that of the full step; ``trials``: shorter steps tried;
    - ``made``: objective when the preconditioner was made; ``diagonal``: of the Hessian of the loss;
    - ``excess``: tolerance over the gap of the accepted point; ``dual``: the largest lower bound so far.
    """

    info: DataInfo
    x: Iterate
    query: HessianQuery
    bend: Floats
    unit: Floats
    spot: NewtonCGPoint | None = None
    solver: Preconditioner | None = None
    inner: ConjugateGradients | None = None
    ease: float = 1.0
    length: float = 1.0
    trials: int = 0
    made: float = math.nan
    diagonal: Floats = field(default_factory=lambda: np.empty(0))
    last_products: int = 0
    excess: float = 0.0
    dual: float = -math.inf
    patience: StallCounter = field(default_factory=lambda: StallCounter(limit=MAX_STALLED_POINTS))


@dataclass(frozen=True)
class NewtonCG:
    """Truncated Newton with conjugate gradients, for smooth losses and smooth penalties.

    It is meant for sparse data with many columns. Each round reads the rows once, for a gradient or for a product with
    the Hessian. It stores vectors of the size of the coefficients, and a block of the Hessian as preconditioner.

    Parameters
    ----------
    accuracy : float
        Residual at which conjugate gradients stop, relative to the gradient; between 0 and 1.
    most : int
        Maximum number of products in one Newton step.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    References
    ----------
    Dembo & Steihaug 1983, Math. Program. 26:190.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_sparse_classification
    >>> X, y = make_sparse_classification(500, 200, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solver=solvers.NewtonCG()).status
    'converged'
    """

    accuracy: float = 0.1
    most: int = 500

    name = "newton-cg"
    max_staleness = 0.0
    needs = (SMOOTH_LOSS, SMOOTH_PENALTY)

    def __post_init__(self) -> None:
        """Raise `ProblemError` for parameters out of range."""
        if not 0.0 < self.accuracy < 1.0:
            raise ProblemError(f"accuracy of NewtonCG is {self.accuracy}; give a number between 0 and 1")
        check_count("NewtonCG", "most", self.most)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> HessianLocal:
        """Return scratch memory. The curvatures of rows are computed again at the next query."""
        return HessianLocal(Workspace())

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[NewtonCGState, HessianQuery]:
        """Return the first state and query: the start of the fit."""
        x = evaluation.start(info)
        query = HessianQuery(EVALUATE, evaluation.query(info, x), 0, np.empty(0), NO_COLUMNS)
        m = info.n_outputs
        unit = np.append(np.repeat(1.0 / info.scale, m), np.full(m, 1.0 if info.reference.fit_intercept else 0.0))
        curvature, kind = np.append(info.penalty.curvature(), np.zeros(m)), conjugate_gradients.precision(info)
        return NewtonCGState(info, x, query, curvature.astype(kind), unit.astype(kind)), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Return the evaluation, product, diagonal or block that the query asks for."""
        return hessian_products.local_step(problem, shard, local, query)

    def global_step(self, problem: Problem, state: NewtonCGState, board: Board) -> tuple[NewtonCGState, HessianQuery]:
        """Process the answer to the last query: a trial point, the diagonal, a block, or a product."""
        state = replace(state, passes=state.passes + 1.0, progress=None, note="")
        total, what = board.total(), state.query.what
        if what == EVALUATE:
            at, _ = evaluation.gather(state.info, board, state.query.at)
            state = _accept_or_backtrack(problem, state, at)
            if state.status is None and state.inner is None:
                state = self._begin_step(state)
        elif what == DIAGONAL:
            state = _choose_block(state, total)
            if state.info.n_outputs > 1:
                state = self._begin_conjugate_gradients(state)
        elif what == BLOCK:
            state = self._begin_conjugate_gradients(_factorise(state, total))
        else:
            assert state.inner is not None
            product = total * state.unit
            product /= state.info.n_rows
            product += (state.ease * state.bend) * state.inner.direction
            state = _query_product(replace(state, inner=conjugate_gradients.advance(state.inner, product, self.most)))
        return state, state.query

    def _begin_step(self, state: NewtonCGState) -> NewtonCGState:
        """Begin a Newton step. Renew the preconditioner first if the last step took many products."""
        accepted = state.spot
        assert accepted is not None
        recent = abs(accepted.objective - state.made) <= MIN_CHANGE_FOR_RENEWAL * abs(state.made)
        if state.solver is not None and (state.last_products < MIN_PRODUCTS_FOR_RENEWAL or recent):
            return self._begin_conjugate_gradients(state)
        query = state.query._replace(what=DIAGONAL, direction=np.empty(0), columns=NO_COLUMNS)
        return replace(state, query=query, made=accepted.objective)

    def _begin_conjugate_gradients(self, state: NewtonCGState) -> NewtonCGState:
        """Start conjugate gradients at the accepted point."""
        accepted, solver = state.spot, state.solver
        assert accepted is not None and solver is not None
        accuracy = max(self.accuracy, min(RESIDUAL_SHARE * math.sqrt(state.excess), 0.5))
        inner = conjugate_gradients.first_state(solver, accepted.gradient, accuracy, state.unit.dtype)
        return _query_product(replace(state, inner=inner))


def _accept_or_backtrack(problem: Problem, state: NewtonCGState, at: Evaluation) -> NewtonCGState:
    """Accept the trial point, or try a shorter step. ``inner`` is None after a point is accepted."""
    trial = _point_at_trial(state, at)
    if np.isnan(at.loss) or (state.spot is None and not evaluation.finite(at)):
        return replace(state, status="not finite")
    inner, accepted = state.inner, state.spot
    if inner is not None and accepted is not None:
        predicted = _predicted_change(state, inner)
        decrease = accepted.objective - trial.objective
        rounding = RELATIVE_ROUNDING * abs(accepted.objective)
        is_finite = evaluation.finite(at) and math.isfinite(trial.objective)
        if not is_finite or not (
            decrease >= SUFFICIENT_DECREASE * -predicted or (decrease >= -rounding and -predicted <= 10.0 * rounding)
        ):
            return _backtrack(state, inner, decrease if is_finite else math.nan)
        if (
            state.trials < MAX_EXTRA_TRIALS
            and decrease < GOOD_DECREASE * -predicted
            and -predicted > MIN_PREDICTED_DECREASE * abs(accepted.objective)
        ):
            return _backtrack(state, inner, decrease)
        state = replace(state, last_products=inner.products)
    progress = evaluation.progress(problem, state.info, trial.x, at)
    certificate = evaluation.improved(progress.certificate, state.dual, state.info)
    progress = replace(progress, certificate=certificate)
    patience = state.patience.after(certificate) if state.ease == 1.0 else state.patience
    status = "stalled" if patience.over or not (np.any(trial.gradient) or state.ease > 1.0) else None
    if classes_separated(problem, state.info, at, progress):
        status = "separable"
    close = 0.0 < certificate.tolerance < certificate.relative_gap
    state = replace(
        state, spot=trial, inner=None, progress=progress, patience=patience, status=status, trials=0,
        dual=certificate.dual, excess=certificate.tolerance / certificate.relative_gap if close else 0.0,
    )  # fmt: skip
    return _with_factor(state, continuation.next_factor(state.ease, inner.products)) if inner is not None else state


def _with_factor(state: NewtonCGState, ease: float) -> NewtonCGState:
    """Return the state at the same point, with another factor of the penalty."""
    more, accepted, solver = ease - state.ease, state.spot, state.solver
    assert accepted is not None
    if more == 0.0:
        return state
    penalty, x, gradient = state.info.penalty, accepted.x, accepted.gradient.copy()
    gradient[: x.u.size] += more * (penalty.curvature() * x.u)
    accepted = NewtonCGPoint(x, accepted.objective + more * penalty.value(x.u), gradient)
    if solver is not None:
        solver = replace(solver, diagonal=preconditioner.hessian_diagonal(state.diagonal, ease * state.bend))
    return replace(state, spot=accepted, ease=ease, solver=solver)


def _point_at_trial(state: NewtonCGState, at: Evaluation) -> NewtonCGPoint:
    """Return the trial point with objective and gradient, penalty included."""
    penalty = state.info.penalty
    gradient = np.append(at.gradient + state.ease * (penalty.curvature() * state.x.u), at.intercept_gradient)
    return NewtonCGPoint(state.x, at.loss + state.ease * penalty.value(state.x.u), gradient)


def _predicted_change(state: NewtonCGState, inner: ConjugateGradients) -> float:
    """Return the change of the quadratic model at the trial point."""
    t, slope = state.length, float(inner.slope @ inner.step)
    return t * slope + t * t * (inner.change - slope)


def _backtrack(state: NewtonCGState, inner: ConjugateGradients, decrease: float) -> NewtonCGState:
    """Try a shorter step: to the minimum of the parabola through the two objectives and the slope."""
    assert state.spot is not None
    t, slope = state.length, float(inner.slope @ inner.step)
    if state.trials >= MAX_LINE_SEARCH_STEPS:
        return replace(state, status="stalled", note="no shorter step is better")
    guess = 0.1
    if math.isfinite(decrease):
        curvature = (-decrease - t * slope) / (t * t)
        guess = -slope / (2.0 * curvature * t) if curvature > 0.0 else 0.5
    length = t * min(max(guess, 0.1), 0.5)
    state = replace(state, length=length, trials=state.trials + 1, note=f"step was too long: {length:.3g} of it next")
    return _query_trial(state, inner)


def _query_product(state: NewtonCGState) -> NewtonCGState:
    """Query the next product or, after conjugate gradients, the end of the step."""
    inner = state.inner
    assert inner is not None
    if inner.done:
        return _query_trial(replace(state, length=1.0), inner)
    query = state.query._replace(what=PRODUCT, direction=inner.direction * state.unit, columns=NO_COLUMNS)
    return replace(state, query=query)


def _query_trial(state: NewtonCGState, inner: ConjugateGradients) -> NewtonCGState:
    """Query the evaluation of the trial point."""
    assert state.spot is not None
    x = state.spot.x.plus(inner.step, state.length)
    number = state.query.number + 1
    query = HessianQuery(EVALUATE, evaluation.query(state.info, x), number, np.empty(0), NO_COLUMNS)
    return replace(state, x=x, query=query)


def _choose_block(state: NewtonCGState, total: Floats) -> NewtonCGState:
    """Store the diagonal, choose the first factor of the penalty, and query the preconditioner's block."""
    info, scale, m = state.info, state.info.scale, state.info.n_outputs
    diagonal = np.maximum(total[:-1] * state.unit * state.unit / info.n_rows, 0.0)
    if state.solver is None and not info.warm:
        own, penalty = diagonal[:-m].reshape(-1, m), state.bend[:-m].reshape(-1, m)
        state = _with_factor(state, continuation.first_factor(own, penalty, info.n_rows * max(m - 1, 1)))
    state = replace(state, diagonal=diagonal.astype(state.unit.dtype, copy=False))
    curvature = state.ease * state.bend
    if m > 1:
        return replace(
            state, solver=preconditioner.only_diagonal(preconditioner.hessian_diagonal(state.diagonal, curvature))
        )
    share = FIRST_BLOCK_SHARE if state.solver is None else 1.0
    columns = preconditioner.choose_columns(diagonal[:-1], curvature[:-1], scale, float(total[-1]), share)
    return replace(state, query=state.query._replace(what=BLOCK, columns=columns))


def _factorise(state: NewtonCGState, total: Floats) -> NewtonCGState:
    """Return the state with the preconditioner of a block."""
    columns, m = state.query.columns, state.query.columns.size
    unit = state.unit[columns]
    block = total.reshape(m, m) * (unit / state.info.n_rows)
    block *= unit[:, None]
    curvature = state.ease * state.bend
    diagonal = preconditioner.hessian_diagonal(state.diagonal, curvature)
    block[np.diag_indices(m)] += (diagonal - state.diagonal)[columns]
    if state.unit[-1] == 0.0:
        block[-1, -1] = 1.0
    return replace(state, solver=preconditioner.with_block(diagonal, columns, block))
