"""Private names of scikit-learn that the package uses: these, for these reasons, and no others.

They may change in any release. Sources are read by `ast`: imports of private modules and names, and private attributes
that are not defined in the package, in modules that import scikit-learn.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import offbeat

ROOT = Path(offbeat.__file__).parent
SCORING = "linear_model/_cv/scoring.py"
KNOWN = {
    (SCORING, "_score_func"): "whether a scorer's function takes labels: a fold may lack a class",
    (SCORING, "_kwargs"): "a scorer that is made anew with labels keeps its own options",
    (SCORING, "_sign"): "and whether more is better",
    (SCORING, "_response_method"): "and what it looks at: labels, probabilities or decision values",
}
"""Why there is no public way."""
TUPLES = {"_asdict", "_fields", "_make", "_replace"}
"""Public methods of named tuples."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def imported(tree: ast.Module) -> Iterator[str]:
    """Return the dotted names that a module imports from scikit-learn."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sklearn":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "sklearn")


def defined(trees: Iterable[ast.Module]) -> set[str]:
    """Return all names that the modules define, at any depth, attributes included."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).rpartition(".")[2])
    return found


def attributes(tree: ast.Module) -> Iterator[str]:
    """Return the attributes that a module reads, by a dot or by `getattr` and the like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            yield from (each.value for each in node.args[1:2] if isinstance(each, ast.Constant))  # type: ignore[misc]


def private_names(sources: dict[str, str]) -> set[tuple[str, str]]:
    """Return file and name of each private thing of scikit-learn in some sources."""
    trees = {path: ast.parse(text) for path, text in sources.items()}
    own, found = defined(trees.values()) | TUPLES, set()
    for path, tree in trees.items():
        theirs = list(imported(tree))
        found |= {(path, part) for name in theirs for part in name.split(".") if is_private(part)}
        if theirs:
            found |= {(path, name) for name in attributes(tree) if is_private(name) and name not in own}
    return found


def sources() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.rglob("*.py"))}


def test_no_others_are_used() -> None:
    assert private_names(sources()) == set(KNOWN)


def test_others_would_be_found() -> None:
    text = """
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval
class Model(BaseEstimator):
    def fit(self, X):
        self._own = self._validate_params()
        return getattr(self._own, "_more", None)
def late():
    from sklearn.utils.metadata_routing import _raise_for_params
"""
    added = private_names({**sources(), "new.py": text}) - set(KNOWN)
    assert {name for _, name in added} == {"_param_validation", "_validate_params", "_more", "_raise_for_params"}
