"""A data set, and its copy on disk that workers load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.harness.objective import lambda_max
from benchmarks.harness.problem import Array, Floats, Problem, Spec

SMALLEST = 200


class BaseDataset(ABC):
    """A matrix and one or more targets for it."""

    name: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def load(self, scale: float) -> tuple[Array, dict[str, Floats]]:
        """Return the matrix (float64, C order) and the targets by name, with ``scale`` times the usual rows."""


def rows(full: int, scale: float) -> int:
    """Return how many rows a data set of ``full`` has at this scale."""
    return full if scale >= 1.0 else max(SMALLEST, round(full * scale))


def thin(X: Array, targets: dict[str, Floats], scale: float) -> tuple[Array, dict[str, Floats]]:
    """Keep evenly spaced rows."""
    if scale >= 1.0:
        return X, targets
    kept = np.linspace(0, len(X) - 1, rows(len(X), scale)).astype(np.int64)
    return np.ascontiguousarray(X[kept]), {name: y[kept] for name, y in targets.items()}


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
    np.save(partial / "X.npy", np.ascontiguousarray(X, dtype=dtype))
    for name, y in targets.items():
        np.save(partial / f"y-{name}.npy", np.asarray(y, dtype=np.float64))
    partial.rename(folder)
    return folder


def resolve(spec: Spec, folder: Path, threads: int) -> Problem:
    """Load the data of a problem and work out its penalties."""
    X, y = np.load(folder / "X.npy"), np.load(folder / f"y-{spec.target}.npy")
    largest = lambda_max(spec.loss, X, y, spec.fit_intercept) if spec.strength.rule == "lambda_max" else 0.0
    alphas = spec.strength.alphas(len(X), largest, spec.l1_ratio)
    return Problem(spec.name, spec.loss, alphas, spec.l1_ratio, spec.fit_intercept, X, y, threads, folder)
