"""``offbeat demo``: a fit of real flights, from the table to the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offbeat._utils.extras import require_plot
from offbeat.commands import terminal
from offbeat.commands.options import (
    OUTPUT,
    FitRequest,
    Json,
    LossName,
    ModelRequest,
    PenaltyName,
    option,
)
from offbeat.errors import DataError

if TYPE_CHECKING:
    from offbeat.commands.fitting import FitResult
    from offbeat.commands.holdout import Split
    from offbeat.datasets import Data

HELP = """
Fit real flights: will one arrive more than 15 minutes late?

Reads 325,724 flights that left New York City in 2013, joined with the weather in their hour; holds out a fifth; fits \
a logistic regression with an elastic net on standardised columns, to a certificate of optimality; and writes a report.

[bold]What is written[/bold]
report.html  convergence, what each worker did when, coefficients; works offline
convergence.png  the same convergence, for a paper
trace.parquet  every step of the fit, as a table
model/  the model, for [cyan]offbeat predict[/cyan] and [cyan]offbeat info[/cyan]
"""

MODEL = ModelRequest(LossName.LOGISTIC, PenaltyName.ELASTIC_NET, alpha=1e-4, l1_ratio=0.5)
TEST_FRACTION = 0.2
SEED = 2013
MIN_ROWS = 1000
TITLE = "Will a flight arrive more than 15 minutes late?"
SHORT = "arriving late"


def demo(
    out: Annotated[Path, option("Where files go.", OUTPUT, "FOLDER", names=("--out", "-o"))] = Path("offbeat-demo"),
    rows: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", show_default="all", help="Use so many rows only, chosen at random."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit real flights; see `HELP`."""
    with terminal.reported_errors():
        terminal.check_writable(out / "report.html")
        require_plot("page", "picture")
        terminal.note(TITLE)
        with terminal.working("reading flights and weather ..."):
            data, split = load(rows)
        terminal.note(f"{data.X.shape[0]:,} flights from New York City in 2013, {data.X.shape[1]} columns each.")
        raise typer.Exit(_fit(data, split, out, as_json=as_json))


def load(rows: int | None) -> tuple[Data, Split]:
    """Read the flights, take some of them, and hold out a fifth.

    Raises
    ------
    DataError
        The package with the flights is missing.
    """
    from dataclasses import replace

    import numpy as np

    from offbeat.commands.holdout import split
    from offbeat.data.load import as_dataset
    from offbeat.data.tables.columns import Column
    from offbeat.data.tables.encoding import Encoder
    from offbeat.datasets import load_flights

    if rows is not None and rows < MIN_ROWS:
        raise DataError(f"--rows is {rows}; the demonstration needs at least {MIN_ROWS:,}")
    data = load_flights()
    if rows is not None and rows < len(data.y):
        chosen = np.sort(np.random.default_rng(SEED).permutation(len(data.y))[:rows])
        data = replace(data, X=data.X[chosen], y=data.y[chosen])
    encoder = Encoder(tuple(Column(name) for name in data.feature_names))  # so that predict finds columns by name
    dataset = replace(
        as_dataset(data.X, data.y), feature_names=list(data.feature_names), encoder=encoder, target="late"
    )
    return data, split(dataset, TEST_FRACTION, SEED, ("on time", "late"))


def _fit(data: Data, split: Split, out: Path, *, as_json: bool) -> int:
    from offbeat.commands import fitting, problem_options, summary
    from offbeat.models.file import save_model

    problem = problem_options.make_problem(MODEL, None)
    solution = fitting.run(problem, split, FitRequest(progress=True))
    fitting.require_point(solution)
    settings: dict[str, Any] = {
        "loss": "logistic", "penalty": "elastic-net", "alpha": MODEL.alpha, "l1_ratio": MODEL.l1_ratio,
        "standardize": True, "tol": solution.certificate.tolerance, "test_fraction": TEST_FRACTION, "seed": SEED,
        "target": "late", "target_text": SHORT, "source": data.source,
    }  # fmt: skip
    model = fitting.make_model(problem, split, solution, settings)
    with terminal.writing(out):
        save_model(out / "model", model)
    scores, effects = fitting.score(model, split)
    about = fitting.describe_data(split, weighted=False)
    fitted = _write(fitting.FitResult(model, solution, about, settings, scores, effects, {}), out)
    if as_json:
        terminal.print_json(fitted.to_dict())
    else:
        summary.print_fit(terminal.console(), fitted)
    return fitted.exit_code


def _write(fitted: FitResult, out: Path) -> FitResult:
    """Write report, figure and trace beside the model."""
    from offbeat.commands import fitting, summary

    files = {
        "report": out / "report.html",
        "figure": out / "convergence.png",
        "trace": out / "trace.parquet",
        "model": out / "model",
    }
    with terminal.working("writing the report ..."), terminal.writing(out):
        summary.write_report(fitted, files["report"], TITLE)
        fitted.solution.trace.plot(files["figure"])
        fitted.solution.trace.save(files["trace"])
    return fitting.add_files(fitted, files)
