"""An independent answer to compare solvers with: objectives in plain NumPy, minimised by SciPy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax

Floats = NDArray[np.float64]
ROUNDING = 0.0  # bounds hold exactly, in the units of the columns


@dataclass(frozen=True)
class Data:
    """One problem's data; weight and offset of length 0 mean ones and zeros."""

    X: Floats
    y: Floats
    weight: Floats = field(default_factory=lambda: np.empty(0))
    offset: Floats = field(default_factory=lambda: np.empty(0))


def losses_and_slopes(loss: Any, z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Loss and derivative of every row at predictors of shape (n, n_outputs)."""
    name, s = loss.name, z[:, 0]
    if name == "multinomial":
        rows, label = np.arange(len(y)), y.astype(int)
        slope = softmax(z, axis=1)
        slope[rows, label] -= 1.0
        return logsumexp(z, axis=1) - z[rows, label], slope
    if name == "squared":
        value, slope = 0.5 * (s - y) ** 2, s - y
    elif name == "logistic":
        value, slope = np.logaddexp(0.0, s) - y * s, expit(s) - y
    elif name == "poisson":
        value, slope = np.exp(s) - y * s, np.exp(s) - y
    elif name == "gamma":
        value, slope = s + y * np.exp(-s), 1.0 - y * np.exp(-s)
    elif name == "huber":
        r, d = s - y, loss.delta
        value = np.where(np.abs(r) <= d, 0.5 * r**2, d * np.abs(r) - 0.5 * d**2)
        slope = np.clip(r, -d, d)
    elif name == "squared-hinge":
        sign = 2.0 * y - 1.0
        margin = np.maximum(1.0 - sign * s, 0.0)
        value, slope = 0.5 * margin**2, -sign * margin
    else:  # a loss that nobody told this file about
        value = np.array([loss.value(a, b) for a, b in zip(s, y, strict=True)])
        slope = np.array([loss.derivative(a, b) for a, b in zip(s, y, strict=True)])
    return value, slope[:, None]


@dataclass(frozen=True)
class Parts:
    """A penalty as ``l1 abs(w) + l2 w^2 / 2`` within bounds, per coefficient."""

    l1: Floats
    l2: Floats
    lower: float = -math.inf
    upper: float = math.inf


def parts(penalty: Any, k: int) -> Parts:
    """Take a penalty apart."""
    weight = np.ones(k) if penalty.weights is None else np.asarray(penalty.weights, dtype=float)
    a = penalty.alpha * weight
    none = np.zeros(k)
    if penalty.name == "l1":
        return Parts(a, none)
    if penalty.name == "elastic-net":
        return Parts(a * penalty.l1_ratio, a * (1.0 - penalty.l1_ratio))
    if penalty.name == "box":
        return Parts(none, a, penalty.lower, penalty.upper)
    return Parts(none, a)


def mean_loss(loss: Any, data: Data, coef: Floats, intercept: Floats) -> tuple[float, Floats, Floats]:
    """Mean loss and its gradients in coefficients (k, n_outputs) and intercepts."""
    n = len(data.y)
    z = data.X @ coef + intercept
    if data.offset.size:
        z = z + data.offset[:, None]
    v = data.weight if data.weight.size else np.ones(n)
    value, slope = losses_and_slopes(loss, z, data.y)
    slope = slope * v[:, None]
    return float(v @ value) / n, data.X.T @ slope / n, slope.sum(axis=0) / n


def objective(problem: Any, data: Data, coef: Any, intercept: Any) -> float:
    """Mean loss plus penalty of a model."""
    k = data.X.shape[1]
    w = np.asarray(coef, dtype=float).reshape(k, -1)
    p = parts(problem.penalty, k)
    if np.any(w < p.lower - ROUNDING) or np.any(w > p.upper + ROUNDING):
        return math.inf
    value, _, _ = mean_loss(problem.loss, data, w, np.atleast_1d(intercept))
    return value + float((p.l1[:, None] * np.abs(w) + 0.5 * p.l2[:, None] * w**2).sum())


def optimum(problem: Any, data: Data, *, fit_intercept: bool = True) -> float:
    """Smallest objective that SciPy finds: never below the true one, and usually within 1e-10 of it.

    Coefficients are split in positive and negative parts, so that L1 is linear.
    """
    k, m = data.X.shape[1], problem.n_outputs
    p = parts(problem.penalty, k)
    size = k * m
    l1, l2 = np.repeat(p.l1, m), np.repeat(p.l2, m)

    def unpack(x: Floats) -> tuple[Floats, Floats]:
        return x[:size] - x[size : 2 * size], x[2 * size :]

    def function(x: Floats) -> tuple[float, Floats]:
        w, b = unpack(x)
        with np.errstate(over="ignore", invalid="ignore"):
            value, slope, slope_b = mean_loss(problem.loss, data, w.reshape(k, m), b)
        g = slope.ravel() + l2 * w
        value += float(0.5 * l2 @ w**2 + l1 @ (x[:size] + x[size : 2 * size]))
        return value, np.concatenate([g + l1, l1 - g, slope_b if fit_intercept else np.zeros(m)])

    bounds = [(max(p.lower, 0.0), max(p.upper, 0.0))] * size + [(max(-p.upper, 0.0), max(-p.lower, 0.0))] * size
    x = np.concatenate([np.clip(np.zeros(2 * size), [a for a, _ in bounds], None), np.zeros(m)])
    options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 40}
    for _ in range(3):  # started again, L-BFGS-B forgets a memory spoilt by rounding
        x = minimize(function, x, jac=True, method="L-BFGS-B", bounds=bounds + [(None, None)] * m, options=options).x
    w, b = unpack(x)
    return objective(problem, data, w, b)
