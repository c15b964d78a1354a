"""From the columns of a table to a matrix of features: numbers pass, categories become one column a level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import CSR, Block, Floats
from offbeat.data.tables.columns import Column, LevelScan, check_unique, level_array
from offbeat.data.tables.convert import Layout, MissingValuesError, check_missing, fill_dense, fill_sparse, to_numpy
from offbeat.errors import DataError, ModelFileError

if TYPE_CHECKING:
    import pyarrow as pa

Unknown = Literal["error", "ignore"]
MAX_SPARSE_DENSITY = 0.25
"""Share of the features that a row of a sparse matrix fills, at most."""
MIN_SPARSE_COLUMNS = 30
"""A matrix with no more features is dense."""


@dataclass(frozen=True)
class EncoderOptions:
    """How categories become features.

    Parameters
    ----------
    drop_first : bool
        Leave out the first level of every category. Without it the columns of a category add up to one, which
        is harmless with a penalty and makes coefficients easier to read.
    unknown : {"error", "ignore"}
        What a level that was not there when the encoder was fitted does: raise, or give a row of zeros.
    sparse : bool, optional
        Whether to make a sparse matrix; None decides by the data, see `Encoder.fit`.
    categorical : tuple of str
        Columns that hold categories, whatever their type: numbers that are codes.

    Examples
    --------
    >>> EncoderOptions(drop_first=True).unknown
    'error'
    """

    drop_first: bool = False
    unknown: Unknown = "error"
    sparse: bool | None = None
    categorical: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoder:
    """Turns rows of a table into rows of a matrix, the same way for every table.

    Columns are found by name: their order does not matter, and columns it does not know are ignored.

    Parameters
    ----------
    columns : tuple of Column
        The columns of the table that are features, in the order of the matrix.
    dtype : {"float64", "float32"}
        Type of the matrix.
    sparse : bool
        Whether the matrix is sparse.
    drop_first : bool
        Whether the first level of a category has no feature.
    unknown : {"error", "ignore"}
        What an unknown level does: raise `DataError`, or give zeros.

    Raises
    ------
    DataError
        Two features would have the same name, or `unknown` is neither of its values.

    Examples
    --------
    >>> import pyarrow as pa
    >>> flights = pa.table({"distance": [2.5, 1.0], "dest": ["SFO", "LAX"]})
    >>> encoder = Encoder.fit(flights)
    >>> encoder.feature_names
    ['distance', 'dest=LAX', 'dest=SFO']
    >>> encoder.transform(flights)
    array([[2.5, 0. , 1. ],
           [1. , 1. , 0. ]])
    """

    columns: tuple[Column, ...]
    dtype: str = "float64"
    sparse: bool = False
    drop_first: bool = False
    unknown: Unknown = "error"

    def __post_init__(self) -> None:
        if self.unknown not in ("error", "ignore"):
            raise DataError(f'unknown={self.unknown!r} is not known: pass "error" or "ignore".')
        check_unique(self.names, "column")
        check_unique(self.feature_names, "feature")

    @classmethod
    def fit(cls, table: pa.Table, options: EncoderOptions | None = None) -> Encoder:
        """Learn the columns of a table and the levels that appear in it.

        Parameters
        ----------
        table : pyarrow.Table
            Features only.
        options : EncoderOptions, optional
            By default one feature for every level, and an error for unknown ones. The matrix is sparse when
            it has more than 30 columns of which a row fills under a quarter: a sparse entry takes 1.5 times
            the memory of a dense one and several times its time, so fuller matrices are better dense.

        Returns
        -------
        encoder : Encoder

        Raises
        ------
        DataError
            A column has a type that cannot be used, or more levels than make sense.
        """
        scan = LevelScan(table.schema, () if options is None else options.categorical)
        for batch in table.select(scan.categorical).to_batches():
            scan.observe(batch)
        return cls.from_scan(scan.columns(table.num_rows), matrix_dtype(table.schema), options)

    @classmethod
    def from_scan(cls, columns: tuple[Column, ...], dtype: str, options: EncoderOptions | None = None) -> Encoder:
        """Build an encoder from columns whose levels are known; see `fit`."""
        chosen = options or EncoderOptions()
        encoder = cls(columns, dtype, False, chosen.drop_first, chosen.unknown)
        width = len(encoder.feature_names)
        if width == 0:
            raise DataError("Found 0 feature(s): every column has a single level, and the first is dropped.")
        pays = width > MIN_SPARSE_COLUMNS and len(columns) < MAX_SPARSE_DENSITY * width
        return replace(encoder, sparse=pays if chosen.sparse is None else chosen.sparse)

    @property
    def names(self) -> list[str]:
        """Names of the columns of the table that are used."""
        return [column.name for column in self.columns]

    @cached_property
    def feature_names(self) -> list[str]:
        """Names of the columns of the matrix: a number's own name, ``column=level`` for a category."""
        names: list[str] = []
        for column in self.columns:
            levels = column.levels[self.drop_first :]
            names += [f"{column.name}={level}" for level in levels] if column.categorical else [column.name]
        return names

    @property
    def plain(self) -> bool:
        """Whether every column is a number, so that the matrix holds the columns as they are."""
        return not any(column.categorical for column in self.columns)

    def transform(self, table: pa.Table | pa.RecordBatch) -> Block:
        """Encode all rows of a table.

        Parameters
        ----------
        table : pyarrow.Table or pyarrow.RecordBatch
            Holds the encoder's columns, in any order, and possibly others.

        Returns
        -------
        matrix : ndarray of shape (n_rows, n_features), or CSR

        Raises
        ------
        DataError
            A column is missing or its type changed; a value is missing; a level is unknown.
        """
        self.check_names(table.schema.names)
        writer = MatrixWriter(self, table.num_rows)
        try:
            for batch in [table] if _is_batch(table) else table.to_batches():
                writer.write(batch)
        except MissingValuesError:
            check_missing(table, self.names)  # now with the counts of all columns
            raise
        return writer.matrix

    def write_dense(self, batch: pa.RecordBatch, out: Floats) -> None:
        """Encode the rows of a batch into `out`, of shape (n_rows, n_features)."""
        fill_dense(self.to_arrays(batch), self._layout, out)

    def write_sparse(self, batch: pa.RecordBatch, indices: NDArray[Any], data: Floats) -> None:
        """Encode the rows of a batch into columns and values, each of shape (n_rows, `entries_per_row`)."""
        fill_sparse(self.to_arrays(batch), self._layout, indices, data)

    @property
    def entries_per_row(self) -> int:
        """Stored entries in each row of the sparse matrix, some of which may be zero."""
        return sum(1 for part in self._layout if part.width > 0)

    def to_arrays(self, batch: pa.RecordBatch) -> list[NDArray[Any]]:
        """Return each column as one array: numbers, or positions of levels (-1: unknown).

        Raises
        ------
        DataError
            See `transform`.
        """
        self.check_names(batch.schema.names)
        return [
            to_numpy(batch.column(column.name), column, levels, self.unknown)
            for column, levels in zip(self.columns, self._levels, strict=True)
        ]

    def check_names(self, names: Sequence[str]) -> None:
        """Raise `DataError` unless all columns of the encoder are among these names."""
        present = set(names)
        absent = [name for name in self.names if name not in present]
        if absent:
            raise DataError(
                f"X lacks {_columns(absent)}, which the model was fitted with. X has {_columns(list(names))}."
            )
        check_unique(names, "column")

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as a dictionary that JSON can hold exactly."""
        columns = [{"name": column.name, "kind": column.kind, "levels": list(column.levels)} for column in self.columns]
        settings = {name: getattr(self, name) for name in ("dtype", "sparse", "drop_first", "unknown")}
        return {"columns": columns, **settings}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Encoder:
        """Rebuild an encoder from what `to_dict` returned.

        Raises
        ------
        ModelFileError
            Something is missing or of the wrong type.
        """
        try:
            columns = tuple(
                Column(str(part["name"]), str(part["kind"]), tuple(part["levels"])) for part in stored["columns"]
            )
            settings = {name: stored[name] for name in ("dtype", "sparse", "drop_first", "unknown")}
            encoder = cls(columns, **settings)
            np.dtype(encoder.dtype)
            for column in columns:
                if column.categorical:
                    level_array(column.kind, column.levels)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"The description of the columns is damaged: {error!r}.") from error
        return encoder

    @cached_property
    def _levels(self) -> list[pa.Array | None]:
        return [level_array(part.kind, part.levels) if part.categorical else None for part in self.columns]

    @cached_property
    def _layout(self) -> list[Layout]:
        layout, first = [], 0
        for column in self.columns:
            width = len(column.levels[self.drop_first :]) if column.categorical else 1
            layout.append(Layout(first, width, column.categorical, int(self.drop_first)))
            first += width
        return layout


def index_dtype(n_stored: int, n_columns: int) -> np.dtype[Any]:
    """Return the type of the offsets and columns of a sparse matrix: 32 bits, or 64 where those are too few.

    Examples
    --------
    >>> index_dtype(2**31 - 1, 10), index_dtype(2**31, 10)
    (dtype('int32'), dtype('int64'))
    """
    return np.dtype(np.int32 if max(n_stored, n_columns) < 2**31 else np.int64)


class MatrixWriter:
    """The matrix of a table whose rows arrive in batches.

    Parameters
    ----------
    encoder : Encoder
        Fitted on the table, or on one with the same columns.
    n_rows : int
        Number of rows that will arrive.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.columns import Column
    >>> batch = pa.record_batch({"x": [1.0, 2.0]})
    >>> writer = MatrixWriter(Encoder((Column("x"),)), n_rows=2)
    >>> writer.write(batch)
    >>> writer.matrix
    array([[1.],
           [2.]])
    """

    def __init__(self, encoder: Encoder, n_rows: int) -> None:
        self._encoder = encoder
        self._done = 0
        dtype = np.dtype(encoder.dtype)
        if not encoder.sparse:
            self.matrix: Block = np.empty((n_rows, len(encoder.feature_names)), dtype)
            return
        per_row = encoder.entries_per_row
        index = index_dtype(n_rows * per_row, len(encoder.feature_names))
        indptr = np.arange(0, n_rows * per_row + 1, per_row, dtype=index)
        self.matrix = CSR(indptr, np.empty(n_rows * per_row, index), np.empty(n_rows * per_row, dtype))

    def write(self, batch: pa.RecordBatch) -> None:
        """Encode the rows of a batch, and put them below those before."""
        first, last = self._done, self._done + batch.num_rows
        self._done = last
        if isinstance(self.matrix, CSR):
            shape = (-1, self._encoder.entries_per_row)
            indices, data = self.matrix.indices.reshape(shape), self.matrix.data.reshape(shape)
            self._encoder.write_sparse(batch, indices[first:last], data[first:last])
        else:
            self._encoder.write_dense(batch, self.matrix[first:last])


def matrix_dtype(fields: Iterable[pa.Field]) -> str:
    """Return the type of the matrix of some columns: float32 where all numbers fit in it, else float64.

    Booleans and categories become zeros and ones. They fit in both types.

    Examples
    --------
    >>> import pyarrow as pa
    >>> matrix_dtype(pa.schema([("x", pa.float32()), ("dest", pa.string())]))
    'float32'
    """
    import pyarrow as pa
    import pyarrow.types as at

    types = [field.type for field in fields]
    numbers = [dtype for dtype in types if at.is_primitive(dtype) and not at.is_boolean(dtype)]
    numbers += [dtype for dtype in types if at.is_decimal(dtype)]
    short = numbers and all(dtype in (pa.float16(), pa.float32()) for dtype in numbers)
    return "float32" if short else "float64"


def _columns(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"the column{'s' * (len(names) != 1)} {shown}{more}" if names else "no columns"


def _is_batch(table: Any) -> bool:
    import pyarrow as pa

    return isinstance(table, pa.RecordBatch)
