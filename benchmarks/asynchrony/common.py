"""Data, timed fits and tables that the experiments share."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import offbeat
from offbeat import Problem, losses, penalties
from offbeat.datasets import make_classification

TOL = 1e-4
ROWS_EACH = 500
COLUMNS = 50


class Run(NamedTuple):
    """One fit: virtual seconds (real ones for real engines), passes, status, traffic."""

    seconds: float
    passes: float
    status: str
    gap: float
    messages: int
    bytes: int
    busiest: int
    solution: offbeat.Solution


class Outcome(NamedTuple):
    """An experiment's table: title, columns, rows, and the targets with what was reached."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    notes: list[str]


def data(n_workers: int, rows_each: int = ROWS_EACH, columns: int = COLUMNS, seed: int = 0) -> tuple[Any, Any]:
    """Return features and classes, so many rows for each worker."""
    made = make_classification(n_workers * rows_each, columns, seed=seed)
    return np.asarray(made.X), np.asarray(made.y, np.float64)


def ridge(alpha: float = 1e-3) -> Problem:
    """Return the problem of most experiments: logistic ridge."""
    return Problem(losses.Logistic(), penalties.L2(alpha))


def fit(problem: Problem, X: Any, y: Any, **options: Any) -> Run:
    """Fit, quietly, and return what it cost."""
    options.setdefault("tol", TOL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = offbeat.solve(problem, X, y, progress=False, **options)
    facts = solution.trace.metadata
    return Run(
        float(facts.get("seconds", solution.seconds)), solution.passes, solution.status,
        solution.certificate.relative_gap, int(facts.get("messages", 0)), int(facts.get("bytes", 0)),
        int(facts.get("bytes of the busiest", 0)), solution,
    )  # fmt: skip


def median(fits: Callable[[int], Run], seeds: int = 5) -> Run:
    """Return the run whose time is the median over so many seeds."""
    runs = sorted((fits(seed) for seed in range(seeds)), key=lambda run: run.seconds)
    return runs[len(runs) // 2]


def objective(problem: Problem, X: Any, y: Any, coef: Any, intercept: float) -> float:
    """Return the objective, with NumPy alone."""
    z = X @ coef + intercept
    s = 2.0 * y - 1.0
    name = problem.loss.name
    if name == "logistic":
        loss = np.logaddexp(0.0, -s * z)
    elif name == "hinge":
        loss = np.maximum(0.0, 1.0 - s * z)
    else:
        loss = 0.5 * (z - y) ** 2
    alpha = problem.penalty.alpha
    size = np.abs(coef).sum() if problem.penalty.name == "l1" else 0.5 * float(coef @ coef)
    return float(loss.mean() + alpha * size)


def geometric_mean(values: list[float]) -> float:
    """Return the geometric mean."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def show(outcome: Outcome, console: Console) -> None:
    """Print a table."""
    table = Table(title=outcome.title, title_justify="left")
    for i, column in enumerate(outcome.columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in outcome.rows:
        table.add_row(*(cell(value) for value in row))
    console.print(table)
    for note in outcome.notes:
        console.print(note)


def markdown(outcome: Outcome) -> str:
    """Return the table for a document."""
    lines = [f"### {outcome.title}", "", "| " + " | ".join(outcome.columns) + " |"]
    lines.append("|" + "|".join("---" if i == 0 else "---:" for i in range(len(outcome.columns))) + "|")
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in outcome.rows]
    return "\n".join([*lines, "", *outcome.notes, ""])


def cell(value: Any) -> str:
    """Return a value as text of three digits."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
