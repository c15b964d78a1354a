"""``offbeat predict``: predictions of a saved model for new rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offbeat.commands import standard_input, terminal
from offbeat.commands.options import (
    DATA,
    OUTPUT,
    Decimal,
    Encoding,
    IndexBase,
    Json,
    MemoryBudget,
    Separator,
    make_read_options,
    option,
)
from offbeat.data.files.read_options import ReadOptions
from offbeat.errors import DataError, ProblemError

if TYPE_CHECKING:
    import pyarrow as pa

    from offbeat.data.dataset import Dataset
    from offbeat.data.opening import Opened
    from offbeat.models.fitted import FittedModel
    from offbeat.problem import Floats

HELP = """
Predict new rows with a saved model.

Columns are found by name, in any order; others are ignored. A missing column, a column of another type and a level \
that the model never saw are errors. CSV and libsvm files are read as in the fit, columns with its types, unless \
options say otherwise. Without --out, CSV goes to standard output.

[bold]What is written[/bold]
prediction  the value, the count, or the likeliest class
probability_<class>  logistic and multinomial: one column for each class
decision  hinge and squared-hinge: positive for the second class

[bold]Examples[/bold]
[cyan]offbeat predict model/ new.parquet --out predictions.parquet[/cyan]
[cyan]offbeat predict model/ new.csv --column id | head[/cyan]
"""


class Unknown(StrEnum):
    """What to do about levels that the model never saw."""

    ERROR = "error"
    IGNORE = "ignore"


@dataclass(frozen=True)
class NewData:
    """Which rows to predict, and what to copy from them."""

    table: Path
    columns: tuple[str, ...]
    offset: str | None
    unknown: Unknown
    memory_budget: str | None
    given: Mapping[str, Any]  # options of text files


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", show_default=False, help="Folder that `offbeat fit --out` wrote.")
    ],
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", show_default=False, help="Rows to predict, in a file as for fit (- is standard input)."
        ),
    ],
    out: Annotated[Path | None, option("A .parquet or .csv file.", OUTPUT, "FILE", names=("--out", "-o"))] = None,
    column: Annotated[
        list[str] | None, option("Copy it beside the predictions; may be repeated.", OUTPUT, "COLUMN", False)
    ] = None,
    offset: Annotated[str | None, option("As for fit.", DATA, "COLUMN", "as fitted")] = None,
    unknown: Annotated[
        Unknown,
        option("Levels that the model never saw: error, or ignore to take none of the known ones.", DATA, "WHAT"),
    ] = Unknown.ERROR,
    memory_budget: MemoryBudget = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    index_base: IndexBase = None,
    as_json: Json = False,
) -> None:
    """Predict new rows; see `HELP`."""
    given = {"separator": separator, "decimal": decimal, "encoding": encoding, "index_base": index_base}
    with terminal.reported_errors(), standard_input.as_file(table) as file:
        if as_json and out is None:
            raise ProblemError("--json describes a file of predictions: give --out")
        data = NewData(file, tuple(column or ()), offset, unknown, memory_budget, given)
        _predict(model, data, out, as_json=as_json)


def _predict(folder: Path, data: NewData, out: Path | None, *, as_json: bool) -> None:
    from offbeat.commands.scoring import predictor
    from offbeat.models.file import load_model

    if out is not None:
        _check_kind(out)
        terminal.check_writable(out)
    model = load_model(folder)
    with terminal.working(f"predicting {data.table} ..."):
        opened, dataset = _open(model, data)
        copied = _copied(opened, data)
        _check_flat(copied, out)
        table = _table(model, predictor(model, dataset), copied)
        _write(table, out)
    if out is None:
        return
    result = {"rows": table.num_rows, "columns": table.column_names, "file": str(out)}
    if as_json:
        terminal.print_json(result)
    else:
        typer.echo(f"{table.num_rows:,} predictions: {out}")


def _open(model: FittedModel, data: NewData) -> tuple[Opened, Dataset]:
    """Read the rows in the way that the model was fitted."""
    from offbeat.commands.training_data import read_vector
    from offbeat.data.load import as_dataset, open_data

    numbers = {column.name for column in (model.encoder.columns if model.encoder else ()) if not column.categorical}
    offset: Any = data.offset or model.settings.get("offset")
    copied = [name for name in data.columns if name not in numbers and name != offset]
    fitted_options = ReadOptions.from_settings(model.settings).for_prediction(model.encoder, model.n_features, copied)
    opened = open_data(data.table, data.memory_budget, make_read_options(fitted_options, **data.given))
    fitted = model.settings.get("offset")
    if opened.table is None:
        if data.offset is None and fitted is not None:
            raise DataError("the model was fitted with an offset: give --offset, a .npy file with one value a row")
        offset = None if data.offset is None else read_vector(Path(data.offset), "--offset", data.table)
    elif model.encoder is None:
        raise DataError(f"the model was fitted to a matrix without names of columns, and {data.table} is a table")
    elif offset is not None and offset not in opened.table.schema.names:
        raise DataError(f"{data.table} has no column {offset!r}, the offset of the model; give --offset")
    encoder = None if model.encoder is None else replace(model.encoder, unknown=data.unknown.value)
    dataset = as_dataset(opened, offset=offset, memory_budget=data.memory_budget, encoder=encoder)
    if dataset.n_columns != model.n_features:
        raise DataError(f"{data.table} has {dataset.n_columns} columns; the model has {model.n_features} features")
    return opened, dataset


def _copied(opened: Opened, data: NewData) -> dict[str, pa.ChunkedArray]:
    """Return the columns to write beside the predictions."""
    import pyarrow as pa

    from offbeat.data.tables.common_type import plain_type
    from offbeat.data.tables.table import check_columns

    if not data.columns:
        return {}
    if opened.table is None:
        raise DataError(f"--column needs names of columns, which {data.table} does not have")
    check_columns(opened.table, data.columns)
    chunks: dict[str, list[pa.Array]] = {name: [] for name in data.columns}
    types = {name: plain_type(opened.table.schema.field(name).type) for name in data.columns}
    for batch in opened.table.batches(data.columns):
        for name, dtype in types.items():
            try:
                chunks[name].append(batch.column(name).cast(dtype, safe=False))
            except pa.ArrowException as error:
                raise DataError(f"--column: {name!r} is of other types in other files: {error}") from error
    columns = {name: pa.chunked_array(parts, types[name]) for name, parts in chunks.items()}
    texts = opened.read_options.categorical
    return {name: _typed(column) if name in texts else column for name, column in columns.items()}


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text as numbers or dates, if those are written as the texts are: ``007`` stays text."""
    import pyarrow as pa

    for dtype in (pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("s")):
        with suppress(pa.ArrowException):
            values = column.cast(dtype)
            if values.cast(column.type).equals(column):
                return values
    return column


def _check_flat(copied: Mapping[str, pa.ChunkedArray], out: Path | None) -> None:
    """Raise `DataError` if a column cannot be written to CSV."""
    import pyarrow.types as at

    for name, column in copied.items():
        if at.is_nested(column.type) and (out is None or out.suffix.lower() == ".csv"):
            raise DataError(
                f"--column: {name!r} has type {column.type}, which CSV cannot hold; write a .parquet file (--out)"
            )


def _table(model: FittedModel, z: Floats, copied: dict[str, pa.ChunkedArray]) -> pa.Table:
    """Return the predictions as a table, after the columns that were asked for."""
    import pyarrow as pa

    from offbeat.commands.scoring import class_numbers
    from offbeat.losses.questions import means, probabilistic

    columns: dict[str, Any] = {}
    if model.loss.classifier:
        classes = model.classes if model.classes is not None else tuple(range(1 if z.ndim == 1 else z.shape[1]))
        columns["prediction"] = pa.array(list(classes)).take(pa.array(class_numbers(z)))
        if not probabilistic(model.loss):
            columns["decision"] = z
        else:
            mean = means(model.loss, z)
            shares = mean.T if mean.ndim == 2 else (1.0 - mean, mean)
            columns |= {f"probability_{label}": share for label, share in zip(classes, shares, strict=True)}
    else:
        columns["prediction"] = means(model.loss, z)
    taken = [name for name in copied if name in columns]
    if taken:
        raise DataError(f"the column {taken[0]!r} has the name of a prediction: rename it")
    return pa.table({**copied, **columns})


def _check_kind(out: Path) -> None:
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise DataError(f"{out}: predictions are written as .parquet or .csv")


def _write(table: pa.Table, out: Path | None) -> None:
    """Write a file whole or not at all, or CSV to standard output."""
    import pyarrow as pa

    try:
        _write_table(table, out)
    except pa.ArrowException as error:
        raise DataError(f"a column to copy cannot be written to CSV: {error}; write .parquet") from error


def _write_table(table: pa.Table, out: Path | None) -> None:
    import pyarrow.csv

    if out is None:
        pyarrow.csv.write_csv(table, sys.stdout.buffer)
        sys.stdout.flush()
        return
    with terminal.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        _write_file(table, out)


def _write_file(table: pa.Table, out: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    from offbeat._utils.atomic import atomic_write

    with atomic_write(out) as file:
        if out.suffix.lower() == ".csv":
            pyarrow.csv.write_csv(table, file)
        else:
            pyarrow.parquet.write_table(table, file)
