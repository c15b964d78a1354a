"""Offbeat: convex models fitted to a certificate of optimality, on data in memory, on disk, or on a cluster.

Names are imported when they are first used: ``import offbeat`` itself loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offbeat import datasets, diagnostics, engines, errors, linear_model, losses, penalties, solvers, topology
    from offbeat.fitting import Solution, solve
    from offbeat.path import Path, solve_path
    from offbeat.problem import Certificate, Problem

__version__ = "0.1.0"

_HOMES = {
    "Certificate": "problem",
    "Path": "path",
    "Problem": "problem",
    "Solution": "fitting",
    "solve": "fitting",
    "solve_path": "path",
}
_MODULES = (
    "datasets",
    "diagnostics",
    "engines",
    "errors",
    "linear_model",
    "losses",
    "penalties",
    "solvers",
    "topology",
)

__all__ = [
    "Certificate", "Path", "Problem", "Solution", "__version__", "datasets", "diagnostics", "engines", "errors",
    "linear_model", "losses", "penalties", "solve", "solve_path", "solvers", "topology",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name in _HOMES:
        value = getattr(import_module(f"offbeat.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"offbeat.{name}")
    raise AttributeError(f"module 'offbeat' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
