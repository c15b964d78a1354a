"""Newton's method on growing samples, with a quasi-Newton finish; prox-Newton when the penalty has kinks.

The Hessian of a sample is nearly that of all rows, and a pass for the gradient alone costs a fraction of a Hessian
pass. So: Newton on a small sample to its statistical accuracy, a larger one, ...; then passes for the gradient only,
with the Hessian of the last sample and BFGS updates; a full Hessian when those contract too slowly. A quadratic loss
needs one pass: after it, loss, gradient and certificate are known everywhere, up to rounding; where that is too much,
further passes for the gradient refine the solution.

Sources: Byrd, Chin, Neveitt & Nocedal 2011 (sub-sampled Hessians); Lee, Sun & Saunders 2014 (prox-Newton, eq. 2.10);
Marquardt 1963 (damping); Nocedal & Wright 2006, eq. 6.19 (BFGS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from offbeat.data.shards import Point, Shard
from offbeat.losses.questions import constant_parts
from offbeat.problem import Evaluation, Floats, Problem, Separable
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, State, Step
from offbeat.solvers._common import continuation
from offbeat.solvers._common.descent import RELATIVE_ROUNDING
from offbeat.solvers._common.needs import ONE_OUTPUT, SEPARABLE, SMOOTH_LOSS, check_needs
from offbeat.solvers._common.stalling import StallCounter, classes_separated
from offbeat.solvers.newton import asynchronous
from offbeat.solvers.newton.quadratic import Quadratic, rounding, solve_quadratic
from offbeat.solvers.newton.subproblem import newton_step

ARMIJO = 1e-4
PATIENCE = 4  # updates without progress before rounding is blamed
DOUBT = 2.0  # how far a sample may move the predictor of one row by one column without much evidence
FEW = 64  # columns for which a Hessian pass costs less than the gradient passes it saves
REFINED = 0.5  # ratio of a gap to the one before, above which a Gram matrix in single precision is too rough
EASIER, EASIEST = 100.0, 1e12  # times the penalty, where a step failed; at most
WEAKER = 10.0  # times, from one such penalty to the next
NEAR = 0.03  # of the objective: the gap at which it is weakened
SMALL = 1e8  # rows * columns^2 below which samples do not pay


@dataclass(frozen=True)
class Base:
    """The last accepted point: position, evaluation there, objective there, on which fraction of the rows."""

    x: Iterate
    at: Evaluation
    objective: float
    fraction: float
    prior: Floats

    def gradient(self) -> Floats:
        """Return the gradient of loss and prior, intercept last."""
        return np.concatenate([self.at.gradient + self.prior * self.x.u, self.at.intercept_gradient])


@dataclass(frozen=True)
class NewtonState(State):
    """Where the method stands: the query under way, the accepted point, the model, the direction being tried.

    ``ease`` is how many times the penalty the problem of the moment has, ``solved`` that of the last one solved.
    """

    info: DataInfo
    x: Iterate
    point: Point
    base: Base | None = None
    hessian: Floats | None = None
    exact: bool = False
    damping: float = 0.0
    change: float = 0.0
    ease: float = 1.0
    solved: float = math.inf
    patience: StallCounter = field(default_factory=lambda: StallCounter(limit=PATIENCE))

    @property
    def penalty(self) -> Separable:
        """The penalty of the moment."""
        return continuation.strengthened(self.info.penalty, self.ease)

    def eased(self, ease: float) -> NewtonState:
        """Return the state at the same point with another multiple of the penalty."""
        assert self.base is not None
        new = replace(self, ease=ease)
        change = new.penalty.value(self.base.x.u) - self.penalty.value(self.base.x.u)
        return replace(new, base=replace(self.base, objective=self.base.objective + change))


@dataclass(frozen=True)
class Newton:
    """Newton's method (prox-Newton for L1, elastic net and boxes) for up to a few thousand columns.

    With ``staleness > 0`` every shard keeps a quadratic model of its own, and nobody waits: see
    `offbeat.solvers.newton.asynchronous`. Samples are then not used.

    Parameters
    ----------
    first_sample : int
        Rows of the first sample, in multiples of the number of coefficients.
    growth : float
        Ratio of one sample to the one before.
    largest_sample : float
        Largest fraction of the rows taken as a sample; beyond it come all rows.

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
    needs = (SMOOTH_LOSS, ONE_OUTPUT, SEPARABLE)

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` for a problem that does not meet the needs of the method."""
        check_needs(type(self).__name__, self.needs, problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> asynchronous.Local:
        """Return scratch memory; without rounds, the model that goes with the contribution."""
        return asynchronous.new_local(contribution)

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[Any, Any]:
        """Return the first query: a small sample, or everything when the problem is small or quadratic."""
        if info.staleness > 0.0:
            return asynchronous.init_global(info)
        x = evaluation.start(info)
        work = info.n_rows * info.size**2
        fraction = 1.0
        if not problem.loss.quadratic and work > SMALL:
            fraction = self._fraction(self.first_sample * (info.size + 1) / info.n_rows)
        exact = problem.loss.quadratic and not info.resident  # another pass would cost more
        point = evaluation.query(info, x, fraction=fraction, hessian=True, exact=exact)
        return NewtonState(info, x, point), point

    def _fraction(self, wanted: float) -> float:
        return wanted if wanted <= self.largest_sample else 1.0

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Evaluate the query on the shard; without rounds, move the shard's model towards it."""
        if isinstance(query, asynchronous.Query):
            return asynchronous.local_step(problem, shard, local, query)
        return evaluation.local_step(problem, shard, local.workspace, query)._replace(local=local)

    def global_step(self, problem: Problem, state: Any, board: Board) -> tuple[Any, Any]:
        """Accept or shorten the step that led here, then take the next; without rounds, minimise all shards' models."""
        if isinstance(state, asynchronous.KeyedState):
            return asynchronous.global_step(problem, state, board)
        return self._round(problem, state, board)

    def _round(self, problem: Problem, state: NewtonState, board: Board) -> tuple[NewtonState, Point]:
        at, hessian = evaluation.gather(state.info, board, state.point)
        state = replace(state, passes=state.passes + state.point.fraction, progress=None, note="")
        if np.isnan(at.loss) or (state.base is None and not evaluation.finite(at)):
            return replace(state, status="not finite"), state.point
        if problem.loss.quadratic:
            return _quadratic_round(problem, state, at, hessian)
        prior = _prior(state.info, state.point.fraction)
        objective = at.loss + state.penalty.value(state.x.u) + 0.5 * float(prior @ state.x.u**2)
        if not _sufficient(state, at, objective):
            return self._retry(problem, state)
        base = Base(state.x, at, objective, state.point.fraction, prior)
        exact = hessian is not None and base.fraction >= 1.0
        if hessian is None:
            hessian = _updated(state, base)
        elif base.fraction < 1.0:
            np.einsum("ii->i", hessian)[:-1] += prior
        if base.fraction >= 1.0:
            progress = evaluation.progress(problem, state.info, base.x, at)
            status = "separable" if classes_separated(problem, state.info, at, progress) else None
            patience = state.patience if state.ease > 1.0 else state.patience.after(progress.certificate)
            state = replace(state, progress=progress, status=status, patience=patience)
        state = replace(state, damping=_relaxed(state.damping, hessian))
        return self._advance(_weakened(problem, replace(state, base=base, hessian=hessian, exact=exact)), state)

    def _advance(self, state: NewtonState, previous: NewtonState) -> tuple[NewtonState, Point]:
        """Choose the direction, and what to evaluate at its end: which rows, with or without Hessian."""
        info, base = state.info, state.base
        assert base is not None
        d, change = _direction(state, previous.change)
        if base.fraction >= 1.0 and state.ease <= 1.0 and (not np.any(d) or state.patience.over):
            state = replace(state, status=state.status or "stalled")
        fraction = self._next_fraction(info, base.fraction, change)
        first = base.fraction < 1.0 and (fraction < 1.0 or info.size <= FEW)
        hessian = first or (base.fraction >= 1.0 and _slow(state, previous, change))
        small = info.n_rows * info.size**2 <= SMALL or state.ease > 1.0
        if fraction >= 1.0 and state.point.fraction >= 1.0 and small:
            hessian = True
        return _ask(replace(state, change=change), d, fraction=fraction, hessian=hessian)

    def _retry(self, problem: Problem, state: NewtonState) -> tuple[NewtonState, Point]:
        """After a step that failed, get the true curvature at the last accepted point; ease the problem; or damp.

        Of losses that are flat somewhere, steps fail since rows come in that had no curvature, and damping would
        shorten all steps to come.
        """
        assert state.base is not None
        assert state.hessian is not None
        fraction = state.base.fraction
        if fraction >= 1.0 and not state.exact:
            return _ask(state, np.zeros(len(state.hessian)), fraction=1.0, hessian=True)
        if fraction >= 1.0 and constant_parts(problem.loss) and _eases(state.info.penalty):
            easier = _easier(state)
            if easier is not None:
                return easier
        level = float(np.mean(np.diag(state.hessian)))
        damping = max(10.0 * state.damping, 0.1 * level)
        if not 0.0 < damping <= 1e12 * level < math.inf:  # a Hessian of zeros, or not finite: no damping would ever do
            return replace(state, status="stalled"), state.point
        state = replace(state, damping=damping)
        d, change = _direction(state, state.change)
        again = fraction < 1.0 or constant_parts(problem.loss)
        state, point = _ask(replace(state, change=change), d, fraction=fraction, hessian=again)
        return replace(state, note=f"step damped by {damping / level:g}"), point

    def _next_fraction(self, info: DataInfo, fraction: float, change: float) -> float:
        """Return the fraction of rows for the next query: more when the step is below the statistical error."""
        statistical = info.reference.objective * (info.size + 1) / (2.0 * fraction * info.n_rows)
        if fraction >= 1.0 or -change > statistical:
            return fraction
        return self._fraction(self.growth * fraction)


def _quadratic_round(
    problem: Problem, state: NewtonState, at: Evaluation, hessian: Floats | None
) -> tuple[NewtonState, Point]:
    """Solve from the Gram matrix; where rounding leaves doubt of the solution, have it evaluated, and refine it.

    A matrix in single precision that is too rough for that is taken again in double.
    """
    info, first = state.info, state.hessian is None
    if hessian is not None:
        state = replace(state, hessian=hessian, exact=state.point.exact or not info.single)
    gram = state.hessian
    assert gram is not None
    if not first:
        seen = evaluation.progress(problem, info, state.x, at)
        slow = not seen.certificate.relative_gap <= REFINED * state.patience.gap
        state = replace(state, progress=seen, patience=state.patience.after(seen.certificate))
        if seen.certificate.satisfied or state.patience.over:
            return replace(state, status="stalled"), state.point
        if slow and not state.exact:
            point = evaluation.query(info, state.x, hessian=True, exact=True)
            return replace(state, point=point, note="next: the Gram matrix in double precision"), point
    model = Quadratic(state.x, at, gram, rounding(info, exact=state.exact))
    x, _, progress = solve_quadratic(problem, info, model, state.x)
    if first:
        state = replace(state, progress=progress, note="solved from the Gram matrix")
        if progress.certificate.satisfied:
            return replace(state, x=x, status="stalled"), state.point
    point = evaluation.query(info, x)
    return replace(state, x=x, point=point), point


def _prior(info: DataInfo, fraction: float) -> Floats:
    """Return the ridge that a sample adds: what it says of a column seen in a handful of its rows is not to be trusted.

    In original units it is a normal prior whose deviation is `DOUBT` over the column's largest deviation, so that it
    matters only for columns that few rows tell of. Without it, samples drive rare columns far out, where the curvature
    of the logistic loss misleads Newton's method for many passes.
    """
    if fraction >= 1.0:
        return np.zeros(info.size)
    return info.rarity / (DOUBT**2 * fraction * info.n_rows)


def _direction(state: NewtonState, before: float) -> tuple[Floats, float]:
    """Return the step of the damped model (Levenberg-Marquardt) and its first-order change of the objective.

    Damping by a multiple of the identity shortens the step where the model is flat and leaves the rest of it alone:
    what coefficients of rare columns need, whose curvature a step may change many times over.
    """
    assert state.base is not None
    assert state.hessian is not None
    x, model = state.base.x.flat(), state.hessian
    if state.damping > 0.0:
        model = model + state.damping * np.eye(len(x))
    accuracy = _accuracy(before, _wanted(state.info))
    return newton_step(state.penalty, model, state.base.gradient(), x, accuracy)


def _ask(state: NewtonState, d: Floats, *, fraction: float, hessian: bool) -> tuple[NewtonState, Point]:
    """Return the state that waits for the end of the step ``d``, and the query for it."""
    assert state.base is not None
    x = state.base.x.plus(d)
    point = evaluation.query(state.info, x, fraction=fraction, hessian=hessian)
    return replace(state, x=x, point=point, note=f"next: {fraction:.3g} of the rows, {point.label}"), point


def _wanted(info: DataInfo) -> float:
    """Return the gap asked for, in units of the objective."""
    tolerance = info.reference.tolerance
    return 0.0 if np.isnan(tolerance) else info.reference.objective * tolerance


def _accuracy(before: float, wanted: float) -> float:
    """Return how far coordinates may move in the last sweep of the model's descent, times the root of their curvature.

    The gap of a penalty with kinks is of first order in what the descent leaves: a fraction of the wanted gap, then.
    """
    progress = 1e-3 * np.sqrt(abs(before)) if before else 1e-4
    return float(max(min(progress, 1e-4 * wanted) if wanted > 0.0 else progress, 1e-15))


def _easier(state: NewtonState) -> tuple[NewtonState, Point] | None:
    """Return a step from the last accepted point for a multiple of the penalty; None where there is none between."""
    ease = max(state.ease, 1.0) * EASIER if math.isinf(state.solved) else math.sqrt(state.ease * state.solved)
    if ease > EASIEST or ease > 0.8 * state.solved:
        return None
    state = state.eased(ease)
    d, change = _direction(state, 0.0)
    state, point = _ask(replace(state, change=change), d, fraction=1.0, hessian=True)
    return replace(state, note=f"easier: {ease:.3g} times the penalty"), point


def _eases(penalty: Separable) -> bool:
    """Whether more of a penalty makes a problem easier."""
    return penalty.smooth and bool(np.all(penalty.curvature() > 0.0))


def _weakened(problem: Problem, state: NewtonState) -> NewtonState:
    """Return the state with a weaker penalty, once it is near the solution with the present one."""
    base = state.base
    assert base is not None
    if state.ease <= 1.0:
        return state
    c = problem.certify(state.penalty, base.x.u, base.at, state.info.reference, base.x.b)
    if not c.gap <= NEAR * abs(c.primal):
        return state
    return replace(state, solved=state.ease).eased(max(state.ease / WEAKER, 1.0))


def _relaxed(damping: float, hessian: Floats) -> float:
    """Return the damping after a success: a tenth, and none once it no longer matters."""
    return 0.1 * damping if damping > 1e-2 * float(np.mean(np.diag(hessian))) else 0.0


def _sufficient(state: NewtonState, at: Evaluation, objective: float) -> bool:
    """Whether the step to ``state.x`` lowered the objective enough (Armijo), or as far as rounding lets slopes tell.

    The second condition is the approximate one of Hager & Zhang 2005 (SIAM J. Optim. 16:170, section 4): where sums
    over single-precision rows hide a decrease, the gradient at the end of the step still tells how far it went.
    """
    base = state.base
    if not evaluation.finite(at):
        return False
    if base is None or base.fraction != state.point.fraction:
        return True
    d = state.x.flat() - base.x.flat()
    slack = 1e-11 * abs(base.objective)
    if not np.any(d) or objective <= base.objective + ARMIJO * state.change + slack:
        return True  # the same point is asked for its Hessian
    penalties = (objective - at.loss) - (base.objective - base.at.loss)
    slope = float(np.concatenate([at.gradient, at.intercept_gradient]) @ d) + penalties
    noise = RELATIVE_ROUNDING * abs(base.objective)
    return objective <= base.objective + noise and slope <= (2.0 * ARMIJO - 1.0) * state.change


def _updated(state: NewtonState, base: Base) -> Floats:
    """Return the Hessian model after a BFGS update with the step just taken."""
    model = state.hessian
    assert model is not None
    if state.base is None or state.base.fraction < 1.0 or base.fraction < 1.0:
        return model
    s = base.x.flat() - state.base.x.flat()
    y = base.gradient() - state.base.gradient()
    bent = model @ s
    curvature, old = float(s @ y), float(s @ bent)
    if curvature <= 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(y)) or old <= 0.0:
        return model
    return model + np.outer(y, y) / curvature - np.outer(bent, bent) / old


def _slow(state: NewtonState, previous: NewtonState, change: float) -> bool:
    """Whether a full Hessian is cheaper than the gradient passes that the present rate still needs."""
    if previous.base is None or previous.base.fraction < 1.0 or previous.change >= 0.0:
        return False
    rate = min(abs(change / previous.change), 0.999)
    target = max(_wanted(state.info), 1e-16 * abs(state.info.reference.objective))
    passes = np.log(target / max(abs(change), 1e-300)) / np.log(max(rate, 1e-12))
    return bool(passes > 2.0 + 0.04 * state.info.size)
