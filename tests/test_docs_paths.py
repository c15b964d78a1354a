"""Modules, names and files that the documentation speaks of can be found."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import offbeat

ROOT = Path(__file__).parents[1]
PACKAGE = Path(offbeat.__file__).parent
DOTTED = re.compile(r"(?<![\w./-])offbeat(?:\.[A-Za-z_]\w*)+")
QUOTED = re.compile(r"`+([^`\n]+)`+")
FILE = re.compile(r"(?:[\w-]+/)*[\w-]+\.py|(?:[\w-]+/)+")
EXAMPLES = {
    ("_utils/old_names.py: current_name", "offbeat.solvers.lbfgs"),  # shows what a name of before is turned into
    ("docs/custom-losses.md", "log_cosh.py"),  # a file that the reader writes
    ("docs/files.md", "model/"),  # a folder that a command writes
}
"""What need not exist."""


def texts() -> Iterator[tuple[str, str]]:
    """Yield every page of the documentation and every docstring of the package, each with its place."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        yield str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
    for module in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield f"{module.relative_to(PACKAGE)}: {getattr(node, 'name', 'module')}", text


def names(text: str) -> set[str]:
    """Return the dotted names of this package in a text."""
    return set(DOTTED.findall(text))


def paths(text: str) -> set[str]:
    """Return the Python files and folders that stand in backquotes in a text."""
    return {path for quoted in QUOTED.findall(text) for path in re.split(r"[\s,;:()]+", quoted) if FILE.fullmatch(path)}


def found_name(name: str) -> bool:
    """Whether a dotted name is a module, or can be reached from one by its attributes."""
    value: object = offbeat
    at = "offbeat"
    for part in name.split(".")[1:]:
        at = f"{at}.{part}"
        try:
            value = importlib.import_module(at)
        except ImportError:
            if not hasattr(value, part) and part not in getattr(value, "__dataclass_fields__", {}):
                return False
            value = getattr(value, part, None)
    return True


def found_path(path: str, files: set[str]) -> bool:
    """Whether some file or folder of the repository ends in this path."""
    wanted = "/" + path.strip("/")
    return any(file.endswith(wanted) or (path.endswith("/") and f"{wanted}/" in file) for file in files)


@pytest.fixture(scope="module")
def files() -> set[str]:
    """All files of the repository, from its root, with a slash before each."""
    parts = (path.relative_to(ROOT).parts for path in ROOT.rglob("*.*") if path.is_file())
    return {"/" + "/".join(each) for each in parts if not any(part.startswith(".") for part in each)}


def test_names_of_the_package_are_found() -> None:
    wrong = {(place, name) for place, text in texts() for name in names(text) if not found_name(name)}
    assert wrong <= EXAMPLES, sorted(wrong - EXAMPLES)


def test_files_and_folders_are_found(files: set[str]) -> None:
    wrong = {(place, path) for place, text in texts() for path in paths(text) if not found_path(path, files)}
    assert wrong <= EXAMPLES, sorted(wrong - EXAMPLES)


def test_what_is_wrong_is_noticed(files: set[str]) -> None:
    text = "`offbeat.solvers.lbfgs` was in ``solvers/lbfgs.py``; `offbeat.solvers.gradient.lbfgs:LBFGS`, `gradient/`."
    assert {name for name in names(text) if not found_name(name)} == {"offbeat.solvers.lbfgs"}
    assert {path for path in paths(text) if not found_path(path, files)} == {"solvers/lbfgs.py"}
