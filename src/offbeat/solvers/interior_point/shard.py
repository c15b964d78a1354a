"""The shard's side of `InteriorPoint`: one step of all its rows, and a bound of the optimum."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem
from offbeat.solvers.interior_point import steps as interior_steps
from offbeat.solvers.interior_point.products import Frame, Products
from offbeat.solvers.interior_point.steps import Interior

ROOM = 10.0  # from the boundary, at the start, in units of the mean residual: measured, 1 to 100
SHORT = 0.995  # of the way to the boundary, at most
ROUNDING = 1e-15  # of a sum of products, relative to its terms
REFINED = 4  # solutions of a system: what rounding left is solved for again
JITTERS = (0.0, 1e-15, 1e-13, 1e-11, 1e-9, 1e-7)  # of the diagonal, until a system is definite: they cost digits


class Query(NamedTuple):
    """What a shard must know: the frame, where to begin (internal, intercept last), the penalty times the rows.

    The penalty is ``ridge u^2 / 2 + kink abs(u)``, column by column; ``kink`` is of length 0 where there is none.
    """

    frame: Frame
    start: Floats
    ridge: Floats
    kink: Floats


class Facts(NamedTuple):
    """Sums over the rows at a point, and the numbers of steps.

    ``loss``; ``conjugate``, that of the dual variables which the gradient of a contribution belongs to, and
    ``rounding``, how far off it may be; ``proved``, whether these are feasible; ``steps`` taken so far.
    """

    loss: float
    conjugate: float
    rounding: float
    proved: float
    steps: float


class Memory(NamedTuple):
    """Where a shard stands: coefficients, intercept last, and the interiors of rows and columns."""

    x: Floats
    rows: Interior
    columns: Interior

    def flat(self) -> Floats:
        """Return all in one array."""
        parts = [part.ravel() for part in (*self.rows, *self.columns)]
        return np.concatenate([self.x, *parts])

    @classmethod
    def unflat(cls, flat: Floats, size: int, n_rows: int, n_kinks: int) -> Memory:
        """Return what `flat` packed, for ``size`` unknowns, ``n_rows`` that count and columns with kinks."""
        rest = flat[size:]
        columns = rest[len(rest) - 4 * n_kinks :].reshape(4, 1, n_kinks)
        rows = rest[: len(rest) - 4 * n_kinks].reshape(4, -1, n_rows)
        return cls(flat[:size], Interior(*rows), Interior(*columns))


class Rows(NamedTuple):
    """What is known of the rows of a shard, and what can be found out again.

    ``low``, shape (n,), and ``kink``, ``cap``, shape (terms, n), are the loss of each row that counts, times its
    weight: see `interior_steps`. ``live`` are these rows, None if all count.

    ``column``, shape (1, k), is the weight of a column on the central path. If it were as steep as the column's term,
    weak penalties would lose digits; if it were like a row, columns that repeat each other would be sent far out. The
    geometric mean of the two does neither.
    """

    products: Products
    live: NDArray[np.intp] | None
    low: Floats
    kink: Floats
    cap: Floats
    column: Floats


def rows_of(problem: Problem, shard: Shard, query: Query) -> Rows:
    """Look at the targets of a shard."""
    from offbeat.kernels import pieces

    live = np.flatnonzero(shard.weight > 0.0) if shard.weight.size and not np.all(shard.weight > 0.0) else None
    y, v, o = (_some(values, live) for values in (shard.y, shard.weight, shard.offset))
    out = np.empty((2, 3, len(y)))
    pieces.pieces(problem.loss, y, out)
    if np.array_equal(out[0, :2], out[1, :2]):
        out = out[:1]
    weight = v if v.size else np.ones(len(y))
    kink = out[:, 2] - o if o.size else out[:, 2].copy()
    cap = weight * (out[:, 1] - out[:, 0])
    column = np.sqrt(float(cap.mean()) * 2.0 * query.kink[None, :])
    return Rows(Products(shard, query.frame, live), live, weight * out[0, 0], kink, cap, column)


def _some(values: Floats, live: NDArray[np.intp] | None) -> Floats:
    return values[live] if values.size and live is not None else values


def begun(rows: Rows, query: Query) -> Memory:
    """Return the first point: as far from the boundary as residuals and coefficients are large."""
    x, caps = query.start, 2.0 * query.kink[None, :]
    z, u = rows.products.predictors(x), x[: len(query.kink)]
    size = float(np.average(np.abs(z - rows.kink), weights=rows.cap)) or 1.0
    inside = interior_steps.first(rows.kink, rows.cap, z, ROOM * size)
    # Columns have unit variance, about, so that coefficients are as large as predictors.
    room = (float(np.mean(np.abs(u))) if u.size else 0.0) or size
    return Memory(x, inside, interior_steps.first(np.zeros_like(caps), caps, u, room))


def improved(
    problem: Problem, shard: Shard, rows: Rows, memory: Memory, query: Query, steps: float
) -> tuple[Memory, Floats, Facts]:
    """Return the point after a step of the predictor and corrector; gradient and facts are of the point before."""
    inside, columns = memory.rows, memory.columns
    theta = rows.low + inside.dual.sum(axis=0)
    bound, conjugate, rounding, proved = _feasible(problem, shard, rows, theta, query.frame.on)
    stiff = interior_steps.bend(inside)
    vectors = np.stack([theta, bound, (stiff * interior_steps.error(inside, rows.cap, 0.0, None)).sum(axis=0)], axis=1)
    matrix, sums = rows.products.gram(stiff.sum(axis=0), vectors)
    facts = Facts(_loss(problem, shard, rows, inside), conjugate, rounding, proved, steps + 1.0)
    system = _System(matrix, query, columns, rows.column)
    if not np.all(np.isfinite(sums)) or not system.definite:
        return memory._replace(x=np.full_like(memory.x, math.nan)), sums[:, 1], facts
    slope = sums[:, 0] + query.ridge * memory.x
    slope[: len(query.kink)] += columns.dual[0] - query.kink
    return _stepped(rows, memory, system, slope, sums[:, 2]), sums[:, 1], facts


def _stepped(rows: Rows, memory: Memory, system: _System, slope: Floats, pushed: Floats) -> Memory:
    """Return the point after the step that Mehrotra's predictor and corrector (1992, SIAM J. Optim. 2:575) find."""
    inside, columns = memory.rows, memory.columns
    steep = 2.0 * float(rows.cap.sum() + rows.column.sum())
    mu = (inside.products + columns.products) / steep
    d = system.solved(pushed - slope, 0.0, None)
    part = d[: columns.dual.size]
    straight = Interior(*(np.empty_like(values) for values in inside))
    stiff = interior_steps.bend(inside)

    def corrections(where: slice, moved: Floats) -> Floats:
        """Return what the second step needs of some rows, and keep their first."""
        at, own, weight = inside.of(where), stiff[:, where], rows.cap[:, where]
        change = interior_steps.step(at, weight, moved, 0.0, None)
        for kept, values in zip(straight, change, strict=True):
            kept[:, where] = values
        errors = (interior_steps.pull(at, weight), interior_steps.second(at, change))
        return np.stack([(own * error).sum(axis=0) for error in errors], axis=1)

    sums = rows.products.joined(d, corrections)[1]
    straight_columns = interior_steps.step(columns, rows.column, part, 0.0, None)
    lengths = _lengths(memory, straight, straight_columns, 1.0)
    ahead = [interior_steps.after(*pair, lengths) for pair in ((inside, straight), (columns, straight_columns))]
    goal = mu * (sum(each.products for each in ahead) / (steep * mu)) ** 3
    d = system.solved(pushed - slope + goal * sums[:, 0] + sums[:, 1], goal, straight_columns)
    change = interior_steps.step(inside, rows.cap, rows.products.predictors(d), goal, straight)
    change_columns = interior_steps.step(columns, rows.column, d[: columns.dual.size], goal, straight_columns)
    lengths = _lengths(memory, change, change_columns, SHORT)
    inside = interior_steps.after(inside, change, lengths)
    columns = interior_steps.after(columns, change_columns, lengths)
    return Memory(memory.x + lengths[1] * d, inside, columns)


def _lengths(memory: Memory, change: Interior, columns: Interior, share: float) -> tuple[float, float]:
    """Return a share of how far multipliers and slacks may go until something is zero, at most all the way."""
    pairs = zip(interior_steps.speeds(memory.rows, change), interior_steps.speeds(memory.columns, columns), strict=True)
    dual, primal = (share / max(*pair, share) for pair in pairs)
    return dual, primal


def _loss(problem: Problem, shard: Shard, rows: Rows, inside: Interior) -> float:
    """Return the sum of the loss where the predictors are."""
    from offbeat.kernels.rows import loss_sum

    y, v, o = (_some(values, rows.live) for values in (shard.y, shard.weight, shard.offset))
    z = rows.kink[0] + inside.above[0] - inside.below[0] + (o if o.size else 0.0)
    return float(loss_sum(problem.loss, z, y, v)[0])


def _feasible(
    problem: Problem, shard: Shard, rows: Rows, theta: Floats, on: float
) -> tuple[Floats, float, float, float]:
    """Return dual variables that sum to zero where there is an intercept, times weights, and what they prove.

    They move towards an end of their range in proportion to how far away it is.
    """
    from offbeat.kernels import dual_sums

    high = rows.low + rows.cap.sum(axis=0)
    bound = np.clip(theta, rows.low, high)
    excess, proved = float(bound.sum()), 1.0
    if on and excess != 0.0:
        room = bound - rows.low if excess > 0.0 else high - bound
        total = float(room.sum())
        proved = float(total >= abs(excess))
        bound = np.clip(bound - excess / max(total, abs(excess)) * room, rows.low, high)
    y, v, o = (_some(values, rows.live) for values in (shard.y, shard.weight, shard.offset))
    out = np.zeros((2, 2))
    dual_sums.conjugates(problem.loss, (y, v, o), bound / v if v.size else bound, out)
    size = float(np.abs(bound) @ np.abs(rows.kink).max(axis=0))
    return bound, float(out[0, 0]), ROUNDING * size, proved


class _System:
    """The equations of a step, with the terms of the columns; scaled, as units of interiors are far apart."""

    def __init__(self, matrix: Floats, query: Query, columns: Interior, weight: Floats) -> None:
        diagonal = np.einsum("ii->i", matrix)
        diagonal += query.ridge
        self._columns, self._weight = columns, weight
        self._stiff = interior_steps.bend(columns)[0]
        diagonal[: len(self._stiff)] += self._stiff
        if not query.frame.on:
            matrix[-1, -1] = 1.0
        self._matrix, self._scale = matrix, 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        self.definite = bool(np.all(np.isfinite(matrix)) and self._factored())

    def _factored(self) -> bool:
        scaled = self._matrix * self._scale * self._scale[:, None]
        for jitter in JITTERS:
            try:
                self._factor = np.linalg.cholesky(scaled + jitter * np.eye(len(scaled)))
            except np.linalg.LinAlgError:
                continue
            return True
        return False

    def solved(self, right: Floats, mu: float, straight: Interior | None) -> Floats:
        """Return the change of the unknowns; ``right`` is of the rows, to which what columns add comes."""
        from offbeat.kernels.triangular import cholesky_solve

        right = right.copy()
        k = len(self._stiff)
        right[:k] += self._stiff * interior_steps.error(self._columns, self._weight, mu, straight)[0]
        d = np.zeros_like(right)
        for _ in range(REFINED):
            rest = (right - self._matrix @ d) * self._scale
            cholesky_solve(self._factor, rest)
            d += rest * self._scale
        return d


__all__ = ["Facts", "Memory", "Query", "Rows", "begun", "improved", "rows_of"]
