"""What ``offbeat simulate`` shows: the table on a terminal, the page, the JSON."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offbeat.commands import terminal
from offbeat.commands.simulation_plan import Plan
from offbeat.commands.simulation_variants import Result
from offbeat.diagnostics.formatting import UNKNOWN, duration
from offbeat.diagnostics.report import Comparison, check_format, write_comparison

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = ("variant", "virtual time", "ratio", "passes", "messages", "MB", "worker MB", "hub MB", "status")
MEGABYTE = 1e6


def check_picture(out: Path) -> None:
    """Raise if nothing can be drawn there, before anything is run.

    Raises
    ------
    DataError
        The ending is not one of a page or picture.
    MissingPackageError
        What draws it is not installed.
    OSError
        The folder cannot be written.
    """
    check_format(out)
    terminal.check_writable(out)


def draw(plan: Plan, results: list[Result], out: Path) -> None:
    """Write the page or the picture."""
    out.parent.mkdir(parents=True, exist_ok=True)
    traces = {result.variant.name: result.trace for result in results if len(result.trace)}
    subtitle = f"Time is simulated; all else is real. Seed {plan.base.machines.seed}."
    rows = [_cells(result, results) for result in results]
    title = f"{plan.base.solver.name} on {_count(plan)} simulated workers"
    write_comparison(Comparison(title, subtitle, traces, COLUMNS, rows, dict(facts(plan))), out)


def show(console: Console, plan: Plan, results: list[Result], out: Path) -> None:
    """Print data, cluster and the table of all variants."""
    from rich.table import Table
    from rich.text import Text

    about = Table.grid(padding=(0, 2))
    about.add_column(style="bold", no_wrap=True)
    about.add_column()
    for name, value in facts(plan):
        about.add_row(name, Text(value))
    console.print(about)
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column, name in enumerate(COLUMNS):
        text = column in (0, len(COLUMNS) - 1)
        table.add_column(name, justify="left" if text else "right", no_wrap=column == 0, overflow="fold")
    for result in results:
        cells = [Text(cell) for cell in _cells(result, results)]
        cells[0].stylize("bold")
        cells[-1].stylize("green" if result.converged else "yellow")
        table.add_row(*cells)
    console.print(table)
    console.print()
    note = "MB: sent by all; sent and received by the busiest worker, and by the coordinator. Ratio: of times, to "
    console.print(Text(note + " and ".join(dict.fromkeys(r.variant.reference for r in results)) + ".", style="dim"))
    console.print(Text.assemble(("Picture ", "dim"), str(out)), soft_wrap=True)


def facts(plan: Plan) -> list[tuple[str, str]]:
    """Return what all variants have in common, for people."""
    machines, dataset, task = plan.base.machines, plan.task.dataset, plan.task
    slow = [f"worker {worker} {factor:g} times slower" for worker, factor in machines.straggler.items()]
    wrong = [*slow, *(repr(fault) for fault in machines.faults)]
    loss, penalty = task.problem.loss.name, task.problem.penalty
    every = f"{duration(machines.compute.typical)} a gradient pass over a worker's share"
    return [
        ("Data", f"{dataset.n_rows:,} rows x {dataset.n_columns:,} columns, {plan.about}"),
        ("Model", f"{loss} loss, {penalty.name} penalty; tolerance {task.options.tol:g}"),
        ("Solver", f"{plan.base.solver.name} ({plan.reason})"),
        ("Cluster", f"{_count(plan)} workers; {every}, latency {duration(machines.latency.typical)}, "
                    f"{machines.bandwidth / MEGABYTE:,.6g} MB/s; seed {machines.seed}"),
        ("Trouble", "; ".join(wrong) or "none"),
    ]  # fmt: skip


def to_dict(plan: Plan, results: list[Result], out: Path) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    machines, task = plan.base.machines, plan.task
    return {
        "data": {"rows": task.dataset.n_rows, "columns": task.dataset.n_columns, "source": plan.about},
        "loss": task.problem.loss.name,
        "penalty": task.problem.penalty.name,
        "tol": task.options.tol,
        "solver": plan.base.solver.name,
        "reason": plan.reason,
        "seed": machines.seed,
        "compute": machines.compute.typical,
        "latency": machines.latency.typical,
        "bandwidth": machines.bandwidth,
        "variants": [_entry(result, results) for result in results],
        "files": {"picture": str(out)},
    }


def _entry(result: Result, results: list[Result]) -> dict[str, Any]:
    variant = result.variant
    return {
        "name": variant.name,
        "status": result.status,
        "seconds": result.seconds,
        "ratio": _ratio(result, results),
        "relative_gap": result.relative_gap,
        "passes": result.passes,
        "messages": result.messages,
        "messages_lost": result.lost,
        "bytes": result.bytes,
        "bytes_busiest_worker": result.busiest_worker,
        "bytes_coordinator": result.coordinator,
        "workers": variant.machines.workers,
        "staleness": "inf" if math.isinf(variant.staleness) else variant.staleness,
        "stealing": variant.stealing is not None,
        "topology": variant.topology.name,
        "solver": variant.solver.name,
        "straggler": {str(worker): factor for worker, factor in variant.machines.straggler.items()},
        "faults": [repr(fault) for fault in variant.machines.faults],
    }


def _ratio(result: Result, results: list[Result]) -> float:
    """Return the time to the tolerance over that of the variant it is compared with; NaN where either is missing."""
    reference = next((other for other in results if other.variant.name == result.variant.reference), None)
    if reference is None or not (reference.converged and result.converged) or not reference.seconds > 0:
        return math.nan
    return result.seconds / reference.seconds


def _cells(result: Result, results: list[Result]) -> list[str]:
    """Return a row of the table."""
    if not len(result.trace):
        return [result.variant.name, *[UNKNOWN] * (len(COLUMNS) - 2), result.status]
    ratio = _ratio(result, results)
    gap = "" if result.converged else f", gap {result.relative_gap:.1e} after {duration(result.seconds)}"
    return [
        result.variant.name,
        duration(result.seconds) if result.converged else UNKNOWN,
        f"{ratio:.3g}" if math.isfinite(ratio) else UNKNOWN,
        f"{result.passes:,.4g}",
        f"{result.messages:,}",
        _megabytes(result.bytes),
        _megabytes(result.busiest_worker),
        _megabytes(result.coordinator) if result.coordinator else UNKNOWN,
        result.status + gap,
    ]


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:,.3g}" if count < 1000 * MEGABYTE else f"{count / MEGABYTE:,.0f}"


def _count(plan: Plan) -> str:
    counts = sorted({variant.machines.workers for variant in plan.variants})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
