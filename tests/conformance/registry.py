"""All losses and penalties, found by listing their packages: a new file is tested without editing anything.

A class is tested with its default hyper-parameters, and with those of `VARIANTS` if it is named there.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from types import ModuleType
from typing import Any

import numpy as np

from offbeat import losses, penalties
from offbeat.errors import TargetError

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "huber": [{}, {"delta": 0.3}, {"delta": 5.0}],
    "epsilon-insensitive": [{}, {"epsilon": 0.0}, {"epsilon": 1.37}],
    "squared-epsilon-insensitive": [{}, {"epsilon": 0.0}, {"epsilon": 1.37}],
    "multinomial": [{"n_classes": 3}],
    "l1": [{}, {"alpha": 0.0}, {"alpha": 0.2}],
    "l2": [{}, {"alpha": 0.0}, {"alpha": 0.2}],
    "elastic-net": [{}, {"alpha": 0.0}, {"alpha": 0.4, "l1_ratio": 0.0}, {"alpha": 0.4, "l1_ratio": 1.0}],
    "box": [
        {},
        {"alpha": 0.5},
        {"lower": -1.0, "upper": 2.0},
        {"lower": -1.0, "upper": 2.0, "alpha": 0.5},
        {"lower": 0.3, "upper": 0.9, "alpha": 2.0},
        {"lower": 0.4, "upper": 0.4},
        {"lower": -math.inf, "upper": math.inf},
        {"lower": -math.inf, "upper": -0.1, "alpha": 0.3},
    ],
}
CANDIDATE_TARGETS = (-2.5, -1.0, 0.0, 0.3, 1.0, 2.0, 7.5, 1000.0)


def classes(package: ModuleType) -> list[type[Any]]:
    """All public named tuples with a ``name`` that the modules of a package define."""
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name, thing in vars(module).items():
            local = isinstance(thing, type) and thing.__module__ == module.__name__
            if local and not name.startswith("_") and issubclass(thing, tuple) and hasattr(thing, "name"):
                found.append(thing)
    return found


def instances(package: ModuleType) -> list[Any]:
    """Every class with its defaults, or with the hyper-parameters of `VARIANTS`."""
    return [cls(**fields) for cls in classes(package) for fields in VARIANTS.get(cls.name, [{}])]


def is_scalar(loss: Any) -> bool:
    """Whether a loss is a function of one predictor."""
    return hasattr(loss, "value")


ALL_LOSSES = instances(losses)
SCALAR_LOSSES = [loss for loss in ALL_LOSSES if is_scalar(loss)]
PENALTIES = instances(penalties)


def targets(loss: Any) -> list[float]:
    """Those of `CANDIDATE_TARGETS` that the loss accepts."""
    accepted = []
    for y in CANDIDATE_TARGETS:
        try:
            loss.check_target(np.array([y]))
        except TargetError:
            continue
        accepted.append(y)
    return accepted


def label(thing: Any) -> str:
    """Name and hyper-parameters, for the names of tests."""
    fields = [f"{key}={value:g}" for key, value in thing._asdict().items() if isinstance(value, (int, float))]
    return "-".join([thing.name, *(field for field in fields if not field.startswith("smoothness"))])
