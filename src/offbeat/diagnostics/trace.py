"""The record of a fit: one row for each worker's step and each update, and what can be made of it."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from offbeat._utils.atomic import atomic_write
from offbeat.diagnostics.formatting import counted
from offbeat.errors import DataError
from offbeat.sideways.messages import Row

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure

COLUMNS = (
    "time", "passes", "worker", "clock", "staleness", "primal", "dual", "gap", "primal_residual",
    "dual_residual", "bytes", "kind", "shard", "duration", "note", "batch",
)  # fmt: skip
_INTEGERS = frozenset({"worker", "clock", "staleness", "bytes", "shard", "batch"})
_TEXTS = frozenset({"kind", "note"})
_ADDED = ("batch",)
"""Columns that files of earlier versions do not have."""
_VERSION = 1


class Trace:
    """Append-only table of what happened during a fit.

    Appending costs one list append; arrays, frames and files are made only when asked for.

    Parameters
    ----------
    rows : iterable of Row, optional
        First rows.
    metadata : mapping of str to str, optional
        Facts about the whole fit, kept in saved files. Plots and reports understand ``solver``, ``reason`` (why
        that solver), ``status``, ``tolerance`` (relative), ``gap_scale`` (the gap at which the relative gap is 1),
        ``certificate`` (``"duality gap"`` or ``"gradient"``) and ``clock`` (``"virtual"`` in simulations);
        anything else is shown as it is.

    Examples
    --------
    >>> from offbeat.sideways.messages import Row
    >>> nan = float("nan")
    >>> trace = Trace(metadata={"solver": "newton"})
    >>> trace.append(Row(0.5, 0.0, "update", 1.0, -1, -1, 1, 0, 0.7, 0.6, 0.1, nan, nan, 0, ""))
    >>> trace
    Trace(1 row, newton, 1 passes, 0.5 s, gap 1.0e-01)
    >>> float(trace.to_arrays()["gap"][0])
    0.1
    """

    __slots__ = ("_rows", "metadata")

    def __init__(self, rows: Iterable[Row] = (), metadata: Mapping[str, str] | None = None) -> None:
        self._rows: list[Row] = list(rows)
        self.metadata: dict[str, str] = dict(metadata or {})

    def append(self, row: Row) -> None:
        """Add one row at the end; safe to call from several threads."""
        self._rows.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Trace: ...
    def __getitem__(self, index: int | slice) -> Row | Trace:
        """Row at ``index``, or a trace of the rows of a slice with the same metadata."""
        if isinstance(index, slice):
            return Trace(self._rows[index], self.metadata)
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        # repr, not ==: rows with the same unknown (NaN) entries are the same.
        return self.metadata == other.metadata and list(map(repr, self._rows)) == list(map(repr, other._rows))

    __hash__ = None  # type: ignore[assignment]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Columns as NumPy arrays of shape (n_rows,), in the order of ``to_frame``.

        Returns
        -------
        columns : dict of str to ndarray
            float64, int64 or object (text) arrays.
        """
        rows = tuple(self._rows)  # one snapshot, so that columns agree while a fit still appends
        values = dict(zip(Row._fields, zip(*rows, strict=True), strict=True)) if rows else {}
        return {name: np.array(values.get(name, ()), dtype=_dtype(name)) for name in COLUMNS}

    def to_frame(self) -> pd.DataFrame:
        """Table as a pandas DataFrame: time, passes, worker, clock, staleness, primal, dual, gap and the rest.

        Raises
        ------
        ImportError
            pandas is not installed: use ``to_arrow`` or ``to_arrays``.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "Trace.to_frame needs pandas, which is not installed. Install pandas, or use Trace.to_arrow() "
                "or Trace.to_arrays(), which do without."
            ) from error
        return pd.DataFrame(self.to_arrays())

    def to_arrow(self) -> pa.Table:
        """Table as a pyarrow Table with the metadata in its schema."""
        import pyarrow as pa

        types = {name: pa.int64() if name in _INTEGERS else pa.float64() for name in COLUMNS}
        types.update({name: pa.string() for name in _TEXTS})
        header = {"version": _VERSION, "metadata": {str(k): str(v) for k, v in self.metadata.items()}}
        schema = pa.schema(list(types.items()), metadata={"offbeat.trace": json.dumps(header)})
        arrays = [pa.array(column, type=types[name]) for name, column in self.to_arrays().items()]
        return pa.Table.from_arrays(arrays, schema=schema)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Parquet file; the file at ``path`` is either the old one or complete.

        Parameters
        ----------
        path : str or path-like
            File to write. Its folder must exist.

        Raises
        ------
        OSError
            The folder is missing, not writable or full.
        """
        import pyarrow.parquet as pq

        table = self.to_arrow()
        with atomic_write(path) as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read a trace written by ``save``.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        DataError
            There is no such file, or it is damaged, not a trace, or written by a later version.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = os.fspath(path)
        try:
            # An open file: given a name, pyarrow would take a folder for a dataset.
            with open(name, "rb") as file:
                table = pq.read_table(file, page_checksum_verification=True)
        except FileNotFoundError:
            raise DataError(f"There is no trace file {name!r}.") from None
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"The trace file {name!r} cannot be read: it is damaged, cut short or not Parquet ({error}). "
                "Use a file written by Trace.save."
            ) from error
        return cls(_rows_of(table, name), _metadata_of(table, name))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Gap, primal and dual against time and passes.

        Parameters
        ----------
        path : str or path-like, optional
            Also save the figure there (by its ending: png at 150 dots an inch, pdf, svg).

        Returns
        -------
        figure : matplotlib.figure.Figure

        Raises
        ------
        MissingPackageError
            Matplotlib is not installed.
        OSError
            ``path`` cannot be written.
        """
        from offbeat.diagnostics.plots import convergence, save_figure

        figure = convergence(self)
        if path is not None:
            save_figure(figure, path)
        return figure

    def report(self, path: str | os.PathLike[str], *, title: str = "Fit report") -> None:
        """Write a self-contained HTML page of the whole fit.

        Parameters
        ----------
        path : str or path-like
        title : str

        Raises
        ------
        MissingPackageError
            Bokeh or Jinja2 is not installed.
        OSError
            ``path`` cannot be written.
        """
        from offbeat.diagnostics.report import Report, write_report

        write_report(Report(title=title, trace=self), path)

    def __repr__(self) -> str:
        return f"Trace({', '.join(_brief(self))})"

    def _repr_html_(self) -> str:
        last = f"<code>{html.escape(', '.join(_brief(self)))}</code>"
        return f"<div><strong>Trace</strong> {last}<br><small>to_frame(), plot(), report(path)</small></div>"


def _dtype(name: str) -> type:
    if name in _TEXTS:
        return object
    return np.int64 if name in _INTEGERS else np.float64


def _brief(trace: Trace) -> list[str]:
    """Short facts for people: rows, solver, passes, time and the last known gap."""
    facts = [counted(len(trace), "row")]
    if "solver" in trace.metadata:
        facts.append(trace.metadata["solver"])
    updates = [row for row in trace if row.kind == "update"]
    if updates:
        facts += [f"{updates[-1].passes:.4g} passes", f"{updates[-1].time:.3g} s"]
        gap = next((row.gap for row in reversed(updates) if math.isfinite(row.gap)), None)
        facts += [] if gap is None else [f"gap {gap:.1e}"]
    return facts


def _rows_of(table: pa.Table, name: str) -> list[Row]:
    missing = [column for column in COLUMNS if column not in (*table.column_names, *_ADDED)]
    if missing:
        raise DataError(f"{name!r} is not a trace: it has no column {', '.join(missing)}. Use a file of Trace.save.")
    try:
        fields = [field for field in Row._fields if field in table.column_names]
        columns = [_values(table.column(field), field) for field in fields]
    except (ValueError, TypeError) as error:
        raise DataError(f"{name!r} is not a trace: a column has values of another type ({error}).") from error
    return [Row(**dict(zip(fields, values, strict=True))) for values in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray, field: str) -> list[Any]:
    """Values of one column as the Python types of ``Row``."""
    kind = str if field in _TEXTS else int if field in _INTEGERS else float
    # Another tool may have written null for an unknown number.
    values = [math.nan if value is None and kind is float else value for value in column.to_pylist()]
    accepted = (int, float) if kind is float else kind
    for index, value in enumerate(values):
        if not isinstance(value, accepted):
            raise TypeError(f"column {field}, row {index}: {value!r}")
    return [kind(value) for value in values]


def _metadata_of(table: pa.Table, name: str) -> dict[str, str]:
    text = (table.schema.metadata or {}).get(b"offbeat.trace")
    if text is None:
        raise DataError(f"{name!r} is not a trace: its header is missing. Use a file written by Trace.save.")
    try:
        header = json.loads(text)
        version, metadata = int(header["version"]), dict(header["metadata"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"The trace file {name!r} has a damaged header ({error}).") from error
    if version > _VERSION:
        raise DataError(f"The trace file {name!r} has format {version}; this version reads up to {_VERSION}.")
    return {str(key): str(value) for key, value in metadata.items()}
