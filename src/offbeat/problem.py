"""The problem that is solved, and the certificate that says how well.

``P(w, b) = (1/n) sum_i v_i l(x_i'w + b + o_i, y_i) + R(w)``. With ``theta_i = l'(z_i)``, ``g = X'(v theta) / n`` and
Fenchel's equality ``l*(theta) = theta z - l(z)`` the loss terms of primal and dual cancel and
``P - D = R(w) + R*(-g) + w'g``. See `Problem.certify` for the intercept and for penalties whose conjugate is not
finite everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import ProblemError
from offbeat.losses.questions import n_outputs
from offbeat.penalties import questions

ROUNDING = 4.0 * float(np.finfo(np.float64).eps)  # of a sum, relative to the sum of absolute terms
INSIDE = 1e-12  # relative distance from the domain of a penalty that counts as rounding
DOUBTFUL = 1e4  # times it, by which a gap may be negative for rounding
Floats: TypeAlias = NDArray[np.float64]
Loss: TypeAlias = Any
Penalty: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far a model is, at most, from the optimum.

    Parameters
    ----------
    primal : float
        Mean objective at the model.
    dual : float
        Lower bound of the optimal objective; ``-inf`` when ``kind`` is ``"gradient"``.
    gap : float
        ``primal - dual``, or the norm of the gradient mapping when ``kind`` is ``"gradient"``.
    relative_gap : float
        ``gap`` over the objective at ``w = 0`` (over the norm there, for ``"gradient"``).
    kind : {"duality gap", "gradient"}
        What ``gap`` is. There is no finite dual without a penalty that grows.
    tolerance : float
        Relative gap that was asked for.

    Examples
    --------
    >>> Certificate(0.5, 0.4999, gap=1e-4, relative_gap=1.4e-4, kind="duality gap", tolerance=1e-3).satisfied
    True
    """

    primal: float
    dual: float
    gap: float
    relative_gap: float
    kind: Literal["duality gap", "gradient"]
    tolerance: float = math.nan

    @property
    def satisfied(self) -> bool:
        """Whether the relative gap is within the tolerance."""
        return bool(self.relative_gap <= self.tolerance)


class Evaluation(NamedTuple):
    """What one pass over the data says at a point, as means over the rows, in internal coordinates.

    ``gradient`` and ``repair`` have shape (k,) (all outputs flattened), ``intercept_gradient`` (n_outputs,).
    ``repair`` and ``repair_sum`` are the means of ``v h x`` and ``v h`` (see `Problem.certify`), or None and 0.
    """

    loss: float
    gradient: Floats
    intercept_gradient: Floats
    repair: Floats | None
    repair_sum: float


class Reference(NamedTuple):
    """Constants of the data that certificates are relative to.

    ``objective``: objective at ``w = 0`` with the best intercept, above the floor that no model can pass
    (``mean of v min_z l``, zero for all losses but Poisson and gamma); ``gradient_norm``: norm of the loss gradient
    there (nan when not needed); ``conjugate_zero``: mean of ``v l*(0)``, which is minus that floor; ``fit_intercept``;
    ``tolerance``. Several outputs with an intercept need two more for a duality gap: ``shares``, the mean of ``v`` over
    the rows of each class, and ``null_gradient``, the loss gradient at ``w = 0``; only if columns are centred exactly.
    """

    objective: float
    gradient_norm: float
    conjugate_zero: float
    fit_intercept: bool
    tolerance: float = math.nan
    shares: Floats | None = None
    null_gradient: Floats | None = None


class DualPoint(NamedTuple):
    """A dual point that is feasible for the intercept, and the gradient there.

    ``excess`` bounds the sum of mean loss and mean conjugate; ``size`` is what it was summed from, in absolute value.
    """

    gradient: Floats
    excess: float
    size: float


@dataclass(frozen=True, slots=True)
class Separable:
    """A separable penalty in internal coordinates: ``sum_j r(factor_j u_j; weight_j)``.

    Solvers see penalties only through this, or through `Blockwise`, which has the same methods. ``rule`` is the user's
    penalty without its weights.
    """

    rule: Penalty
    factor: Floats
    weight: Floats

    @property
    def smooth(self) -> bool:
        """Whether the penalty is a quadratic."""
        return questions.smooth(self.rule)

    @property
    def has_dual(self) -> bool:
        """Whether the conjugate is finite around zero, so that there is a duality gap everywhere or nowhere."""
        ones = np.ones(len(self.factor))
        return min(self.dual_scale(ones), self.dual_scale(-ones)) > 0.0

    def value(self, u: Floats) -> float:
        """Return the penalty at ``u``."""
        return float(_kernels().value(self.rule, u, self.factor, self.weight))

    def conjugate(self, slope: Floats, scale: float = 1.0) -> float:
        """Return the conjugate at ``scale * slope``."""
        return float(_kernels().conjugate(self.rule, slope, scale, self.factor, self.weight))

    def dual_scale(self, slope: Floats) -> float:
        """Return the largest scale in [0, 1] that makes the conjugate finite."""
        return float(_kernels().dual_scale(self.rule, slope, self.factor, self.weight))

    def prox(self, v: Floats, step: float) -> Floats:
        """Return the proximal point of ``v``."""
        u: Floats = _kernels().prox(self.rule, v, step, self.factor, self.weight)
        return u

    def optimality(self, u: Floats, gradient: Floats) -> float:
        """Return the distance of ``-gradient`` from the subdifferential at ``u``."""
        return float(_kernels().optimality(self.rule, u, gradient, self.factor, self.weight))

    def curvature(self) -> Floats:
        """Return the coefficients of ``u_j^2 / 2``."""
        c: Floats = _kernels().curvature(self.rule, self.factor, self.weight)
        return c


@dataclass(frozen=True, slots=True)
class Blockwise:
    """A penalty that is not separable, in internal coordinates: ``R(factor u; weight)``, output by output.

    ``R`` is a sum over blocks of coefficients, and ``factor`` is the same within each block: so the proximal point of
    ``R(factor u)`` is that of ``R`` with steps of ``step factor^2``, and distances of a block scale with its factor.
    """

    rule: Penalty
    factor: Floats
    weight: Floats
    n_outputs: int = 1

    @property
    def smooth(self) -> bool:
        """Whether the penalty is a quadratic of single coefficients: never."""
        return False

    @property
    def has_dual(self) -> bool:
        """Whether the conjugate is finite around zero.

        The domain of the conjugate is convex. If it has no room around zero, it lies in a half-space whose edge goes
        through zero, and of a direction drawn at random, that or its opposite is outside.
        """
        drawn = np.random.default_rng(0).standard_normal(len(self.factor))
        return min(self.dual_scale(drawn), self.dual_scale(-drawn)) > 0.0

    def value(self, u: Floats) -> float:
        """Return the penalty at ``u``."""
        w = self._original(u)
        return sum(float(self.rule.value(part, weight)) for part, weight in self._outputs(w))

    def conjugate(self, slope: Floats, scale: float = 1.0) -> float:
        """Return the conjugate at ``scale * slope``."""
        parts = self._outputs(scale * slope / self.factor)
        return sum(float(self.rule.conjugate(part, weight)) for part, weight in parts)

    def dual_scale(self, slope: Floats) -> float:
        """Return the largest scale in [0, 1] that makes the conjugate finite."""
        parts = self._outputs(slope / self.factor)
        return min(float(self.rule.dual_scale(part, weight)) for part, weight in parts)

    def prox(self, v: Floats, step: float) -> Floats:
        """Return the proximal point of ``v``."""
        return self._prox(self.factor * v, step) / self.factor

    def optimality(self, u: Floats, gradient: Floats) -> float:
        """Return the distance of ``-gradient`` from the subdifferential at ``u``."""
        slopes = self._outputs(gradient / self.factor)
        pairs = zip(self._outputs(self._original(u)), slopes, strict=True)
        rest = [self.rule.subgradient_distance(part, slope, weight) for (part, weight), (slope, _) in pairs]
        return float(np.linalg.norm(self.factor * self._joined(rest)))

    def curvature(self) -> Floats:
        """Return coefficients of ``u_j^2 / 2`` that the penalty is at least as curved as."""
        bends = [self.rule.curvature(weight) for _, weight in self._outputs(self.factor)]
        return self.factor * (self.factor * self._joined(bends))

    def _prox(self, w: Floats, step: float) -> Floats:
        steps = [part for part, _ in self._outputs(step * self.factor**2)]
        pairs = zip(self._outputs(w), steps, strict=True)
        return self._joined([self.rule.prox(part, each, weight) for (part, weight), each in pairs])

    def _original(self, u: Floats) -> Floats:
        """Return the coefficients that the penalty is about, put back into its domain if rounding took them out."""
        w = self.factor * u
        inside = self._prox(w, 0.0)
        return inside if bool(np.all(np.abs(inside - w) <= INSIDE * np.abs(w))) else w

    def _outputs(self, values: Floats) -> list[tuple[Floats, Floats]]:
        """Return the values of each output, with the weights of its coefficients."""
        m = self.n_outputs
        return [(np.ascontiguousarray(values[c::m]), np.ascontiguousarray(self.weight[c::m])) for c in range(m)]

    def _joined(self, parts: list[Floats]) -> Floats:
        """Return the values of all outputs, as coefficients are: column after column."""
        return np.stack([np.asarray(part, np.float64) for part in parts], axis=1).ravel()


ScaledPenalty: TypeAlias = Separable | Blockwise
"""A penalty in internal coordinates."""


def _kernels() -> Any:
    """Import the compiled kernels when they are first needed: Numba takes 0.3 s to import."""
    from offbeat.kernels import separable

    return separable


@dataclass(frozen=True)
class Problem:
    """A loss and a penalty: ``mean_i weight_i * loss(x_i'w + b + offset_i, y_i) + penalty(w)``.

    Parameters
    ----------
    loss : NamedTuple
        One of `offbeat.losses`, or a class of your own with the same methods.
    penalty : NamedTuple
        One of `offbeat.penalties`. The intercept is never penalised.

    Raises
    ------
    ProblemError
        If a hyper-parameter is out of range.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties
    >>> Problem(losses.Squared(), penalties.L2(0.1)).penalty.alpha
    0.1
    """

    loss: Loss
    penalty: Penalty = field()

    def __post_init__(self) -> None:
        """Check both parts once, so that kernels need not; numbers that are floats by default become floats."""
        for part, name in ((self.loss, "loss"), (self.penalty, "penalty")):
            if isinstance(part, type) or not hasattr(part, "value" if name == "penalty" else "name"):
                hint = f"{part.__name__}()" if isinstance(part, type) else f"an object of offbeat.{name}s"
                raise ProblemError(f"the {name} of a Problem is {part!r}; give {hint}")
        object.__setattr__(self, "loss", _with_floats(self.loss.check() or self.loss))
        object.__setattr__(self, "penalty", _with_floats(self.penalty))

    @property
    def n_outputs(self) -> int:
        """Predictors per row: the number of classes for `Multinomial`, else 1."""
        return n_outputs(self.loss)

    def scaled_penalty(self, n_columns: int, scale: Floats | None = None) -> ScaledPenalty:
        """Return the penalty for coefficients ``u = w * scale`` (flattened over outputs).

        Parameters
        ----------
        n_columns : int
            Number of features.
        scale : ndarray, shape (n_columns,), optional
            Internal scale of the columns, as `common_scale` has it; None when the penalty is on internal coefficients.
        """
        self.penalty.check(n_columns)
        factor = np.ones(n_columns) if scale is None else 1.0 / scale
        weights = self.penalty.weights
        weight = np.ones(n_columns) if weights is None else np.array(weights, dtype=np.float64)
        if scale is not None and not np.array_equal(scale, self.common_scale(scale)):
            raise ProblemError(f"columns of one block of the {self.penalty.name} penalty have different scales")
        return self.penalty_with(np.repeat(factor, self.n_outputs), np.repeat(weight, self.n_outputs))

    def penalty_with(self, factor: Floats, weight: Floats) -> ScaledPenalty:
        """Return the penalty with these factors and weights, one a coefficient: see `scaled_penalty`."""
        rule = self.penalty._replace(weights=None)
        if questions.separable(rule):
            return Separable(rule, factor, weight)
        return Blockwise(rule, factor, weight, self.n_outputs)

    def common_scale(self, scale: Floats) -> Floats:
        """Return scales of columns that are the same within each block of the penalty: their geometric means.

        Parameters
        ----------
        scale : ndarray, shape (n_columns,)
            Positive and finite.

        Returns
        -------
        scale : ndarray, shape (n_columns,)
            The same array for a separable penalty.
        """
        if questions.separable(self.penalty):
            return scale
        block = np.unique(self.penalty.blocks(len(scale)), return_inverse=True)[1]
        first, size = np.unique(block, return_index=True)[1], np.bincount(block)
        means = np.exp(np.bincount(block, np.log(scale / scale[first][block])) / size)
        return (means * scale[first])[block]

    def certify(
        self, penalty: ScaledPenalty, u: Floats, at: Evaluation, reference: Reference, b: Floats | None = None
    ) -> Certificate:
        """Return primal, dual and gap at ``u`` from one evaluation of the loss there.

        The dual point is ``theta_i = l'(z_i)``, made feasible in two rigorous steps. An unpenalised intercept needs
        ``sum v theta = 0``: ``theta + d h`` with ``d = -sum(v theta) / sum(v h)`` adds at most ``d^2 sum(v h) / n`` to
        the conjugate. Several outputs need it for each class, and move probability between classes, an error of first
        order; the intercepts ``b`` matter only there. A bounded conjugate domain (L1) needs a scale ``s``: by
        convexity ``l*(s theta) <= s l*(theta) + (1 - s) l*(0)``.

        Whether there is a gap is a matter of penalty and reference, never of the point: gaps and gradients are in
        different units, and the points of one fit are compared. A gap is never less than the rounding of what it is
        summed from. One that is negative by much more says that the arithmetic failed, and certifies nothing: it is
        infinite.
        """
        value = penalty.value(u)
        primal = at.loss + value
        if not (penalty.has_dual and _has_intercept_dual(at, reference)):
            norm = math.hypot(penalty.optimality(u, at.gradient), float(np.linalg.norm(at.intercept_gradient)))
            norm = math.inf if math.isnan(norm) else norm
            return Certificate(
                primal, -math.inf, norm, ratio(norm, reference.gradient_norm), "gradient", reference.tolerance
            )
        point = _feasible_for_intercept(u, b, at, reference)
        gap = math.inf
        if point is not None:
            scale = penalty.dual_scale(-point.gradient)
            if scale > 0.0:
                gap = _gap(point, value, penalty.conjugate(-point.gradient, scale), scale, at, reference)
        if gap < math.inf:
            return Certificate(
                primal, primal - gap, gap, ratio(gap, reference.objective), "duality gap", reference.tolerance
            )
        # There is a dual, but this point is too far off to say anything yet.
        return Certificate(primal, -math.inf, math.inf, math.inf, "duality gap", reference.tolerance)


def _with_floats(part: Any) -> Any:
    """Return a loss or penalty whose numbers are floats: kernels are compiled anew for integers and for float32."""
    defaults = getattr(part, "_field_defaults", {})
    given = {name: getattr(part, name) for name, value in defaults.items() if isinstance(value, float)}
    odd = {name: float(v) for name, v in given.items() if isinstance(v, Real) and not isinstance(v, float)}
    return part._replace(**odd) if odd else part


def _gap(point: DualPoint, value: float, conjugate: float, scale: float, at: Evaluation, reference: Reference) -> float:
    """Return the gap, infinite where it is negative by more than rounding: a sum of terms that are not."""
    rest = (1.0 - scale) * (at.loss + reference.conjugate_zero)
    gap = value + conjugate + scale * point.excess + rest
    size = abs(at.loss) + abs(value) + abs(conjugate) + scale * point.size
    noise = ROUNDING * (size + (1.0 - scale) * abs(reference.conjugate_zero))
    return math.inf if gap < -DOUBTFUL * noise else max(abs(gap), noise)


def ratio(gap: float, reference: float) -> float:
    """Return ``gap / reference``, and the gap itself where the reference is zero or unknown."""
    return gap / reference if math.isfinite(reference) and reference > 0.0 else gap


def _has_intercept_dual(at: Evaluation, reference: Reference) -> bool:
    """Whether a dual point can be made feasible for the intercepts: for several classes, if enough is known of them."""
    several = reference.fit_intercept and at.intercept_gradient.size > 1
    return not several or (reference.shares is not None and reference.null_gradient is not None)


def _feasible_for_intercept(u: Floats, b: Floats | None, at: Evaluation, reference: Reference) -> DualPoint | None:
    """Return a dual point with ``sum v theta = 0``, or None where there is none near by."""
    if not reference.fit_intercept or not np.any(at.intercept_gradient):
        return DualPoint(at.gradient, float(u @ at.gradient), float(np.abs(u) @ np.abs(at.gradient)))
    if at.intercept_gradient.size > 1:
        return _feasible_for_classes(u, b, at, reference)
    if at.repair is None or at.repair_sum <= 0.0:
        return None
    d = -float(at.intercept_gradient[0]) / at.repair_sum
    if not abs(d) <= 1.0:
        return None
    gradient = at.gradient + d * at.repair
    added = d * d * at.repair_sum
    return DualPoint(gradient, float(u @ gradient) + added, float(np.abs(u) @ np.abs(gradient)) + added)


def _feasible_for_classes(u: Floats, b: Floats | None, at: Evaluation, reference: Reference) -> DualPoint | None:
    """Return a dual point of the multinomial loss whose every class sums to zero.

    ``theta_i = p_i - e_(y_i)`` has class sums ``c``: class ``j`` has the share ``s_j`` of the targets and ``m_j = s_j +
    c_j`` of the probability. Where ``c_j > 0``, every row gives the part ``f_j = c_j / m_j`` of ``p_ij`` away, to the
    classes with ``c_j < 0`` in the proportions ``r = c / sum(c)`` of these. So a class without targets gives all.
    The gradient is linear in what is known: ``mean v p_ij x_i = g_j - null_j``, for columns that are centred exactly.
    The conjugate of ``p'_i = sum_j (1 - f_j) p_ij e_j + q_i r`` is bounded by convexity, ``sum p' log p' <= sum_j (1 -
    f_j) p_j log((1 - f_j) p_j) - (1 - q) log(1 - q) + q sum r log r``, and its mean over rows by Jensen's inequality.
    """
    shares, null, c = reference.shares, reference.null_gradient, at.intercept_gradient
    if shares is None or null is None or b is None or not np.all(np.isfinite(c)):
        return None
    given, taken = np.maximum(c, 0.0), np.maximum(-c, 0.0)
    total, moved = float(shares.sum()), float(given.sum())
    mass = np.where(given > 0.0, shares + given, total)
    proportions = taken / max(float(taken.sum()), 1e-300)
    gradient = at.gradient.reshape(-1, c.size)
    held = gradient - null.reshape(-1, c.size)
    gifts = (given / mass) * held
    gradient = gradient - gifts + gifts.sum(axis=1, keepdims=True) * proportions
    excess = -_xlogy(given, mass / total) + _xlogy(np.where(given > 0.0, shares, 0.0), shares / mass)
    kept = max(total - moved, 0.0)
    stayed, went = float(_xlogy(kept, kept / total)), moved * float(_xlogy(proportions, proportions).sum())
    spread = b - float(shares @ b) / total  # a shift of all intercepts changes nothing, but for rounding
    linear = float(u @ at.gradient) + float(spread @ c)
    # Sums of classes are differences of shares, and are rounded like these.
    rounded = (2.0 * shares + np.abs(c)) @ (np.abs(spread) + np.abs(np.log(mass / total)))
    size = float(np.abs(u) @ np.abs(at.gradient) + np.abs(u) @ np.abs(held).ravel() + rounded) - stayed - went
    return DualPoint(gradient.ravel(), linear + float(excess.sum()) - stayed + went, size)


def _xlogy(x: Any, y: Any) -> Any:
    """Return ``x log(y)``, 0 where ``x`` is."""
    return x * np.log(np.where(np.asarray(x) > 0.0, y, 1.0))
