"""Names of classes in files of earlier versions."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

from offbeat._utils.old_names import CLASSES, SOLVERS, current_name


@pytest.mark.parametrize("old", sorted(CLASSES))
def test_a_renamed_class_exists_under_its_new_name_only(old: str) -> None:
    module, _, cls = current_name(old).partition(":")
    assert isinstance(getattr(importlib.import_module(module), cls), type)
    before, _, name = old.partition(":")
    assert importlib.util.find_spec(before) is None or not hasattr(importlib.import_module(before), name)


@pytest.mark.parametrize("old", sorted(SOLVERS))
def test_modules_of_solvers_exist(old: str) -> None:
    assert importlib.util.find_spec(f"offbeat.solvers.{SOLVERS[old]}") is not None


def test_flat_modules_and_old_classes_are_translated_together() -> None:
    assert current_name("offbeat.solvers.keyed_newton:KeyedState") == (
        "offbeat.solvers.newton.asynchronous:AsynchronousNewtonState"
    )
    assert current_name("offbeat.solvers.changing:Query") == "offbeat.solvers.composite.fallback:FallbackQuery"
