"""Runs experiments of a package by name: each module has ``measure() -> Outcome``."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.asynchrony import common


def runner(package: ModuleType, summary: str) -> Callable[..., None]:
    """Return a command that runs the experiments of a package."""
    known = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in ("__main__", "common")]

    def run(
        names: Annotated[list[str] | None, typer.Argument(help="Experiments; all of them by default.")] = None,
        out: Annotated[Path | None, typer.Option(help="Markdown file to write.")] = None,
        show: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
    ) -> None:
        console = Console()
        if show:
            for name in known:
                console.print(
                    f"{name}: {(importlib.import_module(f'{package.__name__}.{name}').__doc__ or '').strip()}"
                )
            return
        texts = []
        for name in names or known:
            started = time.perf_counter()
            outcome = importlib.import_module(f"{package.__name__}.{name}").measure()
            common.show(outcome, console)
            console.print(f"[dim]{name}: {time.perf_counter() - started:.1f} s of real time[/dim]\n")
            texts.append(common.markdown(outcome))
        if out is not None:
            out.write_text("\n".join(texts), encoding="utf-8")

    run.__doc__ = summary
    return run
