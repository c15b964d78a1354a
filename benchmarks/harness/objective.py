"""The objective in float64 with NumPy alone: the judge shares no code with any of the contestants."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.sparse import issparse

from benchmarks.harness.problem import Array, Floats, LossName, Problem

ROWS = 8192
"""Rows evaluated at a time."""


def blocks(X: Array) -> Iterator[tuple[slice, Floats]]:
    """Yield the rows of ``X`` in float64 (as they are where sparse), a block at a time."""
    for start in range(0, X.shape[0], ROWS):
        rows = slice(start, min(start + ROWS, X.shape[0]))
        yield rows, X[rows] if issparse(X) else np.asarray(X[rows], dtype=np.float64)


def loss_values(loss: LossName, z: Floats, y: Floats) -> Floats:
    """Return the loss of each row at predictor ``z``, elementwise."""
    if loss == "logistic":
        return np.asarray(np.logaddexp(0.0, z) - y * z)
    if loss == "squared":
        return np.asarray(0.5 * (z - y) ** 2)
    if loss in ("hinge", "squared-hinge"):
        margin = np.maximum(1.0 - (2.0 * y - 1.0) * z, 0.0)
        return margin if loss == "hinge" else np.asarray(0.5 * margin**2)
    return np.asarray(np.exp(z) - y * z)


def objectives(problem: Problem, coef: Floats, intercept: Floats) -> Floats:
    """Return the objective at each penalty.

    Parameters
    ----------
    problem : Problem
    coef : ndarray, shape (n_alphas, n_columns)
    intercept : ndarray, shape (n_alphas,)

    Returns
    -------
    ndarray, shape (n_alphas,)
        Infinite where a coefficient is not finite.
    """
    coef, intercept = np.asarray(coef, np.float64), np.asarray(intercept, np.float64)
    parts: list[Floats] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, block in blocks(problem.X):
            z = block @ coef.T + intercept
            parts.append(loss_values(problem.loss, z, problem.y[rows, None]).sum(axis=0))
        mean = np.array([math.fsum(column) for column in np.array(parts).T]) / problem.n
        penalty = problem.l1_ratio * np.abs(coef).sum(axis=1) + (1 - problem.l1_ratio) / 2 * (coef**2).sum(axis=1)
        values = mean + problem.alphas * penalty
    return np.where(np.isfinite(values), values, np.inf)


def null_intercept(problem: Problem) -> float:
    """Return the best intercept at ``w = 0`` (0 without an intercept)."""
    if not problem.fit_intercept:
        return 0.0
    mean = float(problem.y.mean())
    if problem.loss == "logistic":
        return math.log(mean / (1.0 - mean))
    if problem.loss == "hinge":
        return math.copysign(1.0, mean - 0.5)
    if problem.loss == "squared-hinge":
        return 2.0 * mean - 1.0
    return math.log(mean) if problem.loss == "poisson" else mean


def scale(problem: Problem) -> float:
    """Return what suboptimality is relative to: the objective at ``w = 0`` above the least any predictor could reach.

    That floor is zero for all losses but one. For Poisson it is not, and the objective itself, which may have
    either sign, would be meaningless as a unit.
    """
    at_zero = float(loss_values(problem.loss, np.full(problem.n, null_intercept(problem)), problem.y).mean())
    if problem.loss != "poisson":
        return at_zero
    y = problem.y
    return at_zero - float(np.where(y > 0, y - y * np.log(np.maximum(y, 1e-300)), 0.0).mean())


def lambda_max(loss: LossName, X: Array, y: Floats, fit_intercept: bool) -> float:
    """Return the largest entry of the loss gradient at ``w = 0``: from there on (over l1_ratio) ``w`` stays zero."""
    if fit_intercept:
        mean = float(y.mean())
    else:
        mean = {"logistic": 0.5, "squared": 0.0, "poisson": 1.0}[loss]  # the hinges have no such problem here
    gradient = np.zeros(X.shape[1])
    for rows, block in blocks(X):
        gradient += block.T @ (mean - y[rows])
    return float(np.max(np.abs(gradient)) / X.shape[0])
