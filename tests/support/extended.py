"""Least squares in extended precision: objectives and optima to judge certificates by."""

from __future__ import annotations

import numpy as np

Real = np.longdouble


def objective(
    X: np.ndarray, y: np.ndarray, coef: np.ndarray, intercept: float, l1: float = 0.0, l2: float = 0.0
) -> Real:
    """Return ``mean (x'w + b - y)^2 / 2 + l1 |w|_1 + l2 |w|^2 / 2``."""
    w = np.asarray(coef, Real)
    mean = X.astype(Real).mean(axis=0)  # columns far from zero would cost the rows more digits than it does one number
    rest = (X.astype(Real) - mean) @ w + (Real(intercept) + mean @ w) - y.astype(Real)
    return (rest**2).mean() / 2 + l1 * np.abs(w).sum() + l2 * (w**2).sum() / 2


def optimum(X: np.ndarray, y: np.ndarray, l1: float = 0.0, l2: float = 0.0) -> tuple[np.ndarray, Real]:
    """Return coefficients and intercept by coordinate descent on columns centred in extended precision."""
    mean, level = X.astype(Real).mean(axis=0), y.astype(Real).mean()
    A, r = X.astype(Real) - mean, y.astype(Real) - level
    squares, w = (A**2).mean(axis=0), np.zeros(A.shape[1], Real)
    for _ in range(500):
        moved = Real(0.0)
        for j in range(len(w)):
            old = w[j]
            pull = A[:, j] @ r / len(y) + squares[j] * old
            w[j] = np.sign(pull) * max(abs(pull) - l1, 0) / (squares[j] + l2) if squares[j] + l2 > 0 else 0
            r -= A[:, j] * (w[j] - old)
            moved = max(moved, abs(w[j] - old) * np.sqrt(squares[j]))
        if moved <= 1e-17 * np.sqrt((r**2).mean() + 1e-300):
            break
    return w, level - mean @ w


def excess(X: np.ndarray, y: np.ndarray, coef: np.ndarray, intercept: float, l1: float = 0.0, l2: float = 0.0) -> float:
    """Return how far an objective is above the optimum, relative to the best constant model."""
    best = objective(X, y, *optimum(X, y, l1, l2), l1, l2)
    null = y.astype(Real).var() / 2
    return float((objective(X, y, coef, intercept, l1, l2) - best) / null)
