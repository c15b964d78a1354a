"""Race Offbeat against its peers: `python -m benchmarks.run --help`."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from benchmarks.harness import dataset, extras, machine, registry, tables
from benchmarks.harness.plots import plot
from benchmarks.harness.problem import Spec
from benchmarks.harness.race import Course, Rules
from benchmarks.harness.results import Race
from benchmarks.harness.solver import BaseSolver

app = typer.Typer(add_completion=False, help="Time to a given suboptimality, the same objective for everybody.")
console = Console() if sys.stdout.isatty() else Console(width=130)
SCRATCH = Path("benchmarks/results/scratch")


@dataclass(frozen=True)
class Plan:
    """What is run, and how."""

    specs: list[Spec]
    solvers: list[BaseSolver]
    rules: Rules
    threads: int
    scale: float


def race_all(plan: Plan, cache: Path, say: Any = lambda _: None) -> list[Race]:
    """Run all races of a plan, data kept below ``cache``."""
    found = registry.datasets()
    races = []
    for spec in plan.specs:
        say(f"{spec.name}: data")
        folder = dataset.store(found[spec.dataset], cache, plan.scale, spec.dtype)
        problem = dataset.resolve(spec, folder, plan.threads)

        def about(text: str, name: str = spec.name) -> None:
            say(f"{name}: {text}")

        races.append(Course(spec, problem, plan.rules, about).run(plan.solvers))
        console.print(tables.rich_table(races[-1]))
        if tables.excluded(races[-1]):
            console.print(f"[dim]Not in this race: {tables.excluded(races[-1])}[/dim]")
    return races


def write(races: list[Race], plan: Plan, measured: dict[str, Any], out: Path) -> None:
    """Write raw results, Markdown and plots."""
    out.mkdir(parents=True, exist_ok=True)
    about, versions = machine.describe(plan.threads), machine.versions(plan.solvers)
    record = {
        "machine": about, "versions": versions, "repeats": plan.rules.repeats, "scale": plan.scale,
        "races": [tables.record(race) for race in races], "extras": measured,
    }  # fmt: skip
    (out / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    text = tables.markdown(races, about, versions) if races else ""
    (out / "results.md").write_text(text + extras.markdown(measured))
    for race in races:
        plot(race, out / f"{race.spec.name}.png")
    console.print(f"results.json, results.md and {len(races)} plots are in {out}")


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _chosen(problems: str, solvers: str) -> tuple[list[Spec], list[BaseSolver]]:
    specs, contestants = registry.problems(), registry.solvers()
    if problems == "headline":
        wanted = [spec for spec in specs.values() if spec.headline]
    elif problems == "none":
        wanted = []
    else:
        wanted = list(specs.values()) if problems == "all" else registry.pick(specs, _names(problems), "problem")
    if solvers == "fast":
        racing = [solver for solver in contestants.values() if not solver.slow]
    elif solvers == "all":
        racing = list(contestants.values())
    else:
        racing = registry.pick(contestants, _names(solvers), "solver")
    return wanted, racing


def _list() -> None:
    for spec in registry.problems().values():
        console.print(f"[bold]{spec.name}[/bold]  {spec.title}" + ("" if spec.headline else "  (not headline)"))
    for solver in registry.solvers().values():
        reason = solver.missing()
        mark = f"  ({reason})" if reason else "  (slow)" if solver.slow else ""
        console.print(f"[bold]{solver.name}[/bold]{mark}", highlight=False)
    console.print("extras: " + ", ".join(extras.names()))


@app.command()
def run(
    problems: Annotated[
        str, typer.Option(help="Names with commas, a* for all that start so; headline, all, none.")
    ] = "headline",
    solvers: Annotated[str, typer.Option(help="Names with commas; fast (all but the slowest), all.")] = "fast",
    extra: Annotated[str, typer.Option(help="Measurements besides races: names with commas, all, none.")] = "none",
    repeats: Annotated[int, typer.Option(min=1, help="Runs of every rung that decides.")] = 5,
    budget: Annotated[float, typer.Option(min=0.1, help="Seconds after which a solver's ladder ends.")] = 60.0,
    threads: Annotated[int, typer.Option(min=0, help="Threads for everybody; 0: one for each core.")] = 0,
    scale: Annotated[float, typer.Option(min=1e-4, max=1.0, help="Share of the rows: below 1 for a rehearsal.")] = 1.0,
    out: Annotated[Path, typer.Option(help="Folder for results.")] = SCRATCH,
    cache: Annotated[Path | None, typer.Option(help="Folder for data, kept; else a temporary one, deleted.")] = None,
    verbose: Annotated[bool, typer.Option(help="Say what every fit took.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List problems and solvers.")] = False,
) -> None:
    """Race solvers on problems; print a table and write results.json, results.md and plots."""
    if show:
        _list()
        return
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)]
    )
    logging.getLogger("benchmarks").setLevel(logging.INFO if verbose else logging.ERROR)
    try:
        specs, racing = _chosen(problems, solvers)
        wanted = extras.pick(extra)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    plan = Plan(specs, racing, Rules(repeats, budget, 3 * budget), threads or len(os.sched_getaffinity(0)), scale)
    with ExitStack() as stack:
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="offbeat-bench-")))
        cache.mkdir(parents=True, exist_ok=True)
        with console.status("starting") as status:
            races = race_all(plan, cache.resolve(), lambda text: status.update(text))
            measured = extras.measure(wanted, plan.threads, scale, cache.resolve(), repeats)
    extras.show(measured, console)
    write(races, plan, measured, out)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
