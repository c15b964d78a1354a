"""Offbeat: convex models fitted to a certificate of optimality, on data in memory, on disk, or on a cluster.

Names are imported when they are first used: ``import offbeat`` itself loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offbeat._utils.lazy import lazily

if TYPE_CHECKING:
    from offbeat import (
        datasets,
        diagnostics,
        engines,
        errors,
        linear_model,
        losses,
        penalties,
        sideways,
        solvers,
        topology,
    )
    from offbeat.fit.paths import Path, solve_path
    from offbeat.fit.settings import Settings
    from offbeat.fit.solution import Solution
    from offbeat.fit.solve import solve
    from offbeat.problem import Certificate, Problem

__version__ = "0.1.0"

_HOMES = {
    "Certificate": "problem",
    "Path": "fit.paths",
    "Problem": "problem",
    "Settings": "fit.settings",
    "Solution": "fit.solution",
    "solve": "fit.solve",
    "solve_path": "fit.paths",
}
_MODULES = (
    "datasets",
    "diagnostics",
    "engines",
    "errors",
    "linear_model",
    "losses",
    "penalties",
    "sideways",
    "solvers",
    "topology",
)

__all__ = [
    "Certificate", "Path", "Problem", "Settings", "Solution", "__version__", "datasets", "diagnostics", "engines",
    "errors", "linear_model", "losses", "penalties", "sideways", "solve", "solve_path", "solvers", "topology",
]  # fmt: skip


__getattr__, __dir__ = lazily(__name__, _HOMES, _MODULES)
