"""``offbeat fit``: a model for a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offbeat._utils.extras import require_plot
from offbeat.commands import standard_input, terminal
from offbeat.commands.options import (
    DATA,
    OUTPUT,
    STOPPING,
    TEXT,
    Alpha,
    DataRequest,
    Decimal,
    Delta,
    Drop,
    Encoding,
    Epsilon,
    FitRequest,
    IndexBase,
    Intercept,
    Json,
    L1Ratio,
    Loss,
    MaxIter,
    MemoryBudget,
    ModelRequest,
    Offset,
    Penalty,
    PenaltyName,
    Quiet,
    Separator,
    Standardize,
    Target,
    Tol,
    Weight,
    make_read_options,
    option,
)
from offbeat.data.files.read_options import ReadOptions

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
    loss: Loss,
    target: Target = None,
    penalty: Penalty = PenaltyName.L2,
    alpha: Alpha = None,
    l1_ratio: L1Ratio = None,
    delta: Delta = None,
    epsilon: Epsilon = None,
    standardize: Standardize = True,
    intercept: Intercept = True,
    weight: Weight = None,
    offset: Offset = None,
    drop: Drop = None,
    test_fraction: Annotated[float, option("Part of the rows to hold out for metrics.", DATA, "0..1")] = 0.0,
    seed: Annotated[int, option("Chooses the held-out rows.", DATA, "NUMBER")] = 0,
    memory_budget: MemoryBudget = None,
    categorical: Annotated[
        list[str] | None,
        option("Holds categories, though they look like numbers or dates; may be repeated.", DATA, "COLUMN", False),
    ] = None,
    na_values: Annotated[
        list[str] | None,
        option(
            "Stands for a missing value, beside an empty field; may be repeated; '' for nothing else.",
            TEXT,
            "TEXT",
            "NA, NaN, null, ...",
        ),
    ] = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    index_base: IndexBase = None,
    solver: Annotated[
        str, option("auto, newton, lbfgs, proximal-gradient, gradient-descent.", STOPPING, "NAME")
    ] = "auto",
    workers: Annotated[int | None, option("Threads.", STOPPING, "NUMBER", "by size")] = None,
    tol: Tol = 1e-6,
    max_iter: MaxIter = 1000.0,
    time_limit: Annotated[float | None, option("Stop then, with the best model so far.", STOPPING, "SECONDS")] = None,
    checkpoint: Annotated[Path | None, option("Keep the state of the fit there.", STOPPING, "FILE", False)] = None,
    checkpoint_every: Annotated[float, option("How often, besides at the end.", STOPPING, "SECONDS")] = 30.0,
    resume: Annotated[Path | None, option("Continue the fit with this checkpoint.", STOPPING, "FILE", False)] = None,
    out: Annotated[Path | None, option("Save the model there.", OUTPUT, "FOLDER", False, ("--out", "-o"))] = None,
    report: Annotated[Path | None, option("Write an HTML report.", OUTPUT, "FILE", False)] = None,
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
        read_options = make_read_options(
            ReadOptions(), separator, decimal, encoding,
            na_values=missing, categorical=tuple(categorical or ()), index_base=index_base,
        )  # fmt: skip
        data = DataRequest(
            file, target, weight, offset, tuple(drop or ()), test_fraction, seed, memory_budget, read_options
        )
        raise typer.Exit(_fit(data, model, how, Outputs(out, report, as_json)))


def _fit(data: DataRequest, request: ModelRequest, how: FitRequest, outputs: Outputs) -> int:
    """Read, fit, save, score, print; return the exit code."""
    from offbeat.commands import fitting, problem_options, summary, training_data
    from offbeat.models.file import save_model

    quiet = how.progress is False
    for path in (outputs.model, outputs.report):
        if path is not None:
            terminal.check_writable(path)
    if outputs.report is not None:
        require_plot("page")
    problem_options.make_problem(request, None)  # options that disagree are found before the data is read
    with terminal.working(f"reading {data.table} ...", quiet=quiet), terminal.noted_warnings():
        split = training_data.load_split(data, request.loss)
    problem = problem_options.make_problem(request, None if split.classes is None else len(split.classes))
    solution = fitting.run(problem, split, how)
    fitting.require_point(solution)
    read_options = {**data.read_options.settings(), **split.train.read_options.settings()}
    settings = {**_settings(data, request, how, problem), **read_options}
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
    for name in ("progress", "checkpoint", "checkpoint_every", "resume", "read_options"):
        del named[name]
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}
    plain["table"] = data.table.name  # where it lay is nobody's business who gets the model
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in plain.items() if value is not None
    }
