"""Newton's method without a Hessian: conjugate gradients, one product a round, and shorter steps where they fail.

Sources: Dembo & Steihaug 1983 (Math. Program. 26:190, truncated Newton); Eisenstat & Walker 1996 (how accurately to
solve). The preconditioner is `offbeat.solvers.newton_cg.preconditioner`; weak ridges are come at from stronger ones, as
`offbeat.solvers._common.continuation` says.
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
from offbeat.solvers._common.stalling import StallCounter, classes_separated
from offbeat.solvers.newton_cg import conjugate_gradients, preconditioner
from offbeat.solvers.newton_cg.conjugate_gradients import Conjugate
from offbeat.solvers.newton_cg.preconditioner import Preconditioner

ACCEPT = 1e-4  # of the foretold decrease
FAIR, AGAIN = 0.7, 2  # of it, below which shorter steps are tried, so often: beyond the minimum along a step rows are
# sure of their class, rightly or not, and know no curvature
WORTH = 1e-6  # of the objective, that such a step must have promised
TRIALS = 30
IDLE = 12
NOISE = 1e-13  # of the objective
AGED = 8  # products of one step, after which its preconditioner may be too old
DRIFT = 0.01  # of the objective, from which it is
ENOUGH = 0.3  # of the root of the tolerated gap over that of the last point: what a step may leave
FIRST = 0.25  # of the columns with a factor, at the start: far from the solution, few are enough


class Spot(NamedTuple):
    """An accepted point: objective and its gradient, the intercept last."""

    x: Iterate
    objective: float
    gradient: Floats


@dataclass(frozen=True)
class NewtonCGState(State):
    """Where the method stands: the query under way, the accepted point, conjugate gradients.

    ``bend`` is the curvature of the penalty, ``unit`` turns sums in the columns' units into internal ones, both in the
    precision of conjugate gradients, which need one digit; ``number`` counts evaluations; ``ease`` is how many times
    the penalty the problem of the moment has; ``length`` is the share of the step that is on trial; ``made`` the
    objective at which the preconditioner was made; ``diagonal`` that of the Hessian of the loss; ``excess`` the
    tolerated gap over that of the accepted point; ``dual`` the largest bound of the optimum so far.
    """

    info: DataInfo
    x: Iterate
    query: HessianQuery
    bend: Floats
    unit: Floats
    spot: Spot | None = None
    solver: Preconditioner | None = None
    inner: Conjugate | None = None
    ease: float = 1.0
    length: float = 1.0
    trials: int = 0
    made: float = math.nan
    diagonal: Floats = field(default_factory=lambda: np.empty(0))
    last_products: int = 0
    excess: float = 0.0
    dual: float = -math.inf
    patience: StallCounter = field(default_factory=lambda: StallCounter(limit=IDLE))


@dataclass(frozen=True)
class NewtonCG:
    """Newton's method with conjugate gradients, for smooth penalties and any number of columns.

    The method for sparse data with many columns. Each round reads the rows once, for a product with the Hessian or for
    a gradient; nothing larger than the coefficients is held, but for the Hessian of the most important columns.

    Parameters
    ----------
    accuracy : float
        Residual, relative to the gradient, at which conjugate gradients stop.
    most : int
        Most products of one Newton step.

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
        """Refuse parameters out of range."""
        if not 0.0 < self.accuracy < 1.0:
            raise ProblemError(f"accuracy of NewtonCG is {self.accuracy}; give a number between 0 and 1")
        if self.most < 1:
            raise ProblemError(f"most of NewtonCG is {self.most}; give a whole number from 1")

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> HessianLocal:
        """Return scratch memory: curvatures are found again at the next query."""
        return HessianLocal(Workspace())

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[NewtonCGState, HessianQuery]:
        """Return the first state and query."""
        x = evaluation.start(info)
        query = HessianQuery(EVALUATE, evaluation.query(info, x), 0, np.empty(0), NO_COLUMNS)
        m = info.n_outputs
        unit = np.append(np.repeat(1.0 / info.scale, m), np.full(m, 1.0 if info.reference.fit_intercept else 0.0))
        bend, kind = np.append(info.penalty.curvature(), np.zeros(m)), conjugate_gradients.precision(info)
        return NewtonCGState(info, x, query, bend.astype(kind), unit.astype(kind)), query

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Evaluate a point, or give a product or a block of the Hessian."""
        return hessian_products.local_step(problem, shard, local, query)

    def global_step(self, problem: Problem, state: NewtonCGState, board: Board) -> tuple[NewtonCGState, HessianQuery]:
        """Judge a trial, or go on with conjugate gradients."""
        state = replace(state, passes=state.passes + 1.0, progress=None, note="")
        total, what = board.total(), state.query.what
        if what == EVALUATE:
            at, _ = evaluation.gather(state.info, board, state.query.at)
            state = _judged(problem, state, at)
            if state.status is None and state.inner is None:
                state = self._turned(state)
        elif what == DIAGONAL:
            state = _chosen(state, total)
            if state.info.n_outputs > 1:
                state = self._begun(state)
        elif what == BLOCK:
            state = self._begun(_factored(state, total))
        else:
            assert state.inner is not None
            product = total * state.unit
            product /= state.info.n_rows
            product += (state.ease * state.bend) * state.inner.direction
            state = _stepped(replace(state, inner=conjugate_gradients.advance(state.inner, product, self.most)))
        return state, state.query

    def _turned(self, state: NewtonCGState) -> NewtonCGState:
        """Begin a Newton step, with a new preconditioner first where the last one served badly."""
        spot = state.spot
        assert spot is not None
        young = abs(spot.objective - state.made) <= DRIFT * abs(state.made)
        if state.solver is not None and (state.last_products < AGED or young):
            return self._begun(state)
        query = state.query._replace(what=DIAGONAL, direction=np.empty(0), columns=NO_COLUMNS)
        return replace(state, query=query, made=spot.objective)

    def _begun(self, state: NewtonCGState) -> NewtonCGState:
        """Begin conjugate gradients."""
        spot, solver = state.spot, state.solver
        assert spot is not None and solver is not None
        accuracy = max(self.accuracy, min(ENOUGH * math.sqrt(state.excess), 0.5))
        inner = conjugate_gradients.begin(solver, spot.gradient, accuracy, state.unit.dtype)
        return _stepped(replace(state, inner=inner))


def _judged(problem: Problem, state: NewtonCGState, at: Evaluation) -> NewtonCGState:
    """Take in the evaluation of a trial: a new point, or a shorter step (``inner`` is None once it is accepted)."""
    spot = _spot(state, at)
    if np.isnan(at.loss) or (state.spot is None and not evaluation.finite(at)):
        return replace(state, status="not finite")
    inner, old = state.inner, state.spot
    if inner is not None and old is not None:
        foretold = _foretold(state, inner)
        won = old.objective - spot.objective
        noise = NOISE * abs(old.objective)
        fine = evaluation.finite(at) and math.isfinite(spot.objective)
        if not fine or not (won >= ACCEPT * -foretold or (won >= -noise and -foretold <= 10.0 * noise)):
            return _shortened(state, inner, won if fine else math.nan)
        if state.trials < AGAIN and won < FAIR * -foretold and -foretold > WORTH * abs(old.objective):
            return _shortened(state, inner, won)
        state = replace(state, last_products=inner.products)
    progress = evaluation.progress(problem, state.info, spot.x, at)
    certificate = evaluation.improved(progress.certificate, state.dual, state.info)
    progress = replace(progress, certificate=certificate)
    patience = state.patience.after(certificate) if state.ease == 1.0 else state.patience
    status = "stalled" if patience.over or not (np.any(spot.gradient) or state.ease > 1.0) else None
    if classes_separated(problem, state.info, at, progress):
        status = "separable"
    close = 0.0 < certificate.tolerance < certificate.relative_gap
    state = replace(
        state, spot=spot, inner=None, progress=progress, patience=patience, status=status, trials=0,
        dual=certificate.dual, excess=certificate.tolerance / certificate.relative_gap if close else 0.0,
    )  # fmt: skip
    return _eased(state, continuation.next_factor(state.ease, inner.products)) if inner is not None else state


def _eased(state: NewtonCGState, ease: float) -> NewtonCGState:
    """Return the state at the same point with another multiple of the penalty."""
    more, spot, solver = ease - state.ease, state.spot, state.solver
    assert spot is not None
    if more == 0.0:
        return state
    penalty, x, gradient = state.info.penalty, spot.x, spot.gradient.copy()
    gradient[: x.u.size] += more * (penalty.curvature() * x.u)
    spot = Spot(x, spot.objective + more * penalty.value(x.u), gradient)
    if solver is not None:
        solver = replace(solver, diagonal=preconditioner.whole(state.diagonal, ease * state.bend))
    return replace(state, spot=spot, ease=ease, solver=solver)


def _spot(state: NewtonCGState, at: Evaluation) -> Spot:
    penalty = state.info.penalty
    gradient = np.append(at.gradient + state.ease * (penalty.curvature() * state.x.u), at.intercept_gradient)
    return Spot(state.x, at.loss + state.ease * penalty.value(state.x.u), gradient)


def _foretold(state: NewtonCGState, inner: Conjugate) -> float:
    """Return the change of the model at the share of the step that is on trial."""
    t, slope = state.length, float(inner.slope @ inner.step)
    return t * slope + t * t * (inner.change - slope)


def _shortened(state: NewtonCGState, inner: Conjugate, won: float) -> NewtonCGState:
    """Try a shorter step along the same direction: to the minimum of the parabola through what is known."""
    assert state.spot is not None
    t, slope = state.length, float(inner.slope @ inner.step)
    if state.trials >= TRIALS:
        return replace(state, status="stalled", note="no shorter step is better")
    guess = 0.1
    if math.isfinite(won):
        bend = (-won - t * slope) / (t * t)
        guess = -slope / (2.0 * bend * t) if bend > 0.0 else 0.5
    length = t * min(max(guess, 0.1), 0.5)
    state = replace(state, length=length, trials=state.trials + 1, note=f"step was too long: {length:.3g} of it next")
    return _asked(state, inner)


def _stepped(state: NewtonCGState) -> NewtonCGState:
    """Ask for the next product or, when conjugate gradients are done, for the end of the step."""
    inner = state.inner
    assert inner is not None
    if inner.done:
        return _asked(replace(state, length=1.0), inner)
    query = state.query._replace(what=PRODUCT, direction=inner.direction * state.unit, columns=NO_COLUMNS)
    return replace(state, query=query)


def _asked(state: NewtonCGState, inner: Conjugate) -> NewtonCGState:
    assert state.spot is not None
    x = state.spot.x.plus(inner.step, state.length)
    number = state.query.number + 1
    query = HessianQuery(EVALUATE, evaluation.query(state.info, x), number, np.empty(0), NO_COLUMNS)
    return replace(state, x=x, query=query)


def _chosen(state: NewtonCGState, total: Floats) -> NewtonCGState:
    """Take in the diagonal; ask for the Hessian of the columns that matter most."""
    info, scale, m = state.info, state.info.scale, state.info.n_outputs
    diagonal = np.maximum(total[:-1] * state.unit * state.unit / info.n_rows, 0.0)
    if state.solver is None and not info.warm:
        own, penalty = diagonal[:-m].reshape(-1, m), state.bend[:-m].reshape(-1, m)
        state = _eased(state, continuation.first_factor(own, penalty, info.n_rows * max(m - 1, 1)))
    state = replace(state, diagonal=diagonal.astype(state.unit.dtype, copy=False))
    bend = state.ease * state.bend
    if m > 1:
        return replace(state, solver=preconditioner.only_diagonal(preconditioner.whole(state.diagonal, bend)))
    share = FIRST if state.solver is None else 1.0
    columns = preconditioner.choose(diagonal[:-1], bend[:-1], scale, float(total[-1]), share)
    return replace(state, query=state.query._replace(what=BLOCK, columns=columns))


def _factored(state: NewtonCGState, total: Floats) -> NewtonCGState:
    """Return the state with a preconditioner from the block that came in."""
    columns, m = state.query.columns, state.query.columns.size
    unit = state.unit[columns]
    block = total.reshape(m, m) * (unit / state.info.n_rows)
    block *= unit[:, None]
    bend = state.ease * state.bend
    diagonal = preconditioner.whole(state.diagonal, bend)
    block[np.diag_indices(m)] += (diagonal - state.diagonal)[columns]
    if state.unit[-1] == 0.0:
        block[-1, -1] = 1.0
    return replace(state, solver=preconditioner.with_block(diagonal, columns, block))
