"""Finds the plug-ins: every file in `datasets`, `problems` and `solvers`."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from benchmarks.harness.dataset import BaseDataset
from benchmarks.harness.problem import Spec
from benchmarks.harness.solver import BaseSolver


def _modules(folder: str) -> list[ModuleType]:
    package = importlib.import_module(f"benchmarks.{folder}")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"benchmarks.{folder}.{name}") for name in names if not name.startswith("_")]


def _by_name(objects: list, kind: str) -> dict:  # type: ignore[type-arg]
    found = {}
    for each in objects:
        if each.name in found:
            raise ValueError(f"two {kind} are called {each.name!r}")
        found[each.name] = each
    return found


def datasets() -> dict[str, BaseDataset]:
    """Return the data sets by name: ``DATASETS`` of a file, or its only one, ``Dataset()``."""
    found = [getattr(module, "DATASETS", None) or [module.Dataset()] for module in _modules("datasets")]
    return _by_name([each for several in found for each in several], "data sets")


def problems() -> dict[str, Spec]:
    """Return the problems by name."""
    return _by_name([spec for module in _modules("problems") for spec in module.PROBLEMS], "problems")


def solvers() -> dict[str, BaseSolver]:
    """Return the solvers by name, installed or not. Their libraries are imported only when they fit."""
    return _by_name([module.Solver() for module in _modules("solvers")], "solvers")


def pick(found: dict, wanted: list[str], kind: str) -> list:  # type: ignore[type-arg]
    """Return the plug-ins with these names; a name ending in ``*`` stands for all that start so.

    Raises
    ------
    ValueError
        If a name fits nothing: says which there are.
    """
    chosen: dict = {}  # type: ignore[type-arg]
    for name in wanted:
        fitting = [key for key in found if key == name or (name.endswith("*") and key.startswith(name[:-1]))]
        if not fitting:
            raise ValueError(f"no {kind} is called {name!r}; there are: {', '.join(found)}")
        chosen.update({key: found[key] for key in fitting})
    return list(chosen.values())
