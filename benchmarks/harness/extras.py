"""Measurements that are no race: found as files, run one after the other, shown as one table."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness.client import ROOT, environment


@dataclass(frozen=True)
class Setting:
    """What every measurement is told. ``folder`` may be written to; ``scale`` below 1 asks for a rehearsal."""

    threads: int
    scale: float
    folder: Path
    repeats: int


@dataclass(frozen=True)
class Fact:
    """One number, with its unit."""

    what: str
    value: float
    unit: str
    note: str = ""


def names() -> list[str]:
    """Return the names of all measurements."""
    package = importlib.import_module("benchmarks.extras")
    found = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [name.replace("_", "-") for name in found if not name.startswith("_")]


def pick(text: str) -> list[str]:
    """Return the names asked for.

    Raises
    ------
    ValueError
        If there is no such measurement.
    """
    if text in ("none", ""):
        return []
    wanted = names() if text == "all" else [part.strip() for part in text.split(",")]
    for name in wanted:
        if name not in names():
            raise ValueError(f"no extra is called {name!r}; there are: {', '.join(names())}")
    return wanted


def measure(wanted: list[str], threads: int, scale: float, folder: Path, repeats: int) -> dict[str, Any]:
    """Run these measurements and return their facts as dictionaries."""
    setting = Setting(threads, scale, folder, repeats)
    found = {}
    for name in wanted:
        module = importlib.import_module(f"benchmarks.extras.{name.replace('-', '_')}")
        found[name] = [asdict(fact) for fact in module.measure(setting)]
    return found


def probe(setting: Setting, name: str, *arguments: str, **variables: str) -> dict[str, Any]:
    """Run one function of `benchmarks.extras._probe` in a fresh process and return what it printed.

    Raises
    ------
    RuntimeError
        If the process failed: with the end of what it said.
    """
    command = [sys.executable, "-m", "benchmarks.extras._probe", name, *arguments]
    env = {**environment(setting.threads), **variables}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def show(measured: dict[str, Any], console: Console) -> None:
    """Print all facts."""
    for name, facts in measured.items():
        table = Table(title=name)
        table.add_column("what")
        table.add_column("value", justify="right")
        table.add_column("note")
        for fact in facts:
            table.add_row(fact["what"], f"{fact['value']:.3g} {fact['unit']}", fact["note"])
        console.print(table)


def markdown(measured: dict[str, Any]) -> str:
    """Return all facts as Markdown."""
    lines = []
    for name, facts in measured.items():
        lines += ["", f"### {name}", "", "| what | value | note |", "|---|---:|---|"]
        lines += [f"| {f['what']} | {f['value']:.3g} {f['unit']} | {f['note']} |" for f in facts]
    return "\n".join(lines) + "\n" if lines else ""
