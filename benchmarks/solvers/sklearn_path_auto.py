"""scikit-learn, `lasso_path` / `enet_path` with its default `precompute="auto"`."""

from typing import Any

from benchmarks.solvers.sklearn_path import Solver as Path


class Solver(Path):
    name = "sklearn path auto"
    precompute: Any = "auto"
    sparse = True
