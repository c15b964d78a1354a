"""Newton's method on growing samples, with BFGS updates; proximal Newton if the penalty has kinks.

The Hessian of a sample approximates that of all rows, and a pass for the gradient costs a fraction of one for the
Hessian. So the method solves a small sample to its statistical accuracy, then larger ones. Over all rows it evaluates
gradients only, with the Hessian of the last sample and BFGS updates. It evaluates the full Hessian if convergence is
slow. A quadratic loss needs one pass; see `offbeat.solvers.newton.quadratic`.

Sources: Byrd, Chin, Neveitt & Nocedal 2011 (sub-sampled Hessians); Lee, Sun & Saunders 2014 (proximal Newton, eq.
2.10); Marquardt 1963 (damping); Nocedal & Wright 2006, eq. 6.19 (BFGS).

Layout: `Newton._round` accepts or rejects a trial point. `_advance` takes the next step, `_retry` handles a rejected
one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Point, Shard
from offbeat.losses.questions import constant_parts
from offbeat.problem import Evaluation, Floats, Problem, ScaledPenalty
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common import continuation
from offbeat.solvers._common.constants import SUFFICIENT_DECREASE
from offbeat.solvers._common.descent import RELATIVE_ROUNDING
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, SMOOTH_LOSS, check_needs
from offbeat.solvers._common.stalling import StallCounter, classes_separated
from offbeat.solvers.newton import asynchronous
from offbeat.solvers.newton.quadratic import QuadraticModel, rounding, solve_quadratic
from offbeat.solvers.newton.subproblem import newton_step

MAX_STALLED_UPDATES = 4  # steps without progress, before the fit stops
SAMPLE_DEVIATION = 2.0  # prior deviation of a column's largest contribution to a predictor, in a sample
MAX_CHEAP_HESSIAN_COLUMNS = 64  # up to this number, a Hessian pass costs less than the gradient passes that it saves
MAX_GAP_RATIO = 0.5  # of successive gaps; above, a Gram matrix in single precision is computed again in double
FIRST_FACTOR = 100.0  # of the penalty, in continuation after a failed step
FACTOR_RATIO = 10.0  # of successive factors
MAX_GAP_SHARE = 0.03  # gap over the objective, below which the factor is reduced
MIN_WORK_FOR_SAMPLES = 1e8  # rows * columns^2; with less, no samples are used


@dataclass(frozen=True)
class NewtonPoint:
    """An accepted point: its evaluation and objective on a fraction of the rows, and the ridge of the sample."""

    x: Iterate
    at: Evaluation
    objective: float
    fraction: float
    prior: Floats

    def gradient(self) -> Floats:
        """Return the gradient of the loss and of the sample's ridge, intercept last."""
        return np.concatenate([self.at.gradient + self.prior * self.x.u, self.at.intercept_gradient])


@dataclass(frozen=True)
class NewtonState(State):
    """State of Newton's method.

    ``x`` is the trial point and ``point`` its query, ``base`` the accepted point. ``hessian`` is the model, ``exact``
    if it is the Hessian at ``base``. ``change`` is the predicted change of the objective. ``ease`` is the factor of the
    penalty (continuation), ``solved`` the last factor that was solved.
    """

    info: DataInfo
    x: Iterate
    point: Point
    base: NewtonPoint | None = None
    hessian: Floats | None = None
    exact: bool = False
    damping: float = 0.0
    change: float = 0.0
    ease: float = 1.0
    solved: float = math.inf
    patience: StallCounter = field(default_factory=lambda: StallCounter(limit=MAX_STALLED_UPDATES))

    @property
    def penalty(self) -> ScaledPenalty:
        """The penalty, multiplied by the current factor."""
        return continuation.strengthened(self.info.penalty, self.ease)

    def with_factor(self, factor: float) -> NewtonState:
        """Return the state at the same point, with another factor of the penalty."""
        assert self.base is not None
        new = replace(self, ease=factor)
        change = new.penalty.value(self.base.x.u) - self.penalty.value(self.base.x.u)
        return replace(new, base=replace(self.base, objective=self.base.objective + change))


@dataclass(frozen=True)
class Newton:
    """Newton's method, for smooth losses, separable penalties and up to a few thousand columns.

    For penalties with kinks or bounds (L1, elastic net, boxes) it is proximal Newton. With ``staleness > 0`` every
    shard has its own quadratic model, and there is no barrier: see `offbeat.solvers.newton.asynchronous`. Samples are
    not used then.

    Parameters
    ----------
    first_sample : int
        Rows of the first sample, over the number of coefficients.
    growth : float
        Ratio of the sizes of successive samples.
    largest_sample : float
        Largest sample, as a fraction of the rows. The next size is all rows.

    References
    ----------
    Byrd, Chin, Neveitt & Nocedal 2011, SIAM J. Optim. 21:977; Lee, Sun & Saunders 2014, SIAM J. Optim. 24:1420.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(1000, 5, seed=0)
    >>> solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solver=solvers.Newton()).status
    'converged'
    """

    first_sample: int = 40
    growth: float = 8.0
    largest_sample: float = 0.3

    name = "newton"
    max_staleness = math.inf
    early = True
    needs = (SMOOTH_LOSS, ONE_OUTPUT, SEPARABLE)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(
        self, problem: Problem, shard: Shard, contribution: Floats | None = None
    ) -> asynchronous.AsynchronousNewtonLocal:
        """Return scratch memory; without a barrier, also the model that a contribution was made from."""
        return asynchronous.new_local(contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[Any, Any]:
        """Return the first state and query: a small sample, or all rows if the problem is small or quadratic."""
        if info.staleness > 0.0:
            return asynchronous.init_global(info)
        x = evaluation.start(info)
        work = info.n_rows * info.size**2
        fraction = 1.0
        if not problem.loss.quadratic and work > MIN_WORK_FOR_SAMPLES:
            fraction = self._fraction(self.first_sample * (info.size + 1) / info.n_rows)
        exact = problem.loss.quadratic and not info.resident  # another pass would cost more
        point = evaluation.query(info, x, fraction=fraction, hessian=True, exact=exact)
        return NewtonState(info, x, point), point

    def _fraction(self, wanted: float) -> float:
        """Return a sample's fraction of the rows: all rows above the largest sample."""
        return wanted if wanted <= self.largest_sample else 1.0

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Evaluate the query on the shard; without a barrier, move the shard's model towards it."""
        if isinstance(query, asynchronous.AsynchronousNewtonQuery):
            return asynchronous.local_step(problem, shard, local, query)
        return evaluation.local_step(problem, shard, local.workspace, query)._replace(local=local)

    def global_step(self, problem: Problem, state: Any, board: Board) -> tuple[Any, Any]:
        """Accept or reject the trial point and take the next step; without a barrier, minimise the shards' models."""
        if isinstance(state, asynchronous.AsynchronousNewtonState):
            return asynchronous.global_step(problem, state, board)
        return self._round(problem, state, board)

    def _round(self, problem: Problem, state: NewtonState, board: Board) -> tuple[NewtonState, Point]:
        """Accept or reject the trial point. Return the state and the next query."""
        at, hessian = evaluation.gather(state.info, board, state.point)
        state = replace(state, passes=state.passes + state.point.fraction, progress=None, note="")
        if np.isnan(at.loss) or (state.base is None and not evaluation.finite(at)):
            return replace(state, status="not finite"), state.point
        if problem.loss.quadratic:
            return _quadratic_round(problem, state, at, hessian)
        prior = _sample_ridge(state.info, state.point.fraction)
        objective = at.loss + state.penalty.value(state.x.u) + 0.5 * float(prior @ state.x.u**2)
        if not _decreases_enough(state, at, objective):
            return self._retry(problem, state)
        base = NewtonPoint(state.x, at, objective, state.point.fraction, prior)
        exact = hessian is not None and base.fraction >= 1.0
        if hessian is None:
            hessian = _bfgs_update(state, base)
        elif base.fraction < 1.0:
            np.einsum("ii->i", hessian)[:-1] += prior
        if base.fraction >= 1.0:
            progress = evaluation.progress(problem, state.info, base.x, at)
            status = "separable" if classes_separated(problem, state.info, at, progress) else None
            patience = state.patience if state.ease > 1.0 else state.patience.after(progress.certificate)
            state = replace(state, progress=progress, status=status, patience=patience)
        state = replace(state, damping=_reduced_damping(state.damping, hessian))
        return self._advance(_weaken_penalty(problem, replace(state, base=base, hessian=hessian, exact=exact)), state)

    def _advance(self, state: NewtonState, previous: NewtonState) -> tuple[NewtonState, Point]:
        """Take the next step. Choose the sample for its end, and whether to evaluate the Hessian there."""
        info, base = state.info, state.base
        assert base is not None
        d, change = _direction(state, previous.change)
        if base.fraction >= 1.0 and state.ease <= 1.0 and (not np.any(d) or state.patience.over):
            state = replace(state, status=state.status or "stalled")
        fraction = self._next_fraction(info, base.fraction, change)
        first = base.fraction < 1.0 and (fraction < 1.0 or info.size <= MAX_CHEAP_HESSIAN_COLUMNS)
        hessian = first or (base.fraction >= 1.0 and _hessian_pays(state, previous, change))
        small = info.n_rows * info.size**2 <= MIN_WORK_FOR_SAMPLES or state.ease > 1.0
        if fraction >= 1.0 and state.point.fraction >= 1.0 and small:
            hessian = True
        return _query_step(replace(state, change=change), d, fraction=fraction, hessian=hessian)

    def _retry(self, problem: Problem, state: NewtonState) -> tuple[NewtonState, Point]:
        """Return the next query after a rejected step: evaluate the Hessian, start continuation, or damp the step.

        Continuation is for losses with constant parts: steps fail there because rows without curvature become active.
        Damping would shorten all later steps.
        """
        assert state.base is not None
        assert state.hessian is not None
        fraction = state.base.fraction
        if fraction >= 1.0 and not state.exact:
            return _query_step(state, np.zeros(len(state.hessian)), fraction=1.0, hessian=True)
        if fraction >= 1.0 and constant_parts(problem.loss) and _continuation_helps(state.info.penalty):
            stronger = _strengthen_penalty(state)
            if stronger is not None:
                return stronger
        level = float(np.mean(np.diag(state.hessian)))
        damping = max(10.0 * state.damping, 0.1 * level)
        if not 0.0 < damping <= 1e12 * level < math.inf:  # the Hessian is zero or not finite
            return replace(state, status="stalled"), state.point
        state = replace(state, damping=damping)
        d, change = _direction(state, state.change)
        again = fraction < 1.0 or constant_parts(problem.loss)
        state, point = _query_step(replace(state, change=change), d, fraction=fraction, hessian=again)
        return replace(state, note=f"step damped by {damping / level:g}"), point

    def _next_fraction(self, info: DataInfo, fraction: float, change: float) -> float:
        """Return the next sample's fraction of the rows: larger once the step is below the statistical error."""
        statistical = info.reference.objective * (info.size + 1) / (2.0 * fraction * info.n_rows)
        if fraction >= 1.0 or -change > statistical:
            return fraction
        return self._fraction(self.growth * fraction)


def _quadratic_round(
    problem: Problem, state: NewtonState, at: Evaluation, hessian: Floats | None
) -> tuple[NewtonState, Point]:
    """Solve a quadratic loss from its Gram matrix. If it is not accurate enough, evaluate and refine the solution.

    If refinement with a matrix in single precision is slow, the matrix is computed again in double precision.
    """
    info, first = state.info, state.hessian is None
    if hessian is not None:
        state = replace(state, hessian=hessian, exact=state.point.exact or not info.single)
    gram = state.hessian
    assert gram is not None
    if not first:
        seen = evaluation.progress(problem, info, state.x, at)
        slow = not seen.certificate.relative_gap <= MAX_GAP_RATIO * state.patience.gap
        state = replace(state, progress=seen, patience=state.patience.after(seen.certificate))
        if seen.certificate.satisfied or state.patience.over:
            return replace(state, status="stalled"), state.point
        if slow and not state.exact:
            point = evaluation.query(info, state.x, hessian=True, exact=True)
            return replace(state, point=point, note="next: the Gram matrix in double precision"), point
    model = QuadraticModel(state.x, at, gram, rounding(info, exact=state.exact))
    x, _, progress = solve_quadratic(problem, info, model, state.x)
    if first:
        state = replace(state, progress=progress, note="solved from the Gram matrix")
        if progress.certificate.satisfied:
            return replace(state, x=x, status="stalled"), state.point
    point = evaluation.query(info, x)
    return replace(state, x=x, point=point), point


def _sample_ridge(info: DataInfo, fraction: float) -> Floats:
    """Return the ridge that a sample adds, for columns with few informative rows in the sample.

    In original units it is a normal prior, whose deviation is `SAMPLE_DEVIATION` over the column's largest deviation.
    It matters for rare columns only. Without it, their coefficients become very large in samples, where the quadratic
    model of the logistic loss is poor for many passes.
    """
    if fraction >= 1.0:
        return np.zeros(info.size)
    return info.rarity / (SAMPLE_DEVIATION**2 * fraction * info.n_rows)


def _direction(state: NewtonState, before: float) -> tuple[Floats, float]:
    """Return the step of the damped model (Levenberg-Marquardt), and the first-order change of the objective.

    Damping by a multiple of the identity shortens the step along directions with little curvature only. Coefficients of
    rare columns need this, as a step may change their curvature by a large factor.
    """
    assert state.base is not None
    assert state.hessian is not None
    x, model = state.base.x.flat(), state.hessian
    if state.damping > 0.0:
        model = model + state.damping * np.eye(len(x))
    accuracy = _accuracy(before, _wanted_gap(state.info))
    return newton_step(state.penalty, model, state.base.gradient(), x, accuracy)


def _query_step(state: NewtonState, d: Floats, *, fraction: float, hessian: bool) -> tuple[NewtonState, Point]:
    """Return the state and the query for the end of the step ``d``."""
    assert state.base is not None
    x = state.base.x.plus(d)
    point = evaluation.query(state.info, x, fraction=fraction, hessian=hessian)
    return replace(state, x=x, point=point, note=f"next: {fraction:.3g} of the rows, {point.label}"), point


def _wanted_gap(info: DataInfo) -> float:
    """Return the tolerated gap, in units of the objective."""
    tolerance = info.reference.tolerance
    return 0.0 if np.isnan(tolerance) else info.reference.objective * tolerance


def _accuracy(before: float, wanted: float) -> float:
    """Return the accuracy of the coordinate descent for `newton_step`.

    With a penalty that has kinks, the gap is of first order in the error of the descent. So the accuracy is a fraction
    of the wanted gap.
    """
    progress = 1e-3 * np.sqrt(abs(before)) if before else 1e-4
    return float(max(min(progress, 1e-4 * wanted) if wanted > 0.0 else progress, 1e-15))


def _strengthen_penalty(state: NewtonState) -> tuple[NewtonState, Point] | None:
    """Return a step from the accepted point with a larger factor of the penalty, or None if no factor is left."""
    ease = max(state.ease, 1.0) * FIRST_FACTOR if math.isinf(state.solved) else math.sqrt(state.ease * state.solved)
    if ease > continuation.MAX_FACTOR or ease > 0.8 * state.solved:
        return None
    state = state.with_factor(ease)
    d, change = _direction(state, 0.0)
    state, point = _query_step(replace(state, change=change), d, fraction=1.0, hessian=True)
    return replace(state, note=f"continuation: {ease:.3g} times the penalty"), point


def _continuation_helps(penalty: ScaledPenalty) -> bool:
    """Whether a larger factor of the penalty makes the problem easier."""
    return penalty.smooth and bool(np.all(penalty.curvature() > 0.0))


def _weaken_penalty(problem: Problem, state: NewtonState) -> NewtonState:
    """Reduce the factor of the penalty when the gap of the current problem is small."""
    base = state.base
    assert base is not None
    if state.ease <= 1.0:
        return state
    c = problem.certify(state.penalty, base.x.u, base.at, state.info.reference, base.x.b)
    if not c.gap <= MAX_GAP_SHARE * abs(c.primal):
        return state
    return replace(state, solved=state.ease).with_factor(max(state.ease / FACTOR_RATIO, 1.0))


def _reduced_damping(damping: float, hessian: Floats) -> float:
    """Return the damping after an accepted step: a tenth, or 0 if it is negligible."""
    return 0.1 * damping if damping > 1e-2 * float(np.mean(np.diag(hessian))) else 0.0


def _decreases_enough(state: NewtonState, at: Evaluation, objective: float) -> bool:
    """Whether the trial point has a sufficient decrease: the Armijo condition or the approximate Wolfe condition.

    The latter (Hager & Zhang 2005, SIAM J. Optim. 16:170, section 4) compares slopes. It is meaningful when the
    decrease is lost in the rounding of single-precision rows.
    """
    base = state.base
    if not evaluation.finite(at):
        return False
    if base is None or base.fraction != state.point.fraction:
        return True
    d = state.x.flat() - base.x.flat()
    slack = 1e-11 * abs(base.objective)
    if not np.any(d) or objective <= base.objective + SUFFICIENT_DECREASE * state.change + slack:
        return True  # the query repeats the point, for its Hessian
    penalties = (objective - at.loss) - (base.objective - base.at.loss)
    slope = float(np.concatenate([at.gradient, at.intercept_gradient]) @ d) + penalties
    margin = RELATIVE_ROUNDING * abs(base.objective)
    return objective <= base.objective + margin and slope <= (2.0 * SUFFICIENT_DECREASE - 1.0) * state.change


def _bfgs_update(state: NewtonState, base: NewtonPoint) -> Floats:
    """Return the Hessian model after a BFGS update with the last step."""
    model = state.hessian
    assert model is not None
    if state.base is None or state.base.fraction < 1.0 or base.fraction < 1.0:
        return model
    s = base.x.flat() - state.base.x.flat()
    y = base.gradient() - state.base.gradient()
    product = model @ s
    curvature, old = float(s @ y), float(s @ product)
    if curvature <= 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(y)) or old <= 0.0:
        return model
    return model + np.outer(y, y) / curvature - np.outer(product, product) / old


def _hessian_pays(state: NewtonState, previous: NewtonState, change: float) -> bool:
    """Whether a Hessian pass costs less than the gradient passes that the current convergence rate needs."""
    if previous.base is None or previous.base.fraction < 1.0 or previous.change >= 0.0:
        return False
    rate = min(abs(change / previous.change), 0.999)
    target = max(_wanted_gap(state.info), 1e-16 * abs(state.info.reference.objective))
    passes = np.log(target / max(abs(change), 1e-300)) / np.log(max(rate, 1e-12))
    return bool(passes > 2.0 + 0.04 * state.info.size)
