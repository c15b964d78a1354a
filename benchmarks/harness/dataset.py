"""A data set, and its copy on disk that workers load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse

from benchmarks.harness import matrix
from benchmarks.harness.objective import lambda_max
from benchmarks.harness.problem import Array, Floats, Problem, Spec

SMALLEST = 200


class BaseDataset(ABC):
    """A matrix and one or more targets for it."""

    name: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        """Return the matrix and the targets by name, with ``scale`` times the usual rows.

        The matrix is float64 in C order, or sparse by rows.
        """


def rows(full: int, scale: float) -> int:
    """Return how many rows a data set of ``full`` has at this scale."""
    return full if scale >= 1.0 else max(SMALLEST, round(full * scale))


def thin(X: Array, targets: dict[str, Floats], scale: float) -> tuple[Array, dict[str, Floats]]:
    """Keep evenly spaced rows."""
    if scale >= 1.0:
        return X, targets
    n = X.shape[0]
    kept = np.linspace(0, n - 1, rows(n, scale)).astype(np.int64)
    some = X[kept] if issparse(X) else np.ascontiguousarray(X[kept])
    return some, {name: y[kept] for name, y in targets.items()}


def store(dataset: BaseDataset, cache: Path, scale: float, dtype: str) -> Path:
    """Write the data set below ``cache`` unless it is there, and return its folder.

    The folder appears whole or not at all: a run that was stopped leaves no half-written data behind.
    """
    folder = cache / f"{dataset.name}-{scale:g}-{dtype}"
    if folder.exists():
        return folder
    X, targets = dataset.load(scale)
    partial = cache / f"{folder.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    matrix.save(partial, X, dtype)
    for name, y in targets.items():
        np.save(partial / f"y-{name}.npy", np.asarray(y, dtype=np.float64))
    partial.rename(folder)
    return folder


def resolve(spec: Spec, folder: Path, threads: int) -> Problem:
    """Load the data of a problem and work out its penalties."""
    X, y = matrix.load(folder), np.load(folder / f"y-{spec.target}.npy")
    largest = lambda_max(spec.loss, X, y, spec.fit_intercept) if spec.strength.rule == "lambda_max" else 0.0
    alphas = spec.strength.alphas(X.shape[0], largest, spec.l1_ratio)
    return Problem(spec.name, spec.loss, alphas, spec.l1_ratio, spec.fit_intercept, X, y, threads, folder)
