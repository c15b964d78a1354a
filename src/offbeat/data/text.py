"""Text files: CSV by way of Arrow, and the sparse format of svmlight and libsvm."""

from __future__ import annotations

import bz2
import gzip
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays import sparse_source
from offbeat.data.parquet import ParquetTable
from offbeat.data.source import Source
from offbeat.data.spill import spill_rows
from offbeat.data.tables import MemoryTable
from offbeat.errors import DataError

COMPRESSED = (".gz", ".bz2", ".zst")
_INFLATION = 6
_BLOCK_BYTES = 16 << 20
_LINE = re.compile(r"\s*[-+.,\w]+(\s+qid:\d+)?(\s+\d+:[-+.\w]+)*\s*(#.*)?")


class TemporaryFolder:
    """A folder that disappears with this object.

    Examples
    --------
    >>> folder = TemporaryFolder()
    >>> path = folder.path
    >>> del folder
    >>> path.exists()
    False
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="offbeat-"))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def csv_table(path: Path, budget: int) -> MemoryTable | ParquetTable:
    r"""Read a CSV file with a header; compressed ones too.

    Empty fields, ``NA``, ``NaN`` and ``null`` are missing values, in columns of text as well.

    Parameters
    ----------
    path : Path
        The file.
    budget : int
        Bytes. A file that would take more is converted, once, to a temporary Parquet file, which is removed
        when the table is forgotten. The types of the columns then follow from the first 16 MiB.

    Returns
    -------
    table : MemoryTable or ParquetTable

    Raises
    ------
    DataError
        The file is missing or cannot be parsed, has no header, or a column changes its type.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("x,dest\n1,LAX\n2,SFO\n")
    ...     csv_table(Path(folder, "a.csv"), budget=1 << 20).names
    ('x', 'dest')
    """
    import pyarrow.csv as pc

    if _in_memory_bytes(path) > budget:
        return _convert(path)
    options = pc.ConvertOptions(strings_can_be_null=True)
    with _csv_errors(path):
        table = pc.read_csv(path, convert_options=options)
    _check_header(path, table.schema.names)
    return MemoryTable.from_arrow(table)


def libsvm_source(path: Path, budget: int) -> tuple[Source, NDArray[np.float64]]:
    r"""Read a file of ``label index:value index:value ...`` lines; ``.gz`` and ``.bz2`` too.

    Parameters
    ----------
    path : Path
        The file. Its indices start at 1, or at 0 if any of them is 0.
    budget : int
        Bytes. A file that would take more is converted, once, to temporary binary files, which are removed
        when the source is forgotten.

    Returns
    -------
    source : Source
        Sparse, float64.
    labels : ndarray of float64, shape (n_rows,)

    Raises
    ------
    DataError
        The file is missing or cannot be parsed; names the line.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.svm").write_text("1 1:0.5 3:2\n-1 2:1\n")
    ...     source, labels = libsvm_source(Path(folder, "a.svm"), budget=1 << 20)
    >>> source.shape, labels
    ((2, 3), array([ 1., -1.]))
    """
    from sklearn.datasets import load_svmlight_file

    large = _in_memory_bytes(path) > budget
    if large and path.suffix in COMPRESSED:
        raise DataError(f"{path} does not fit memory_budget, and is compressed. Decompress it first.")
    with _libsvm_errors(path):
        if large:
            folder = TemporaryFolder()
            return spill_rows(path, folder.path, folder, piece_bytes=max(budget // 8, 1 << 16))
        X, labels = load_svmlight_file(str(path))
    return sparse_source(X), labels


def _in_memory_bytes(path: Path) -> int:
    # Text takes about as much as the numbers it spells; parsing needs both for a while.
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return 2 * size * (_INFLATION if path.suffix in COMPRESSED else 1)


def _convert(path: Path) -> ParquetTable:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    reading = pc.ReadOptions(block_size=_BLOCK_BYTES)
    with _csv_errors(path):
        with pc.open_csv(path, reading, convert_options=pc.ConvertOptions(strings_can_be_null=True)) as head:
            names = head.schema.names
            # Whole numbers at the start of a file are no promise that decimals will not follow.
            types = {field.name: _wider(field.type) for field in head.schema}
    _check_header(path, names)
    folder = TemporaryFolder()
    target = folder.path / "rows.parquet"
    options = pc.ConvertOptions(strings_can_be_null=True, column_types=types)
    with _csv_errors(path), pc.open_csv(path, reading, convert_options=options) as rows:
        try:
            with pq.ParquetWriter(target, rows.schema) as writer:
                for batch in rows:
                    writer.write_table(pa.Table.from_batches([batch]))
        except OSError as error:
            raise DataError(f"{path} was being converted in {folder.path}, which failed: {error}.") from error
    return ParquetTable([target], owner=folder)


def _wider(dtype: Any) -> Any:
    import pyarrow as pa
    import pyarrow.types as at

    return pa.float64() if at.is_integer(dtype) or at.is_null(dtype) else dtype


def _check_header(path: Path, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if all(_is_number(name) for name in names):
        raise DataError(f"{path} has no header: its first line is {','.join(names[:5])}. Add the names of the columns.")
    if twice is not None:
        raise DataError(f"{path}: the column name {twice!r} appears more than once. Rename the columns.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as CSV: {error}. Correct the file, or convert it to Parquet."
        ) from error


@contextmanager
def _libsvm_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (ValueError, OverflowError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read as libsvm{_bad_line(path)}: {error}.") from error


def _bad_line(path: Path) -> str:
    openers: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".bz2": bz2.open}
    try:
        with openers.get(path.suffix, open)(path, "rt", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.rstrip("\n")
                if text.strip() and not text.startswith("#") and _is_bad(text):
                    return f", line {number} ({text[:60]!r})"
    except (OSError, EOFError):
        pass
    return ""


def _is_bad(line: str) -> bool:
    if not _LINE.fullmatch(line):
        return True
    fields = line.partition("#")[0].split()
    pairs = [field.split(":") for field in fields[1:] if not field.startswith("qid:")]
    columns = [int(column) for column, _ in pairs]
    values = [value for _, value in pairs] + fields[0].split(",")
    return columns != sorted(set(columns)) or not all(_is_number(value) for value in values)
