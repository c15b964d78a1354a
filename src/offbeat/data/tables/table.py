"""What every table looks like to the rest of the data layer, and what can be done with any of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import CSRSource, DenseSource
from offbeat.data.source import CSR, Source
from offbeat.data.tables.columns import LevelScan
from offbeat.data.tables.convert import MissingValuesError, missing_count, plain_values
from offbeat.data.tables.encoding import Encoder, EncoderOptions, MatrixWriter, index_dtype, matrix_dtype
from offbeat.data.tables.pandas_index import noted_index
from offbeat.errors import DataError, TargetError

if TYPE_CHECKING:
    import pyarrow as pa


@runtime_checkable
class Tabular(Protocol):
    """A table, in memory or in files."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns."""
        ...

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns, in order, a part at a time."""
        ...

    def known_missing(self, names: Sequence[str]) -> dict[str, int]:
        """Return the columns known, without reading them, to hold null values, with their counts."""
        ...

    def source(self, encoder: Encoder, budget: int) -> Source:
        """Return the encoded matrix, held in memory if its bytes fit the budget."""
        ...


def fit_encoder(table: Tabular, names: Sequence[str], options: EncoderOptions | None = None) -> Encoder:
    """Learn how columns of a table become features, reading only those that hold categories.

    Parameters
    ----------
    table : Tabular
        The table.
    names : sequence of str
        Columns to use.
    options : EncoderOptions, optional
        See `Encoder.fit`.

    Returns
    -------
    encoder : Encoder

    Raises
    ------
    DataError
        A column does not exist, has an unusable type, too many levels, or missing values.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.in_memory import MemoryTable
    >>> table = MemoryTable.from_arrow(pa.table({"x": [1.0, 2.0], "dest": ["SFO", "LAX"]}))
    >>> fit_encoder(table, ["dest"]).feature_names
    ['dest=LAX', 'dest=SFO']
    """
    scan = scan_levels(table, names, () if options is None else options.categorical)
    columns = scan.columns(table.n_rows, partial(_row_of, table))
    numbers = (table.schema.field(column.name) for column in columns if not column.categorical)
    return Encoder.from_scan(columns, matrix_dtype(numbers), options)


def _row_of(table: Tabular, name: str, value: str) -> int:
    """Return the first row in which a column of text has a value, which it has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    before = 0
    for batch in table.batches([name]):
        found = pc.index(_decoded(batch.column(0)).cast(pa.large_string()), value).as_py()
        if found >= 0:
            return before + int(found)
        before += batch.num_rows
    return before


def scan_levels(table: Tabular, names: Sequence[str], categorical: Sequence[str] = ()) -> LevelScan:
    """Return the kinds of columns of a table, and the levels that appear in those that hold categories.

    Parameters
    ----------
    table : Tabular
    names : sequence of str
        Columns to look at.
    categorical : sequence of str
        Columns that hold categories, whatever their type.

    Raises
    ------
    DataError
        See `fit_encoder`.
    """
    import pyarrow as pa

    check_columns(table, names)
    missing = table.known_missing(names)
    if missing:
        raise MissingValuesError(missing)
    scan = LevelScan(pa.schema([table.schema.field(name) for name in names]), categorical)
    if scan.categorical:
        for batch in table.batches(scan.categorical):
            scan.observe(batch)
    return scan


def check_columns(table: Tabular, names: Sequence[str]) -> None:
    """Raise `DataError` unless the table has these columns, each once.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.in_memory import MemoryTable
    >>> check_columns(MemoryTable.from_arrow(pa.table({"x": [1.0]})), ["x"])
    """
    present = table.schema.names
    counts = Counter(present)
    for name in names:
        if counts[name] == 0:
            raise DataError(f"There is no column {name!r}; the table has {_shown(present)}.")
        if counts[name] > 1:
            raise DataError(f"The column name {name!r} appears {counts[name]} times. Rename the columns.")


def feature_columns(table: Tabular, roles: Iterable[str | None]) -> list[str]:
    """Return the columns that are features where none are chosen: those without a role, and no stored index.

    Parameters
    ----------
    table : Tabular
    roles : iterable of str or None
        Names of columns that are something else.

    Examples
    --------
    >>> import pandas as pd
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.in_memory import MemoryTable
    >>> frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}, index=[7, 5])
    >>> feature_columns(MemoryTable.from_arrow(pa.Table.from_pandas(frame)), ["y"])
    ['x']
    """
    schema = table.schema
    others = noted_index(schema).union(role for role in roles if role is not None)
    return [name for name in schema.names if name not in others]


def encode(table: Tabular, encoder: Encoder) -> Source:
    """Encode a whole table into memory.

    Parameters
    ----------
    table : Tabular
        The table.
    encoder : Encoder
        Fitted on it, or on one with the same columns.

    Returns
    -------
    source : DenseSource or CSRSource

    Raises
    ------
    DataError
        See `Encoder.transform`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.in_memory import MemoryTable
    >>> table = MemoryTable.from_arrow(pa.table({"x": [1.0, 2.0]}))
    >>> encode(table, fit_encoder(table, ["x"])).shape
    (2, 1)
    """
    encoder.check_names(table.schema.names)
    writer = MatrixWriter(encoder, table.n_rows)
    try:
        for batch in table.batches(encoder.names):
            writer.write(batch)
    except MissingValuesError as error:
        raise MissingValuesError(count_missing(table, encoder.names) or error.counts) from None
    if isinstance(writer.matrix, CSR):
        return CSRSource(writer.matrix, len(encoder.feature_names))
    return DenseSource(writer.matrix)


def count_missing(table: Tabular, names: Sequence[str]) -> dict[str, int]:
    """Count null and NaN values by reading all rows; columns without any are left out.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.in_memory import MemoryTable
    >>> count_missing(MemoryTable.from_arrow(pa.table({"x": [1.0, None], "z": [1, 2]})), ["x", "z"])
    {'x': 1}
    """
    counts = dict.fromkeys(names, 0)
    for batch in table.batches(names):
        for name in names:
            counts[name] += missing_count(batch.column(name))
    return {name: count for name, count in counts.items() if count}


def encoded_bytes(encoder: Encoder, n_rows: int) -> int:
    """Return the memory that the encoded matrix would take.

    Examples
    --------
    >>> from offbeat.data.tables.columns import Column
    >>> encoded_bytes(Encoder((Column("x"), Column("z"))), n_rows=10)
    160
    """
    value, n_features = np.dtype(encoder.dtype).itemsize, len(encoder.feature_names)
    if not encoder.sparse:
        return n_rows * n_features * value
    n_stored = n_rows * encoder.entries_per_row
    index = index_dtype(n_stored, n_features).itemsize
    return n_stored * (value + index) + n_rows * index


def column_values(table: Tabular, name: str) -> NDArray[Any]:
    """Return one column as it is: numbers, booleans or (as objects) texts.

    Parameters
    ----------
    table : Tabular
        The table.
    name : str
        The column.

    Returns
    -------
    values : ndarray, shape (n_rows,)

    Raises
    ------
    DataError
        The column does not exist.
    TargetError
        Values are missing.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.in_memory import MemoryTable
    >>> column_values(MemoryTable.from_arrow(pa.table({"late": ["no", "yes"]})), "late")
    array(['no', 'yes'], dtype=object)
    """
    import pyarrow.types as at

    check_columns(table, [name])
    parts: list[NDArray[Any]] = []
    for batch in table.batches([name]):
        array = _decoded(batch.column(0))
        if array.null_count:
            first = sum(len(part) for part in parts) + int(np.argmax(plain_values(array.is_null())))
            raise TargetError(
                f"Column {name!r} has missing values, {count_missing(table, [name])[name]:,} in all; "
                f"the first is in row {first}. Drop those rows."
            )
        numeric = at.is_integer(array.type) or at.is_floating(array.type)
        parts.append(plain_values(array) if numeric else array.to_numpy(zero_copy_only=False))
    return np.concatenate(parts) if parts else np.empty(0)


def _decoded(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.types as at

    if at.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.float64()) if at.is_decimal(array.type) else array


def _shown(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none"
