"""A tight reference: proximal Newton in plain NumPy, run until rounding stops it. Slow, simple, and in no race."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import certified
from benchmarks.harness.objective import blocks, loss_values, null_intercept
from benchmarks.harness.problem import Floats, Problem

STEPS = 60
SWEEPS = 2000
MOST = 1000  # columns of a Hessian


def solve(problem: Problem) -> tuple[Floats, Floats]:
    """Return coefficients (n_alphas, n_columns) and intercepts (n_alphas,) at the optimum, to rounding.

    Parameters
    ----------
    problem : Problem
    """
    if problem.sparse or problem.k > MOST:
        return certified.solve(problem)
    if problem.loss == "squared":
        return _quadratic_path(problem)
    point = np.append(np.zeros(problem.k), null_intercept(problem))
    rows = []
    for alpha in problem.alphas:
        point = _newton(problem, float(alpha), point)
        rows.append(point)
    found = np.array(rows)
    return found[:, :-1], found[:, -1]


def _quadratic_path(problem: Problem) -> tuple[Floats, Floats]:
    """Squared loss: one exact quadratic model serves all penalties."""
    _, gradient, hessian = _model(problem, np.zeros(problem.k + 1))
    point, rows = np.zeros(problem.k + 1), []
    for alpha in problem.alphas:
        point = _minimise(problem, float(alpha), gradient + hessian @ point, hessian, point)
        rows.append(point)
    found = np.array(rows)
    return found[:, :-1], found[:, -1]


def _model(problem: Problem, point: Floats) -> tuple[float, Floats, Floats]:
    """Return mean loss, gradient and Hessian in (coefficients, intercept)."""
    k = problem.k
    value, gradient, hessian = 0.0, np.zeros(k + 1), np.zeros((k + 1, k + 1))
    for rows, block in blocks(problem.X):
        y = problem.y[rows]
        z = block @ point[:k] + point[k]
        value += float(loss_values(problem.loss, z, y).sum())
        first, second = _slopes(problem, z, y)
        gradient[:k] += first @ block
        gradient[k] += first.sum()
        weighted = block * second[:, None]
        hessian[:k, :k] += weighted.T @ block
        hessian[k, :k] += weighted.sum(axis=0)
        hessian[k, k] += second.sum()
    hessian[:k, k] = hessian[k, :k]
    return value / problem.n, gradient / problem.n, hessian / problem.n


def _slopes(problem: Problem, z: Floats, y: Floats) -> tuple[Floats, Floats]:
    if problem.loss == "logistic":
        tail = np.exp(-np.abs(z))
        mean = np.where(z > 0, 1.0, tail) / (1.0 + tail)
        return mean - y, mean * (1.0 - mean)
    if problem.loss == "poisson":
        mean = np.exp(z)
        return mean - y, mean
    return z - y, np.ones_like(z)


def _penalty(problem: Problem, alpha: float, w: Floats) -> float:
    return alpha * (problem.l1_ratio * float(np.abs(w).sum()) + (1 - problem.l1_ratio) / 2 * float(w @ w))


def _mean_loss(problem: Problem, point: Floats) -> float:
    total = 0.0
    with np.errstate(over="ignore"):
        for rows, block in blocks(problem.X):
            total += float(loss_values(problem.loss, block @ point[:-1] + point[-1], problem.y[rows]).sum())
    return total / problem.n


def _newton(problem: Problem, alpha: float, point: Floats) -> Floats:
    """Damped proximal Newton; stops when a step no longer lowers the objective."""
    for _ in range(STEPS):
        loss, gradient, hessian = _model(problem, point)
        current = loss + _penalty(problem, alpha, point[:-1])
        step = _minimise(problem, alpha, gradient, hessian, point) - point
        size = 1.0
        while size > 1e-3:
            trial = point + size * step
            value = _mean_loss(problem, trial) + _penalty(problem, alpha, trial[:-1])
            if value < current:
                break
            size /= 2
        else:
            return point
        point = trial
        if current - value <= 1e-16 * abs(current):
            return point
    return point


def _minimise(problem: Problem, alpha: float, gradient: Floats, hessian: Floats, point: Floats) -> Floats:
    """Minimise the quadratic model plus the penalty exactly."""
    k = problem.k
    l1, l2 = alpha * problem.l1_ratio, alpha * (1 - problem.l1_ratio)
    free = np.append(np.ones(k, bool), problem.fit_intercept)
    curved = hessian + np.diag(np.append(np.full(k, l2), 0.0))
    slope = gradient + np.append(l2 * point[:k], 0.0)
    if l1 == 0.0:
        return _newton_step(curved, slope, point, free, np.zeros(k + 1))
    found = _coordinate_descent(curved, slope, point, free, np.append(np.full(k, l1), 0.0))
    # The support and the signs are known now: the rest is a linear system, exact where descent crawls.
    signs = np.append(np.sign(found[:k]) * l1, 0.0)
    active = free & np.append(found[:k] != 0, True)
    moved = slope + curved @ (found - point)
    polished = _newton_step(curved, moved, found, active, signs)
    return polished if np.array_equal(np.sign(polished[:k]), np.sign(found[:k])) else found


def _newton_step(hessian: Floats, slope: Floats, point: Floats, active: np.ndarray, extra: Floats) -> Floats:
    moved = point.copy()
    index = np.flatnonzero(active)
    if index.size:
        moved[index] -= np.linalg.solve(hessian[np.ix_(index, index)], (slope + extra)[index])
    return moved


def _coordinate_descent(hessian: Floats, slope: Floats, point: Floats, free: np.ndarray, l1: Floats) -> Floats:
    """Cyclic coordinate descent on the quadratic model; ``slope`` is its gradient at ``point``."""
    w, g = point.copy(), slope.copy()
    diagonal = np.diag(hessian)
    columns = [j for j in np.flatnonzero(free) if diagonal[j] > 0]
    for _ in range(SWEEPS):
        largest = 0.0
        for j in columns:
            target = w[j] - g[j] / diagonal[j]
            new = np.sign(target) * max(abs(target) - l1[j] / diagonal[j], 0.0)
            if new != w[j]:
                change = new - w[j]
                g += hessian[j] * change
                w[j] = new
                largest = max(largest, abs(change) * diagonal[j] ** 0.5)
        if largest < 1e-13:
            break
    return w
