"""Tables in memory: pandas, polars, pyarrow, and all that export an Arrow stream. They are copied at most once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import DenseSource, array_source, sparse_source, working_dtype
from offbeat.data.source import Floats, Source, finite_sum
from offbeat.data.tables.columns import check_unique
from offbeat.data.tables.convert import TILE_ROWS
from offbeat.data.tables.encoding import Encoder
from offbeat.data.tables.pandas_index import index_metadata, index_names
from offbeat.data.tables.table import encode
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1 << 17
MAX_COPIED_BYTES = 64 << 20
"""Of a frame whose columns of one type are copied together; larger frames are taken column by column."""


@dataclass(frozen=True, eq=False)
class MemoryTable:
    """Columns in memory, each a NumPy array of numbers or an Arrow column.

    Columns of NumPy become Arrow columns a batch at a time. Strided columns, as those of a pandas frame that was made
    of one matrix, are therefore never copied as a whole.

    Parameters
    ----------
    names : tuple of str
        Names of the columns.
    columns : tuple of ndarray, pyarrow.ChunkedArray or pandas.arrays.SparseArray
        Equally long.
    matrix : ndarray, shape (n_rows, n_columns), optional
        All columns as one array of numbers, where they are one in memory.
    index : frozenset of str
        Columns that were the index of a pandas table: no features.

    Examples
    --------
    >>> import pyarrow as pa
    >>> MemoryTable.from_arrow(pa.table({"x": [1.0, 2.0]})).n_rows
    2
    """

    names: tuple[str, ...]
    columns: tuple[Any, ...]
    matrix: NDArray[Any] | None = None
    index: frozenset[str] = frozenset()

    @classmethod
    def from_arrow(cls, table: pa.Table) -> MemoryTable:
        """Wrap a pyarrow table."""
        return cls(tuple(table.schema.names), tuple(table.columns), index=index_names(table.schema))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0]) if self.columns else 0

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns."""
        import pyarrow as pa

        types = [column.type if _is_arrow(column) else pa.from_numpy_dtype(_plain(column)) for column in self.columns]
        return pa.schema(list(zip(self.names, types, strict=True)), index_metadata(self.index))

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns, in order."""
        import pyarrow as pa

        by_name = dict(zip(self.names, self.columns, strict=True))
        for start in range(0, self.n_rows, BATCH_ROWS):
            stop = min(start + BATCH_ROWS, self.n_rows)
            parts = [_slice(by_name[name], start, stop) for name in names]
            yield from pa.Table.from_arrays(parts, names=list(names)).to_batches()

    def known_missing(self, names: Sequence[str]) -> dict[str, int]:
        """Return the columns with null values; NaN in columns of numbers is found when they are encoded."""
        wanted = set(names)
        counts = {
            name: int(column.null_count)
            for name, column in zip(self.names, self.columns, strict=True)
            if name in wanted and _is_arrow(column)
        }
        return {name: count for name, count in counts.items() if count}

    def source(self, encoder: Encoder, budget: int) -> Source:
        """Return the encoded matrix: the columns in place where they form one, else a copy."""
        encoder.check_names(self.names)
        if self.matrix is not None and encoder.plain and tuple(encoder.names) == self.names:
            if working_dtype(self.matrix.dtype) == np.dtype(encoder.dtype):
                return array_source(self.matrix)
        if encoder.sparse and encoder.plain and self.stored_sparsely(encoder.names):
            return sparse_source(self._sparse_matrix(encoder.names).astype(encoder.dtype))
        if self.matrix is None or not encoder.plain or encoder.sparse:
            return encode(self, encoder)
        columns = _columns_of(self.matrix, self.names, encoder)
        if finite_sum(columns):
            return DenseSource(columns)
        return encode(self, encoder)  # raises an error that names the missing values, if there are some

    def stored_sparsely(self, names: Sequence[str]) -> bool:
        """Whether these columns are all sparse columns of pandas, which store what is not zero."""
        by_name = dict(zip(self.names, self.columns, strict=True))
        types: list[Any] = [getattr(by_name[name], "dtype", None) for name in names]
        return bool(types) and all(_is_sparse(dtype) and dtype.fill_value == 0 for dtype in types)

    def _sparse_matrix(self, names: Sequence[str]) -> Any:
        """Return columns that are stored sparsely as one sparse matrix."""
        from scipy import sparse

        by_name = dict(zip(self.names, self.columns, strict=True))
        rows = [by_name[name].sp_index.to_int_index().indices for name in names]
        values = [by_name[name].sp_values for name in names]
        ends = np.cumsum([0, *map(len, rows)])
        shape = self.n_rows, len(names)
        return sparse.csc_array((np.concatenate(values), np.concatenate(rows), ends), shape=shape).tocsr()


def memory_table(X: Any) -> MemoryTable | None:
    """Wrap a table of any known library; None when `X` is not a table.

    No library is imported to find out.

    Parameters
    ----------
    X : object
        pandas or polars frame, polars lazy frame, pyarrow table or record batch, or anything that exports an
        Arrow stream.

    Returns
    -------
    table : MemoryTable or None

    Raises
    ------
    DataError
        A column cannot be converted: mixed types, objects; or two columns have the same name.

    Examples
    --------
    >>> import pandas as pd
    >>> memory_table(pd.DataFrame({"x": [1.0, 2.0], "z": [3.0, 4.0]})).names
    ('x', 'z')
    >>> memory_table([[1.0, 2.0]]) is None
    True
    """
    library, kind = type(X).__module__.partition(".")[0], type(X).__name__
    if kind in ("Series", "ChunkedArray") or (library == "pyarrow" and kind.endswith("Array")):
        raise DataError(
            f"Expected 2D array, got 1D array instead: X is a {library} {kind}. Reshape your data: "
            "pass a table of one column."
        )
    bases = [(base.__module__.partition(".")[0], base.__name__) for base in type(X).__mro__]
    if ("pandas", "DataFrame") in bases:
        return _from_pandas(X)
    if library == "polars" and kind == "LazyFrame":
        X = X.collect()
    if library == "polars" or hasattr(X, "__arrow_c_stream__"):
        return MemoryTable.from_arrow(_to_arrow(X))
    return None


def _to_arrow(X: Any) -> pa.Table:
    import pyarrow as pa

    try:
        if isinstance(X, pa.Table):
            return X
        if isinstance(X, pa.RecordBatch):
            return pa.Table.from_batches([X])
        table = X.to_arrow() if type(X).__module__.startswith("polars") else pa.table(X)
    except Exception as error:  # whose type depends on a library that is not imported here
        raise DataError(
            f"The table ({type(X).__module__}.{type(X).__name__}) cannot be converted to Arrow: {error}. "
            "Convert columns of objects to numbers or text, or drop them."
        ) from error
    return table


def _from_pandas(frame: Any) -> MemoryTable:
    names = tuple(str(name) for name in frame.columns)
    check_unique(names, "column")
    matrix = _matrix(frame)
    if matrix is not None and matrix.dtype.isnative and matrix.dtype.itemsize <= 8:
        return MemoryTable(names, tuple(matrix.T), matrix)
    columns = _columns_by_type(frame) if frame.size * 8 <= MAX_COPIED_BYTES else {}
    others = [j for j in range(len(names)) if j not in columns]
    # One by one: pandas 2 cannot take several columns at once from bytes in the other order.
    columns |= {j: _from_series(names[j], frame.iloc[:, j]) for j in others}
    return MemoryTable(names, tuple(columns[j] for j in range(len(names))), matrix)


def _columns_by_type(frame: Any) -> dict[int, Any]:
    """Return columns of numbers by their places. Those of one type are copied together: one by one takes longer."""
    places: dict[Any, list[int]] = {}
    for j, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, np.dtype) and dtype.kind in "fiub" and dtype.itemsize <= 8 and dtype.isnative:
            places.setdefault(dtype, []).append(j)
    blocks = [(several, frame.iloc[:, several].to_numpy()) for several in places.values()]
    return {j: block[:, i] for several, block in blocks for i, j in enumerate(several)}


def _from_series(name: str, series: Any) -> Any:
    import pyarrow as pa

    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return _native(series.to_numpy())
    if _is_sparse(dtype):
        if dtype.subtype.kind in "fiub":
            return series.array
        return _from_series(name, series.sparse.to_dense())
    if isinstance(dtype, np.dtype) and dtype.kind == "c":
        working_dtype(dtype)
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        value = next((value for value in series if value is not None), None)
        raise DataError(
            f"Column {name!r} (type {dtype}) holds neither only numbers nor only text; for example it holds "
            f"{value!r} of type {type(value).__name__}. Convert it, for example with astype(float) or "
            "astype(str), or drop it."
        ) from error
    return pa.chunked_array([array]) if isinstance(array, pa.Array) else array


def _native(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.itemsize > 8:
        return values.astype(np.float64)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _is_sparse(dtype: Any) -> bool:
    """Whether it is the type of a pandas column of which only some values are stored."""
    return type(dtype).__name__ == "SparseDtype"


def _is_arrow(column: Any) -> bool:
    return not isinstance(column, np.ndarray) and not _is_sparse(getattr(column, "dtype", None))


def _plain(column: Any) -> np.dtype[Any]:
    """Return the NumPy type of the values of a column."""
    dtype: np.dtype[Any] = column.dtype if isinstance(column, np.ndarray) else column.dtype.subtype
    return dtype


def _matrix(frame: Any) -> NDArray[Any] | None:
    """Return the frame as a view of its memory; None where it is not one block of numbers: pandas would copy it."""
    dtypes = set(frame.dtypes)
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    if not isinstance(dtype, np.dtype) or dtype.kind not in "fiub" or len(frame) == 0:
        return None
    first = frame.iloc[:1]
    if not np.may_share_memory(first.to_numpy(), first.iloc[:, 0].to_numpy()):
        return None
    matrix: NDArray[Any] = frame.to_numpy()
    return matrix


def _columns_of(matrix: NDArray[Any], names: Sequence[str], encoder: Encoder) -> Floats:
    """Return the columns of a matrix that an encoder uses, in its order and type."""
    places = {name: j for j, name in enumerate(names)}
    chosen = np.array([places[name] for name in encoder.names], dtype=np.intp)
    columns = np.empty((len(matrix), len(chosen)), np.dtype(encoder.dtype))
    for start in range(0, len(matrix), TILE_ROWS):
        columns[start : start + TILE_ROWS] = matrix[start : start + TILE_ROWS, chosen]
    return columns


def _slice(column: Any, start: int, stop: int) -> Any:
    import pyarrow as pa

    if not _is_arrow(column):
        return pa.array(np.asarray(column[start:stop]))
    return column.slice(start, stop - start)
