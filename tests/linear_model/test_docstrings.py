"""Docstrings of estimators as a static reader sees them: complete, without placeholders, in the same words.

Nothing is imported: classes are read by `ast`, as an editor reads them.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import offbeat

ROOT = Path(offbeat.__file__).parent
FILES = [*sorted((ROOT / "linear_model").rglob("*.py")), ROOT / "compat" / "dask_ml.py"]
OWN = {
    "C": "dask-ml multiplies the penalty with its inverse; support vector machines have no `inf`",
    "alpha": "of a ridge, a lasso, or both",
    "class_weight": "dask-ml ignores it",
    "coef_": "shapes of one output and of several",
    "intercept_": "shapes of one output and of several",
    "l1_ratio": "one value, or several to choose from",
    "loss": "each support vector machine has its own",
    "n_iter_": "a number, or an array as in scikit-learn",
    "penalty": "dask-ml takes objects",
    "solver": "dask-ml has names",
    "fit(**params)": "of a splitter, or of splitter and scorer",
    "fit(y)": "labels, numbers, counts",
    "epsilon": "of Huber's loss in units of the scale, of a tube in units of y",
}
"""Names that mean something else in another class, and what; all others are explained in the same words."""


class Documented(NamedTuple):
    """A public class: its constructor's defaults and its docstring's paragraphs by name, as source text."""

    name: str
    text: str
    parameters: dict[str, str | None]
    paragraphs: dict[str, tuple[str, str]]
    n_parameters: int


def sources() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in FILES}


def public(texts: dict[str, str]) -> Iterator[Documented]:
    """Return the public estimators of some files, by file."""
    trees = {path: ast.parse(text) for path, text in texts.items()}
    classes = [(path, node) for path, tree in trees.items() for node in tree.body if isinstance(node, ast.ClassDef)]
    known = {node.name: node for path, node in classes if "compat" not in path}
    for path, node in classes:
        text = ast.get_docstring(node) or ""
        if "/_" in path or "Attributes\n----" not in text:
            continue
        here = known | {other.name: other for where, other in classes if where == path}
        first, second = entries(text, "Parameters"), entries(text, "Attributes")
        name = f"{path}:{node.name}"
        paragraphs = first | second | arguments_of_fit(node)
        yield Documented(name, text, defaults(constructor(node, here)), paragraphs, len(first))


def arguments_of_fit(node: ast.ClassDef) -> dict[str, tuple[str, str]]:
    """Return how a class's own `fit` explains its arguments."""
    own = [child for child in node.body if isinstance(child, ast.FunctionDef) and child.name == "fit"]
    texts = [ast.get_docstring(function) or "" for function in own]
    return {f"fit({name})": entry for text in texts for name, entry in entries(text, "Parameters").items()}


def constructor(node: ast.ClassDef, known: dict[str, ast.ClassDef]) -> ast.FunctionDef:
    """Return the constructor of a class, or that of its nearest base that has one."""
    waiting = [node]
    for cls in waiting:
        for child in cls.body:
            if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                return child
        names = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in cls.bases]
        waiting += [known[name] for name in names if name in known and known[name] is not cls]
    raise LookupError(node.name)


def defaults(function: ast.FunctionDef) -> dict[str, str | None]:
    """Return the defaults of a constructor's parameters, in order, as text."""
    given = function.args
    plain = given.args[1:]
    values: list[ast.expr | None] = [*[None] * (len(plain) - len(given.defaults)), *given.defaults, *given.kw_defaults]
    names = [argument.arg for argument in [*plain, *given.kwonlyargs]]
    return {name: value and ast.unparse(value) for name, value in zip(names, values, strict=True)}


def entries(text: str, section: str) -> dict[str, tuple[str, str]]:
    """Return type and paragraph of each name in a section."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
    parts = re.split(r"^(\**\w+)(?: : |$)", found.group(1) if found else "", flags=re.MULTILINE)[1:]
    result = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        kind, _, paragraph = body.partition("\n")
        result[name] = kind, inspect.cleandoc(paragraph)
    return result


def words(cls: Documented, name: str) -> str | None:
    """Return under which name all classes must use the same words, None where each may use its own."""
    if name not in OWN:
        return name
    return f"{name} of dask-ml" if "compat" in cls.name and name in cls.parameters else None


def faults(texts: dict[str, str]) -> list[str]:
    """Return what is wrong with the docstrings of some files."""
    found: list[str] = []
    first: dict[str, tuple[str, tuple[str, str]]] = {}
    for cls in public(texts):
        if re.search(r"\{\w+\}", cls.text):
            found.append(f"{cls.name} has a placeholder")
        documented = list(cls.paragraphs)[: cls.n_parameters]
        if documented != list(cls.parameters):
            found.append(f"{cls.name} documents {documented}, its constructor has {list(cls.parameters)}")
            continue
        for name, default in cls.parameters.items():
            said = cls.paragraphs[name][0].rpartition("default=")[2]
            if default is None or repr(ast.literal_eval(said)) != repr(ast.literal_eval(default)):
                found.append(f"{cls.name} says that {name} is {said}, its constructor {default}")
        for name, (kind, paragraph) in cls.paragraphs.items():
            if not paragraph:
                found.append(f"{cls.name} says nothing of {name}")
            group = words(cls, name)
            here = re.sub(r", default=.*", "", kind), paragraph
            other, there = first.setdefault(group, (cls.name, here)) if group else (cls.name, here)
            if here != there:
                found.append(f"{cls.name} and {other} explain {name} in different words")
    return found


def test_docstrings_are_complete_and_alike() -> None:
    assert faults(sources()) == []


def test_all_estimators_are_read() -> None:
    names = {cls.name.rpartition(":")[2] for cls in public(sources())}
    assert names >= {*offbeat.linear_model.__all__, "PoissonRegression"}
    assert len(list(public(sources()))) == len(offbeat.linear_model.__all__) + 3


def test_names_with_words_of_their_own_need_them() -> None:
    told: dict[str, set[tuple[str, str]]] = {}
    for cls in public(sources()):
        for name, (kind, paragraph) in cls.paragraphs.items():
            told.setdefault(name, set()).add((re.sub(r", default=.*", "", kind), paragraph))
    assert {name for name in OWN if len(told[name]) < 2} == set()


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("ridge.py", "It is never penalised", "It is not penalised", "fit_intercept in different words"),
        ("lasso.py", "Not copied, unless", "Copied, unless", "fit(X) in different words"),
        ("svr.py", "Names of the columns", "Name of the columns", "feature_names_in_ in different words"),
        ("svc.py", "default=10_000", "default=1000", "max_iter is 1000"),
        ("huber.py", "    verbose : int", "    chatty : int", "documents"),
        ("gamma.py", "    memory_budget : ", "    {common}\n    memory_budget : ", "placeholder"),
    ],
)
def test_a_change_of_one_of_them_is_found(file: str, before: str, after: str, said: str) -> None:
    texts = sources()
    path = f"linear_model/{file}"
    assert before in texts[path]
    texts[path] = texts[path].replace(before, after, 1)
    assert any(said in fault and path in fault for fault in faults(texts)), faults(texts)


def untyped(texts: dict[str, str]) -> list[str]:
    """Return the parameters of public methods, and of constructors, that have no type or `Any`."""
    found = []
    for path, text in texts.items():
        for cls in (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)):
            for function in (node for node in cls.body if isinstance(node, ast.FunctionDef)):
                if function.name.startswith("_") and function.name != "__init__":
                    continue
                given = function.args
                for argument in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
                    kind = None if argument.annotation is None else ast.unparse(argument.annotation)
                    if argument.arg not in ("self", "cls") and kind in (None, "Any"):
                        found.append(f"{path}:{cls.name}.{function.name}({argument.arg})")
    return found


def test_parameters_have_real_types() -> None:
    files = {path: text for path, text in sources().items() if path.count("/") == 1}
    assert untyped(files) == []
    files["new.py"] = "class A:\n    def fit(self, X: Any, y: int): ..."
    assert untyped(files) == ["new.py:A.fit(X)"]
