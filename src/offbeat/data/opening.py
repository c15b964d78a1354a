"""Recognises what a user passes as X: arrays, tables and files."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import chunked_source
from offbeat.data.arrays.in_memory import array_source, check_two_dimensions, sparse_source
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.files.text_files import compression
from offbeat.data.memory import memory_bytes
from offbeat.data.source import Source
from offbeat.errors import DataError

if TYPE_CHECKING:
    from offbeat.data.tables.table import Tabular

# Readers of tables and files are imported when X is one: the first fit of an array should not wait for them.
LIBSVM_SUFFIXES = (".svm", ".libsvm", ".svmlight", ".txt")
KNOWN_TYPES = (
    ".parquet, .npy, .csv, .tsv, .svm, .libsvm, .txt (the last five also with .gz or .bz2), and folders of .parquet"
)


@dataclass(frozen=True, eq=False)
class Opened:
    """A matrix or a table that was recognised, and is not encoded yet.

    Parameters
    ----------
    source : Source, optional
        The features, when X is a matrix.
    table : Tabular, optional
        The columns, when X is a table.
    labels : ndarray, shape (n_rows,), optional
        Targets that came with the features, as in libsvm files.
    read_options : ReadOptions
        How a text file was read: files for the same model are read likewise.

    Examples
    --------
    >>> open_data([[1.0, 2.0]]).n_rows
    1
    """

    source: Source | None = None
    table: Tabular | None = None
    labels: NDArray[Any] | None = None
    read_options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        if self.table is not None:
            return self.table.n_rows
        return 0 if self.source is None else self.source.shape[0]


class NotANumberError(DataError, TypeError):
    """An object in X is not a number: also a ``TypeError``, as Python itself would raise."""


def open_data(
    X: Any, memory_budget: int | float | str | None = None, read_options: ReadOptions | None = None
) -> Opened:
    """Recognise data, without copying or encoding it.

    Pass the result in place of X where a file would otherwise be opened more than once.

    Parameters
    ----------
    X : array-like, sparse matrix, table, path or list of paths
        A NumPy array or memory map or anything that converts to an array; a sparse matrix of SciPy, or a COO or GCXS
        of ``sparse``; a pandas, polars or pyarrow table, or anything that exports an Arrow stream; the path of a file
        or of a folder of Parquet files; a list of paths of Parquet files; a list of arrays or of sparse matrices, one
        below the other; what this function returned before.
    memory_budget : int, str or None
        Bytes, or a string such as ``"1GiB"``; by default a quarter of the machine's memory. Files that take
        more are streamed. Arrays and tables that are in memory already do not count.
    read_options : ReadOptions, optional
        How to read a CSV or libsvm file.

    Returns
    -------
    opened : Opened

    Raises
    ------
    DataError
        X is nothing that can be fitted, or a file is missing or damaged.

    Examples
    --------
    >>> import pyarrow as pa
    >>> open_data(pa.table({"x": [1.0, 2.0]})).table.schema.names
    ['x']
    """
    if isinstance(X, Opened):
        return X
    budget = memory_bytes(memory_budget)
    if isinstance(X, str | Path):
        return _open_path(Path(X), budget, read_options or ReadOptions())
    if isinstance(X, list | tuple) and X and all(isinstance(part, str | Path) for part in X):
        from offbeat.data.files.parquet import parquet_table

        return Opened(table=parquet_table(X))
    if isinstance(X, list | tuple) and X and all(_is_matrix(part) for part in X):
        return Opened(source=chunked_source([_plain(part) if isinstance(part, np.ndarray) else part for part in X]))
    if isinstance(X, np.memmap):
        from offbeat.data.arrays.npy import memmap_source

        return Opened(source=memmap_source(X, budget))
    if is_sparse(X):
        return Opened(source=sparse_source(X))
    if isinstance(X, np.ndarray):
        return Opened(source=array_source(_plain(X)))
    return _open_object(X)


def is_sparse(X: Any) -> bool:
    """Whether an object is a sparse matrix or array of SciPy; does not import SciPy to find out.

    Examples
    --------
    >>> is_sparse([[1.0, 2.0]])
    False
    """
    module = sys.modules.get("scipy.sparse")  # whoever has such a matrix has loaded it
    return module is not None and bool(module.issparse(X))


def _is_matrix(part: Any) -> bool:
    return is_sparse(part) or (isinstance(part, np.ndarray) and part.ndim == 2)


def _open_object(X: Any) -> Opened:
    from offbeat.data.tables.in_memory import memory_table
    from offbeat.data.tables.table import Tabular

    if isinstance(X, Tabular):
        return Opened(table=X)
    if isinstance(X, Source):
        return Opened(source=X)
    if type(X).__module__.partition(".")[0] == "sparse":
        return Opened(source=sparse_source(_as_scipy(X)))
    table = memory_table(X)
    return Opened(table=table) if table is not None else Opened(source=array_source(_plain(_as_array(X))))


def _as_scipy(X: Any) -> Any:
    """Return an array of the library ``sparse``, such as a COO or a GCXS, as a matrix of SciPy."""
    check_two_dimensions(X.shape)
    if not hasattr(X, "to_scipy_sparse"):
        raise DataError(f"X is a {type(X).__name__} of the library sparse: convert it, as with X.asformat('gcxs').")
    try:
        return X.to_scipy_sparse()
    except ValueError as error:
        raise DataError(f"X cannot be made a sparse matrix of SciPy: {error}.") from error


def _open_path(path: Path, budget: int, read_options: ReadOptions) -> Opened:
    from offbeat.data.arrays.npy import npy_source
    from offbeat.data.files.csv import csv_table
    from offbeat.data.files.libsvm import libsvm_source
    from offbeat.data.files.parquet import parquet_table
    from offbeat.data.files.parquet_files import is_parquet

    if not path.exists():
        raise DataError(f"{path} does not exist.")
    compressed = compression(path)
    kind = Path(path.stem if compressed else path.name).suffix.lower()
    if is_parquet(path):
        return Opened(table=parquet_table(path))
    if kind == ".npy" and not compressed:
        return Opened(source=npy_source(path, budget))
    if kind in (".csv", ".tsv"):
        return Opened(table=csv_table(path, budget, read_options), read_options=read_options)
    if kind in LIBSVM_SUFFIXES and compressed != "zstd":
        source, labels, index_base = libsvm_source(path, budget, read_options)
        return Opened(source=source, labels=labels, read_options=replace(read_options, index_base=index_base))
    raise DataError(f"{path} is of no known type. Known are {KNOWN_TYPES}.")


def _as_array(X: Any) -> NDArray[Any]:
    try:
        return np.asarray(X)
    except ValueError as error:
        raise DataError(f"X cannot be made an array: {error}. All rows must have the same length.") from error


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as plain numbers: objects are converted, masked values are an error."""
    if isinstance(array, np.ma.MaskedArray):
        n_masked = int(np.count_nonzero(np.ma.getmaskarray(array)))
        if n_masked:
            raise DataError(f"X is a masked array with {n_masked:,} masked values. Fill or drop them.")
        array = np.asarray(array)
    if array.dtype.kind != "O":
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise _object_error(array) from None


def _object_error(array: NDArray[Any]) -> DataError:
    for position, value in np.ndenumerate(array):
        try:
            float(value)
        except (TypeError, ValueError):
            where = f"column {position[1]}, row {position[0]}" if len(position) == 2 else f"position {position}"
            what = f"X has type object, and {value!r} in {where} is not a number"
            if isinstance(value, str | bytes):
                return DataError(f"{what}. Pass a table to have categories encoded, or convert it first.")
            return NotANumberError(
                f"{what}: the argument must be a string or a real number, not {type(value).__name__!r}. "
                "Convert it to numbers first."
            )
    return DataError("X has type object and cannot be converted to numbers.")
