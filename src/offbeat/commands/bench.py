"""``offbeat bench``: races against other libraries. The benchmarks come with the sources only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

import offbeat
from offbeat.commands import terminal

HELP = """
Race other libraries on the same data and objective.

The benchmarks come with the sources, not with the installed package: run it in a folder with the sources. Arguments \
are passed on to them.

[bold]Examples[/bold]
[cyan]make bench[/cyan]  in the sources: installs the other libraries first
[cyan]offbeat bench -- --help[/cyan]  in the sources: shows the options of the benchmarks
"""


def bench(context: typer.Context) -> None:
    """Run the benchmarks; see `HELP`."""
    with terminal.reported_errors():
        root = checkout()
        if root is None:
            terminal.stop(
                f"the benchmarks are not part of the installed package ({Path(offbeat.__file__).parent}): get the "
                "sources of offbeat, go to their folder, and run `make bench` there"
            )
        command = [sys.executable, "-m", "benchmarks", *context.args]
        raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)


def checkout() -> Path | None:
    """Return the root of the sources with the benchmarks: where this package lies, or the working directory."""
    for root in (Path(offbeat.__file__).resolve().parents[2], Path.cwd()):
        if (root / "benchmarks" / "__main__.py").is_file() and (root / "src" / "offbeat").is_dir():
            return root
    return None
