"""How far `partial_fit` is from a fit to all rows, and what a batch costs: ``python -m benchmarks.streams``."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from offbeat.linear_model import LogisticRegression, PoissonRegressor, Ridge

Floats = NDArray[np.float64]


def rows(n: int, k: int) -> tuple[Floats, dict[str, Floats]]:
    """Return correlated columns in different units, and targets of three kinds."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((n, k))
    Z[:, 1:] += 0.5 * Z[:, :-1]
    z = Z @ (0.3 * rng.standard_normal(k)) + 0.5
    targets = {
        "Ridge": z + rng.standard_normal(n),
        "LogisticRegression": (rng.random(n) < 1.0 / (1.0 + np.exp(-z))).astype(np.float64),
        "PoissonRegressor": rng.poisson(np.exp(0.5 * z)).astype(np.float64),
    }
    return Z * np.geomspace(0.1, 10.0, k) + np.arange(k), targets


def errors(model: Any, X: Floats) -> Floats:
    """Return the standard errors of the coefficients."""
    z = X @ np.ravel(model.coef_) + model.intercept_
    bend = {"Ridge": np.ones(len(X)), "PoissonRegressor": np.exp(np.minimum(z, 50.0))}
    p = 1.0 / (1.0 + np.exp(-z))
    A = np.column_stack([X, np.ones(len(X))])
    inverse = np.linalg.inv((A * bend.get(type(model).__name__, p * (1.0 - p))[:, None]).T @ A)
    return np.asarray(np.sqrt(np.diag(inverse)))[:-1]


def streamed(model: Any, X: Any, y: Floats, size: int) -> float:
    """Give batches to a model; return the seconds of a batch."""
    options = {"classes": [0.0, 1.0]} if hasattr(model, "predict_proba") else {}
    started = time.process_time()
    for first in range(0, len(y), size):
        model.partial_fit(X[first : first + size], y[first : first + size], **options)
    return (time.process_time() - started) * size / len(y)


def main(n: int = 200_000, k: int = 50) -> None:
    """Print a table."""
    X, targets = rows(n, k)
    print("| model | batches of | ms a batch | largest difference, in standard errors | typical one |")
    print("|---|---|---|---|---|")
    for model in (Ridge(tol=1e-9), LogisticRegression(tol=1e-9), PoissonRegressor(alpha=1e-6, tol=1e-9)):
        name, y = type(model).__name__, targets[type(model).__name__]
        full = clone(model).fit(X, y)
        scale = errors(full, X)
        for size in (1_000, 10_000):
            known = clone(model)
            seconds = streamed(known, X, y, size)
            _show(name, size, seconds, (np.ravel(known.coef_) - np.ravel(full.coef_)) / scale)


def _show(name: str, size: int, seconds: float, away: Floats) -> None:
    worst, typical = np.abs(away).max(), np.sqrt(np.mean(away**2))
    print(f"| {name} | {size:,} | {1e3 * seconds:.1f} | {worst:.2g} | {typical:.2g} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
