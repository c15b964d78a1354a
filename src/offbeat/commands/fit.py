"""``offbeat fit``: a model for a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offbeat.commands import standard_input, terminal
from offbeat.commands.options import (
    COLUMNS,
    DATA,
    MODEL,
    OUTPUT,
    STOPPING,
    TEXT,
    DataRequest,
    Decimal,
    Encoding,
    FitRequest,
    IndexBase,
    Json,
    LossName,
    MemoryBudget,
    ModelRequest,
    PenaltyName,
    Quiet,
    Separator,
    make_reading,
)
from offbeat.data.files.reading import Reading

if TYPE_CHECKING:
    from offbeat.problem import Problem

HELP = """
Fit a model to a table, and prove how close to the optimum it is.

Text and categorical columns become one column for each level. Of two classes, the second in sorted order is the one \
whose probability is predicted. Ctrl-C ends the fit early and keeps the best model so far.

[bold]Examples[/bold]
[cyan]offbeat fit flights.parquet -t late --loss logistic --out model/[/cyan]
[cyan]offbeat fit claims.csv -t claims --loss poisson --offset log_exposure[/cyan]
[cyan]offbeat fit X.npy -t y.npy --loss squared --penalty l1 --alpha 0.01[/cyan]
[cyan]zcat prices.csv.gz | offbeat fit - -t price --loss squared --separator ';' --decimal ','[/cyan]

[bold]Exit codes[/bold]
0  certified: the gap is within the tolerance
3  not certified: it stopped earlier; the model is kept
2  bad usage or bad input
130  interrupted; the best model so far is kept
"""


def _choices(names: type[StrEnum]) -> str:
    return ", ".join(names)


@dataclass(frozen=True)
class Outputs:
    """Where results go; None: nowhere."""

    model: Path | None
    report: Path | None
    as_json: bool


def fit(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            show_default=False,
            help="Parquet file or folder, CSV (- is standard input), libsvm (.svm, .txt) or .npy matrix.",
        ),
    ],
    loss: Annotated[
        LossName,
        typer.Option(metavar="LOSS", rich_help_panel=MODEL, show_default=False, help=f"{_choices(LossName)}."),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            metavar="COLUMN",
            rich_help_panel=DATA,
            show_default=False,
            help="Column to predict; beside a .npy matrix, a .npy file. libsvm files hold their own.",
        ),
    ] = None,
    penalty: Annotated[
        PenaltyName, typer.Option(metavar="PENALTY", rich_help_panel=MODEL, help=f"{_choices(PenaltyName)}.")
    ] = PenaltyName.L2,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=MODEL,
            show_default="1e-4; nonnegative: 0",
            help="Strength of the penalty, beside the mean of the losses.",
        ),
    ] = None,
    l1_ratio: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            rich_help_panel=MODEL,
            show_default="0.5",
            help="Share of l1 in the elastic net.",
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=MODEL,
            show_default="1.35",
            help="Residual, in units of the target, beyond which the huber loss is linear.",
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=MODEL,
            show_default="0.1",
            help="Residual, in units of the target, up to which the epsilon-insensitive losses are zero.",
        ),
    ] = None,
    standardize: Annotated[
        bool, typer.Option(help="Penalise columns scaled to unit variance.", rich_help_panel=COLUMNS)
    ] = True,
    intercept: Annotated[bool, typer.Option(help="Add an intercept, never penalised.", rich_help_panel=COLUMNS)] = True,
    weight: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Weights of the rows.", rich_help_panel=DATA, show_default=False),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=DATA,
            show_default=False,
            help="Added to the linear predictor, such as the log of an exposure.",
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Not a feature; may be repeated.", rich_help_panel=DATA, show_default=False
        ),
    ] = None,
    test_fraction: Annotated[
        float,
        typer.Option(metavar="0..1", rich_help_panel=DATA, help="Part of the rows to hold out for metrics."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Chooses the held-out rows.", rich_help_panel=DATA)] = 0,
    memory_budget: MemoryBudget = None,
    categorical: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=DATA,
            show_default=False,
            help="Holds categories, though they look like numbers or dates; may be repeated.",
        ),
    ] = None,
    na_values: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=TEXT,
            show_default="NA, NaN, null, ...",
            help="Stands for a missing value, beside an empty field; may be repeated; '' for nothing else.",
        ),
    ] = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    index_base: IndexBase = None,
    solver: Annotated[
        str,
        typer.Option(
            metavar="NAME", rich_help_panel=STOPPING, help="auto, newton, lbfgs, proximal-gradient, gradient-descent."
        ),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Threads.", rich_help_panel=STOPPING, show_default="by size"),
    ] = None,
    tol: Annotated[
        float,
        typer.Option(metavar="NUMBER", rich_help_panel=STOPPING, help="Relative duality gap at which to stop."),
    ] = 1e-6,
    max_iter: Annotated[
        float, typer.Option(metavar="NUMBER", help="Most passes over the data.", rich_help_panel=STOPPING)
    ] = 1000.0,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", rich_help_panel=STOPPING, help="Stop then, with the best model so far."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=STOPPING, show_default=False, help="Keep the state of the fit there."
        ),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(metavar="SECONDS", rich_help_panel=STOPPING, help="How often, besides at the end.")
    ] = 30.0,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=STOPPING, show_default=False, help="Continue the fit with this checkpoint."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="Save the model there.", rich_help_panel=OUTPUT, show_default=False
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an HTML report.", rich_help_panel=OUTPUT, show_default=False),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model to a table; see `HELP`."""
    model = ModelRequest(loss, penalty, alpha, l1_ratio, delta, epsilon)
    shown = False if quiet else None
    how = FitRequest(
        standardize, intercept, solver, workers, tol, max_iter, time_limit, shown, checkpoint, checkpoint_every, resume
    )
    missing = None if na_values is None else tuple(text for text in na_values if text)
    with terminal.reported_errors(), standard_input.as_file(table) as file:
        reading = make_reading(
            Reading(), separator, decimal, encoding,
            na_values=missing, categorical=tuple(categorical or ()), index_base=index_base,
        )  # fmt: skip
        data = DataRequest(file, target, weight, offset, tuple(drop or ()), test_fraction, seed, memory_budget, reading)
        raise typer.Exit(_fit(data, model, how, Outputs(out, report, as_json)))


def _fit(data: DataRequest, request: ModelRequest, how: FitRequest, outputs: Outputs) -> int:
    """Read, fit, save, score, print; return the exit code."""
    from offbeat.commands import fitting, problem_options, summary, training_data
    from offbeat.models.file import save_model

    quiet = how.progress is False
    for path in (outputs.model, outputs.report):
        if path is not None:
            terminal.check_writable(path)
    problem_options.make_problem(request, None)  # options that disagree are found before the data is read
    with terminal.working(f"reading {data.table} ...", quiet=quiet), terminal.noted_warnings():
        split = training_data.load_split(data, request.loss)
    problem = problem_options.make_problem(request, None if split.classes is None else len(split.classes))
    solution = fitting.run(problem, split, how)
    fitting.require_point(solution)
    reading = {**data.reading.settings(), **split.train.reading.settings()}
    settings = {**_settings(data, request, how, problem), **reading}
    model = fitting.make_model(problem, split, solution, settings)
    files: dict[str, Path] = {}
    if outputs.model is not None:
        with terminal.writing(outputs.model):
            save_model(outputs.model, model)  # before anything else can fail or be interrupted
        files["model"] = outputs.model
    about = fitting.describe_data(split, weighted=data.weight is not None)
    with terminal.working("scoring ...", quiet=quiet):
        scores, effects = fitting.score(model, split)
    fitted = fitting.FitResult(model, solution, about, settings, scores, effects, {})
    if outputs.report is not None:
        with terminal.writing(outputs.report):
            summary.write_report(fitted, outputs.report, f"{data.target or data.table.name}: {request.loss} fit")
        files["report"] = outputs.report
    fitted = fitting.add_files(fitted, files)
    if outputs.as_json:
        terminal.print_json(fitted.to_dict())
    else:
        summary.print_fit(terminal.console(), fitted)
        if not files:
            terminal.note("The model was not saved: give --out to keep it.")
    return fitted.exit_code


def _settings(data: DataRequest, request: ModelRequest, how: FitRequest, problem: Problem) -> dict[str, Any]:
    """Return all options by name, as JSON can hold them and people want to read them."""
    used = {**problem.loss._asdict(), **problem.penalty._asdict()}
    numbers = {name: used.get(name) for name in ("alpha", "l1_ratio", "delta", "epsilon")}
    named = {**asdict(request), **numbers, **asdict(data), **asdict(how)}
    for name in ("progress", "checkpoint", "checkpoint_every", "resume", "reading"):
        del named[name]
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}
    plain["table"] = data.table.name  # where it lay is nobody's business who gets the model
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in plain.items() if value is not None
    }
