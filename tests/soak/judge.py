"""What the optimum cannot exceed: the objective of a point that Newton's method finds in extended precision.

A certificate is refuted by one point whose objective is lower than it allows. The search has nothing in common with
the library: columns are centred and scaled in extended precision, kinks are rounded off less and less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from soak.pieces import Curve, Long, Longs, Weights, absolute, column_weights, row_loss, within

EPS = float(np.finfo(np.float64).eps)
STEPS = 60
SHRINK = 0.05  # of the barrier, between one round of steps and the next
RIDGES = (1e-15, 1e-12, 1e-9, 1e-6)  # relative to the diagonal
LAST = 1e-15  # barrier at the end, as a share of the objective
TINY = 1e-18  # of a unit of loss: what is left of a sum of numbers near one that should be zero
ROUNDINGS = 16  # of a predictor: products, a sum, the intercept's own


@dataclass(frozen=True)
class Rows:
    """A problem's rows in extended precision; ``v`` are weights over the number of rows."""

    loss: Any
    X: Longs
    y: Longs
    v: Longs
    offset: Longs
    fit_intercept: bool

    @property
    def n_outputs(self) -> int:
        """Predictors per row."""
        return int(getattr(self.loss, "n_classes", 1))

    @property
    def kinked(self) -> bool:
        """Whether the loss is not differentiable."""
        return self.loss.name in ("hinge", "epsilon-insensitive")

    @property
    def epsilon(self) -> Long:
        """Half the width of the tube without loss."""
        return Long(getattr(self.loss, "epsilon", 0.0))

    @property
    def unit(self) -> float:
        """What the loss is measured in where it can be zero: margins, tubes."""
        return float(self.epsilon) if self.loss.name == "epsilon-insensitive" else float(self.loss.classifier)

    @property
    def floor(self) -> float:
        """Mean of the smallest loss of every row."""
        y = np.where(self.y > 0, self.y, 1)
        each = {"poisson": self.y - self.y * np.log(y), "gamma": 1 + np.log(y)}.get(self.loss.name)
        return 0.0 if each is None else float(self.v @ each)

    def value(self, z: Longs, mu: float = 0.0) -> Long:
        """Return the mean loss at predictors of shape (n, n_outputs)."""
        if self.n_outputs == 1:
            return row_loss(self.loss, z[:, 0], self.y, self.v, mu).value.sum()
        top = z.max(axis=1)
        each = top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(z)), self.y.astype(int)]
        return Long((self.v * each).sum())

    def bends(self, z: Longs, mu: float) -> tuple[Longs, Longs]:
        """Return slopes (n, n_outputs) and second derivatives (n, n_outputs, n_outputs)."""
        if self.n_outputs == 1:
            curve = row_loss(self.loss, z[:, 0], self.y, self.v, mu)
            return curve.slope[:, None], curve.bend[:, None, None]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        bend = (np.eye(self.n_outputs, dtype=Long) * p[:, :, None] - p[:, :, None] * p[:, None, :]) * self.v[
            :, None, None
        ]
        slope = p.copy()
        slope[np.arange(len(z)), self.y.astype(int)] -= 1
        return slope * self.v[:, None], bend


class Objective:
    """``mean weight * loss + penalty`` of rows whose columns are centred and scaled in extended precision.

    Parameters
    ----------
    rows : Rows
    penalty : NamedTuple
    standardize : bool
        Whether the penalty is on coefficients of columns of unit deviation.
    """

    def __init__(self, rows: Rows, penalty: Any, *, standardize: bool) -> None:
        self.rows = rows
        total = rows.v.sum()
        mean = rows.v @ rows.X / total
        deviation = np.sqrt(rows.v @ (rows.X - mean) ** 2 / total)
        constant = deviation <= 1e-17 * np.abs(mean)
        self.center = mean if rows.fit_intercept else np.zeros_like(mean)
        root = np.sqrt(rows.v @ (rows.X - self.center) ** 2 / total)
        self.scale = np.where(root > 1e-17 * np.abs(mean), root, 1)
        self.Z = (rows.X - self.center) / self.scale
        if rows.fit_intercept:
            self.Z[:, constant] = 0
        unit = np.where(constant, 1, deviation) if standardize else np.ones_like(mean)
        self.weights = column_weights(penalty, len(mean), unit)
        self.inner = Weights(
            self.weights.l1 / self.scale,
            self.weights.l2 / self.scale**2,
            self.weights.lower * self.scale,
            self.weights.upper * self.scale,
        )

    def parts(self, x: Longs) -> tuple[Longs, Longs]:
        """Return coefficients (k, n_outputs) and intercepts (n_outputs,) of a flat point."""
        m = self.rows.n_outputs
        size = self.Z.shape[1] * m
        return x[:size].reshape(-1, m), x[size:]

    def inside(self, coef: Any, intercept: Any) -> Longs:
        """Return a model of the columns' own units as a flat point in here."""
        w = np.asarray(coef, Long).reshape(self.Z.shape[1], -1)
        b = np.atleast_1d(np.asarray(intercept, Long)) + self.center @ w
        return np.concatenate([(w * self.scale[:, None]).ravel(), b])

    def predictors(self, x: Longs) -> Longs:
        """Return the predictors of every row."""
        u, b = self.parts(x)
        return self.Z @ u + b + self.rows.offset[:, None]

    def penalty(self, u: Longs, mu: float) -> Curve:
        """Return the penalty of every coefficient, of shape (k, n_outputs)."""
        p = Weights(*(np.repeat(each[:, None], u.shape[1], axis=1) for each in self.inner))
        a, b = absolute(u, p.l1, mu), within(u, p.lower, p.upper, mu)
        return Curve(a.value + b.value + p.l2 * u**2 / 2, a.slope + b.slope + p.l2 * u, a.bend + b.bend + p.l2)

    def value(self, x: Longs, mu: float = 0.0) -> Long:
        """Return the objective."""
        with np.errstate(over="ignore", invalid="ignore"):
            value = self.rows.value(self.predictors(x), mu) + self.penalty(self.parts(x)[0], mu).value.sum()
        return value if np.isfinite(value) else Long(np.inf)

    def step(self, x: Longs, mu: float) -> tuple[Longs, Longs]:
        """Return gradient and Newton step. The step is solved for in double precision: it only has to descend."""
        slope, bend = self.rows.bends(self.predictors(x), mu)
        u, _ = self.parts(x)
        k, m = u.shape
        p = self.penalty(u, mu)
        A = np.concatenate([self.Z, np.ones((len(self.Z), 1), Long)], axis=1)
        gradient = (A.T @ slope).ravel()
        gradient[: k * m] += p.slope.ravel()
        hessian = np.einsum("ij,iab,il->jalb", A, bend, A).reshape((k + 1) * m, -1)
        hessian[np.arange(k * m), np.arange(k * m)] += p.bend.ravel()
        if not self.rows.fit_intercept:
            gradient[k * m :] = 0
            hessian[k * m :], hessian[:, k * m :] = 0, 0
        return gradient, -_solve(hessian, gradient)


def _solve(hessian: Longs, gradient: Longs) -> Longs:
    """Solve with the diagonal scaled to ones, and a ridge that rounding needs."""
    root = np.sqrt(np.maximum(np.diag(hessian), 0))
    root[root == 0] = 1
    scaled, right = (hessian / root / root[:, None]).astype(float), (gradient / root).astype(float)
    for ridge in RIDGES:
        try:
            factor = cho_factor(scaled + ridge * np.eye(len(right)), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return cho_solve(factor, right, check_finite=False).astype(Long) / root
    return gradient / root**2


def minimise(objective: Objective, start: Longs) -> Longs:
    """Return a point with as small an objective as extended precision allows, never worse than ``start``."""
    best, lowest = start, objective.value(start)
    kinked = objective.inner.kinked or objective.rows.kinked
    if not kinked:
        return _descend(objective, start, 0.0, best)
    x = np.zeros_like(start)
    low, high = objective.inner.lower, objective.inner.upper
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isfinite(low), np.where(np.isfinite(high), (low + high) / 2, low + 1), high - 1)
    u, _ = objective.parts(x)
    u[...] = np.where(np.isfinite(middle), middle, 0)[:, None]
    scale = float(objective.value(x))
    mu = max(scale, 1e-300) * 0.1 / max(objective.Z.shape)
    last = mu * LAST
    while mu > last:
        x = _descend(objective, x, mu, x)
        mu *= SHRINK
        if (value := objective.value(x)) < lowest:
            best, lowest = x, value
    return best


def _descend(objective: Objective, x: Longs, mu: float, best: Longs) -> Longs:
    """Take Newton steps with halving until they no longer help."""
    value = objective.value(x, mu)
    for _ in range(STEPS):
        gradient, d = objective.step(x, mu)
        slope = gradient @ d
        if not (np.all(np.isfinite(d)) and slope < 0) or -slope < 1e-19 * abs(value):
            break
        t = Long(1)
        while t > 1e-12 and not (new := objective.value(x + t * d, mu)) <= value + 0.01 * t * slope:
            t /= 2
        if t <= 1e-12:
            break
        x, value = x + t * d, new
    return x if objective.value(x) <= objective.value(best) or mu else best


def rounding(objective: Objective, coef: Any, intercept: Any) -> float:
    """Return what the objective may change by when coefficients are kept as doubles and predictors rounded."""
    rows = objective.rows
    w, b = np.asarray(coef, Long).reshape(rows.X.shape[1], -1), np.atleast_1d(np.asarray(intercept, Long))
    dz = ROUNDINGS * EPS * (np.abs(rows.X) @ np.abs(w) + np.abs(b) + np.abs(rows.offset)[:, None])
    z = objective.predictors(objective.inside(w, b))
    with np.errstate(over="ignore"):
        around = [rows.bends(z + s * dz, 0.0)[0] for s in (-1, 0, 1)]
    change = float(sum((np.abs(slope) * dz).sum() for slope in around))
    return change + ROUNDINGS * EPS * float(np.abs(objective.value(objective.inside(w, b)))) + TINY * rows.unit


def null_objective(objective: Objective) -> float:
    """Return the objective at ``w = 0`` with the best intercept, above the floor that no model can pass."""
    rows = objective.rows
    empty = replace(rows, X=np.zeros((len(rows.y), 1), Long))
    flat = Objective(empty, _Nothing(), standardize=False)
    x = np.zeros(1 + rows.n_outputs if rows.n_outputs == 1 else 2 * rows.n_outputs, Long)
    if not rows.fit_intercept:
        return float(flat.value(x)) - rows.floor
    starts = [x]
    if rows.n_outputs == 1:  # kinks of the mean loss, and something sensible for those that have none
        ends = [rows.y - rows.offset + e for e in (-rows.epsilon, rows.epsilon)]
        starts += [np.array([0, b], Long) for b in np.unique(np.concatenate([*ends, 2 * rows.y - 1 - rows.offset]))]
    lowest = min(starts, key=flat.value)
    return float(flat.value(lowest if rows.kinked else _descend(flat, lowest, 0.0, lowest))) - rows.floor


class _Nothing(NamedTuple):
    """No penalty, whatever the library calls it."""

    alpha: float = 0.0
    weights: None = None
    name: str = "none"


def slopes(objective: Objective, x: Longs) -> tuple[float, float]:
    """Return norms of the gradient, at a point and at ``w = 0``, where nothing has a kink; NaN elsewhere."""
    if objective.inner.kinked or objective.rows.kinked:
        return float("nan"), float("nan")
    size = objective.Z.shape[1] * objective.rows.n_outputs
    empty = np.zeros_like(x)
    flat = replace(objective.rows, X=np.zeros((len(objective.rows.y), 1), Long))
    m = objective.rows.n_outputs
    if objective.rows.fit_intercept:
        start = Objective(flat, _Nothing(), standardize=False)
        zeros = np.zeros(2 * m, Long)
        empty[size:] = _descend(start, zeros, 0.0, zeros)[m:]
    with np.errstate(over="ignore", invalid="ignore"):
        here, there = objective.step(x, 0.0)[0], objective.step(empty, 0.0)[0]
    return float(np.linalg.norm(here.astype(float))), float(np.linalg.norm(there.astype(float)))
