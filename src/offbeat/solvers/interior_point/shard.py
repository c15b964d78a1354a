"""The shard's side of `InteriorPoint`: one predictor-corrector step, and the terms of the lower bound."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard, Targets
from offbeat.problem import Floats, Problem
from offbeat.solvers.interior_point import steps as interior_steps
from offbeat.solvers.interior_point.products import RowProducts, ScaledColumns
from offbeat.solvers.interior_point.steps import TermVariables

START_DISTANCE = 10.0  # of the first slacks from zero, in mean residuals; measured: 1 to 100 do equally well
MAX_BOUNDARY_SHARE = 0.995  # longest step, as a share of the way to the boundary
RELATIVE_ROUNDING = 1e-15  # of a sum of products, relative to its terms
REFINEMENT_STEPS = 4  # of iterative refinement, with the first solution
JITTERS = (0.0, 1e-15, 1e-13, 1e-11, 1e-9, 1e-7)  # added to the scaled diagonal, in turn, until the factorisation works


class InteriorQuery(NamedTuple):
    """What a shard needs: the coordinates, the start (internal, intercept last), the penalty times the rows.

    The penalty is ``ridge u^2 / 2 + kink abs(u)``, column by column. Without a lasso, ``kink`` has length 0.
    """

    frame: ScaledColumns
    start: Floats
    ridge: Floats
    kink: Floats


class InteriorScalars(NamedTuple):
    """Scalars of a contribution.

    ``loss`` is the sum of the loss over the rows, ``conjugate`` that of the conjugate at the dual variables, with an
    error of at most ``rounding``. ``proved`` is 1 if the dual variables are feasible, else 0. ``steps`` counts steps.
    """

    loss: float
    conjugate: float
    rounding: float
    proved: float
    steps: float


class PrimalDualPoint(NamedTuple):
    """A primal-dual point: coefficients (intercept last), and slacks and multipliers of rows and of columns."""

    x: Floats
    rows: TermVariables
    columns: TermVariables

    def flat(self) -> Floats:
        """Return all fields in one array."""
        parts = [part.ravel() for part in (*self.rows, *self.columns)]
        return np.concatenate([self.x, *parts])

    @classmethod
    def unflat(cls, flat: Floats, size: int, n_rows: int, n_kinks: int) -> PrimalDualPoint:
        """Return what `flat` packed, for ``size`` unknowns, ``n_rows`` rows with a weight and ``n_kinks`` columns."""
        rest = flat[size:]
        columns = rest[len(rest) - 4 * n_kinks :].reshape(4, 1, n_kinks)
        rows = rest[: len(rest) - 4 * n_kinks].reshape(4, -1, n_rows)
        return cls(flat[:size], TermVariables(*rows), TermVariables(*columns))


class RowTerms(NamedTuple):
    """The loss of each row of a shard as piecewise linear terms. It follows from the targets and can be computed again.

    ``live`` are the rows with a positive weight, None if all have one. ``low``, shape (n,), and ``kink``, ``cap``,
    shape (terms, n), describe the loss of these rows times their weight: see `steps`.

    ``column``, shape (1, k), is the weight of a column on the central path: the geometric mean of the slope of the
    column's term and of the mean row's. With the first alone, weak penalties would lose digits. With the second alone,
    the coefficients of collinear columns would become very large.
    """

    products: RowProducts
    live: NDArray[np.intp] | None
    low: Floats
    kink: Floats
    cap: Floats
    column: Floats


def row_terms(problem: Problem, shard: Shard, query: InteriorQuery) -> RowTerms:
    """Return the terms of the rows of a shard, from its targets, weights and offsets."""
    live = np.flatnonzero(shard.weight > 0.0) if shard.weight.size and not np.all(shard.weight > 0.0) else None
    y, v, o = (_with_weight(values, live) for values in (shard.y, shard.weight, shard.offset))
    out = _conjugate_pieces(problem, y)
    weight = v if v.size else np.ones(len(y))
    kink = out[:, 2] - o if o.size else out[:, 2].copy()
    cap = weight * (out[:, 1] - out[:, 0])
    column = np.sqrt(float(cap.mean()) * 2.0 * query.kink[None, :])
    return RowTerms(RowProducts(shard, query.frame, live), live, weight * out[0, 0], kink, cap, column)


def _conjugate_pieces(problem: Problem, y: Floats) -> Floats:
    """Return the ends and slopes of the straight pieces of the conjugate of each row, shape (pieces, 3, n)."""
    from offbeat.kernels.row_sums import conjugate_pieces

    out = np.empty((1, 3, len(y)))
    most = int(conjugate_pieces(problem.loss, y, out))
    if most > 1:
        out = np.empty((most, 3, len(y)))
        conjugate_pieces(problem.loss, y, out)
    return out


def _with_weight(values: Floats, live: NDArray[np.intp] | None) -> Floats:
    """Return the values of the rows with a positive weight."""
    return values[live] if values.size and live is not None else values


def start_point(rows: RowTerms, query: InteriorQuery) -> PrimalDualPoint:
    """Return the first point. Its distance from the boundary is in proportion to the residuals and coefficients."""
    x, caps = query.start, 2.0 * query.kink[None, :]
    z, u = rows.products.predictors(x), x[: len(query.kink)]
    size = float(np.average(np.abs(z - rows.kink), weights=rows.cap)) or 1.0
    inside = interior_steps.start(rows.kink, rows.cap, z, START_DISTANCE * size)
    # Columns have about unit variance. So coefficients and predictors are of the same order.
    room = (float(np.mean(np.abs(u))) if u.size else 0.0) or size
    return PrimalDualPoint(x, inside, interior_steps.start(np.zeros_like(caps), caps, u, room))


def take_step(
    problem: Problem, shard: Shard, rows: RowTerms, point: PrimalDualPoint, query: InteriorQuery, steps: float
) -> tuple[PrimalDualPoint, Floats, InteriorScalars]:
    """Return the point after one step, and the gradient and scalars of the point before it."""
    inside, columns = point.rows, point.columns
    theta = rows.low + inside.dual.sum(axis=0)
    bound, conjugate, rounding, proved = _feasible_dual(problem, shard, rows, theta, query.frame.on)
    stiff = interior_steps.stiffness(inside)
    vectors = np.stack(
        [theta, bound, (stiff * interior_steps.residual(inside, rows.cap, 0.0, None)).sum(axis=0)], axis=1
    )
    matrix, sums = rows.products.gram(stiff.sum(axis=0), vectors)
    facts = InteriorScalars(_loss(problem, shard, rows, inside), conjugate, rounding, proved, steps + 1.0)
    system = _NewtonSystem(matrix, query, columns, rows.column)
    if not np.all(np.isfinite(sums)) or not system.definite:
        return point._replace(x=np.full_like(point.x, math.nan)), sums[:, 1], facts
    slope = sums[:, 0] + query.ridge * point.x
    slope[: len(query.kink)] += columns.dual[0] - query.kink
    return _predictor_corrector(rows, point, system, slope, sums[:, 2]), sums[:, 1], facts


def _predictor_corrector(
    rows: RowTerms, point: PrimalDualPoint, system: _NewtonSystem, slope: Floats, pushed: Floats
) -> PrimalDualPoint:
    """Return the point after one step of Mehrotra's predictor-corrector method (1992, SIAM J. Optim. 2:575)."""
    inside, columns = point.rows, point.columns
    steep = 2.0 * float(rows.cap.sum() + rows.column.sum())
    mu = (inside.products + columns.products) / steep
    d = system.solve(pushed - slope, 0.0, None)
    part = d[: columns.dual.size]
    affine = TermVariables(*(np.empty_like(values) for values in inside))
    stiff = interior_steps.stiffness(inside)

    def corrections(where: slice, moved: Floats) -> Floats:
        """Store the affine step of some rows. Return the residuals that the corrector needs."""
        at, own, weight = inside.of(where), stiff[:, where], rows.cap[:, where]
        change = interior_steps.change_for(at, weight, moved, 0.0, None)
        for kept, values in zip(affine, change, strict=True):
            kept[:, where] = values
        errors = (interior_steps.centering(at, weight), interior_steps.second_order(at, change))
        return np.stack([(own * error).sum(axis=0) for error in errors], axis=1)

    sums = rows.products.predictors_and_sums(d, corrections)[1]
    affine_columns = interior_steps.change_for(columns, rows.column, part, 0.0, None)
    lengths = _step_lengths(point, affine, affine_columns, 1.0)
    ahead = [interior_steps.moved_by(*pair, lengths) for pair in ((inside, affine), (columns, affine_columns))]
    goal = mu * (sum(each.products for each in ahead) / (steep * mu)) ** 3
    d = system.solve(pushed - slope + goal * sums[:, 0] + sums[:, 1], goal, affine_columns)
    change = interior_steps.change_for(inside, rows.cap, rows.products.predictors(d), goal, affine)
    change_columns = interior_steps.change_for(columns, rows.column, d[: columns.dual.size], goal, affine_columns)
    lengths = _step_lengths(point, change, change_columns, MAX_BOUNDARY_SHARE)
    inside = interior_steps.moved_by(inside, change, lengths)
    columns = interior_steps.moved_by(columns, change_columns, lengths)
    return PrimalDualPoint(point.x + lengths[1] * d, inside, columns)


def _step_lengths(
    point: PrimalDualPoint, change: TermVariables, columns: TermVariables, share: float
) -> tuple[float, float]:
    """Return the step lengths of multipliers and of slacks: a share of the way to the boundary, at most 1."""
    pairs = zip(
        interior_steps.boundary_speeds(point.rows, change),
        interior_steps.boundary_speeds(point.columns, columns),
        strict=True,
    )
    dual, primal = (share / max(*pair, share) for pair in pairs)
    return dual, primal


def _loss(problem: Problem, shard: Shard, rows: RowTerms, inside: TermVariables) -> float:
    """Return the sum of the loss at the predictors that the slacks imply."""
    from offbeat.kernels.evaluation import loss_sum

    y, v, o = (_with_weight(values, rows.live) for values in (shard.y, shard.weight, shard.offset))
    z = rows.kink[0] + inside.above[0] - inside.below[0] + (o if o.size else 0.0)
    return float(loss_sum(problem.loss, z, y, v)[0])


def _feasible_dual(
    problem: Problem, shard: Shard, rows: RowTerms, theta: Floats, on: float
) -> tuple[Floats, float, float, float]:
    """Return weighted dual variables that are feasible, their conjugate, its rounding, and whether they are feasible.

    With an intercept they must sum to zero. Each moves towards an end of its range, in proportion to the distance.
    """
    from offbeat.kernels.row_sums import conjugates

    high = rows.low + rows.cap.sum(axis=0)
    bound = np.clip(theta, rows.low, high)
    excess, proved = float(bound.sum()), 1.0
    if on and excess != 0.0:
        room = bound - rows.low if excess > 0.0 else high - bound
        total = float(room.sum())
        proved = float(total >= abs(excess))
        bound = np.clip(bound - excess / max(total, abs(excess)) * room, rows.low, high)
    y, v, o = (_with_weight(values, rows.live) for values in (shard.y, shard.weight, shard.offset))
    out = np.zeros((2, 2))
    conjugates(problem.loss, Targets(y, v, o), bound / v if v.size else bound, out)
    size = float(np.abs(bound) @ np.abs(rows.kink).max(axis=0))
    return bound, float(out[0, 0]), RELATIVE_ROUNDING * size, proved


class _NewtonSystem:
    """The Newton system of a step, with the terms of the columns. It is scaled to a unit diagonal."""

    def __init__(self, matrix: Floats, query: InteriorQuery, columns: TermVariables, weight: Floats) -> None:
        diagonal = np.einsum("ii->i", matrix)
        diagonal += query.ridge
        self._columns, self._weight = columns, weight
        self._stiff = interior_steps.stiffness(columns)[0]
        diagonal[: len(self._stiff)] += self._stiff
        if not query.frame.on:
            matrix[-1, -1] = 1.0
        self._matrix, self._scale = matrix, 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        self.definite = bool(np.all(np.isfinite(matrix)) and self._factored())

    def _factored(self) -> bool:
        """Factorise the matrix, with a jitter if needed. Return whether it worked."""
        scaled = self._matrix * self._scale * self._scale[:, None]
        for jitter in JITTERS:
            try:
                self._factor = np.linalg.cholesky(scaled + jitter * np.eye(len(scaled)))
            except np.linalg.LinAlgError:
                continue
            return True
        return False

    def solve(self, right: Floats, mu: float, affine: TermVariables | None) -> Floats:
        """Return the change of the unknowns.

        ``right`` is the rows' right-hand side; that of the columns is added here.
        """
        from offbeat.kernels.triangular import cholesky_solve

        right = right.copy()
        k = len(self._stiff)
        right[:k] += self._stiff * interior_steps.residual(self._columns, self._weight, mu, affine)[0]
        d = np.zeros_like(right)
        for _ in range(REFINEMENT_STEPS):
            residual = (right - self._matrix @ d) * self._scale
            cholesky_solve(self._factor, residual)
            d += residual * self._scale
        return d
