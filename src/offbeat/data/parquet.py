"""Parquet files and folders: tables that are decoded once into memory or, when too large, in every pass."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offbeat.data.columns import column_kind, is_text
from offbeat.data.encoding import Encoder
from offbeat.data.parquet_source import ParquetSource
from offbeat.data.source import Source
from offbeat.data.tabular import encode, encoded_bytes
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 8 << 20
BUFFER_BYTES = 256 << 10
"""Read-ahead of each column: without it a reader holds the compressed pages of a whole row group."""
PARTITION_ADVICE = (
    "is named like a partition, whose value is not in the files. Read the folder with "
    'pyarrow.dataset.dataset(..., partitioning="hive").to_table() and pass that, or pass the list of files '
    "to leave it out."
)


@dataclass(frozen=True)
class Part:
    """One file of a table.

    Parameters
    ----------
    path : Path
        The file.
    metadata : pyarrow.parquet.FileMetaData
        Its footer, so that it need not be read again.
    first : int
        Row of the table with which the file starts.
    groups : tuple of int
        Rows of the table with which its row groups start, and the one after its last.
    """

    path: Path
    metadata: Any
    first: int
    groups: tuple[int, ...]

    @property
    def stop(self) -> int:
        """Row of the table after the last of the file."""
        return self.groups[-1]


class ParquetTable:
    """A table in one or more Parquet files with the same columns.

    Can be pickled (the footers are read again).

    Parameters
    ----------
    paths : sequence of Path
        The files, in the order of the rows.
    owner : object, optional
        Kept alive as long as the table: what removes temporary files.

    Raises
    ------
    DataError
        A file cannot be read or its columns differ from those of the first.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as pq
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pq.write_table(pa.table({"x": [1.0, 2.0]}), folder + "/a.parquet")
    ...     ParquetTable([Path(folder, "a.parquet")]).n_rows
    2
    """

    def __init__(self, paths: Sequence[Path], owner: object = None) -> None:
        self.paths = tuple(paths)
        self.owner = owner
        self.parts: list[Part] = []
        first = 0
        for path in self.paths:
            metadata, schema = _footer(path)
            if not self.parts:
                self.schema = schema
            _check_same(self.schema, schema, self.paths[0], path)
            groups = [first]
            for group in range(metadata.num_row_groups):
                groups.append(groups[-1] + metadata.row_group(group).num_rows)
            self.parts.append(Part(path, metadata, first, tuple(groups)))
            first = groups[-1]
        self.n_rows = first

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths}  # the process that made temporary files removes them

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def part_of(self, row: int) -> Part:
        """Return the file that holds a row (the last file for the row after the last)."""
        starts = [part.first for part in self.parts]
        return self.parts[bisect.bisect_right(starts, min(row, self.n_rows - 1)) - 1]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns, in order, a few megabytes at a time."""
        for part in self.parts:
            yield from self.read_part(part, range(len(part.groups) - 1), names)

    def read_part(self, part: Part, groups: range, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some row groups of one file.

        Raises
        ------
        DataError
            The file is damaged.
        """
        import pyarrow.parquet as pq

        if not groups:
            return
        texts = [name for name in names if is_text(self.schema.field(name).type)]
        with parquet_errors(part.path):
            file = pq.ParquetFile(
                part.path,
                metadata=part.metadata,
                read_dictionary=texts,
                buffer_size=BUFFER_BYTES,
                pre_buffer=False,
            )
        with file:
            batches = file.iter_batches(batch_rows(len(names)), row_groups=list(groups), columns=list(names))
            while True:
                with parquet_errors(part.path):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch

    def known_missing(self, names: Sequence[str]) -> dict[str, int]:
        """Return the columns with null values according to the files' own statistics."""
        counts = dict.fromkeys(names, 0)
        for part in self.parts:
            for group in range(part.metadata.num_row_groups):
                row_group = part.metadata.row_group(group)
                for j in range(row_group.num_columns):
                    column = row_group.column(j)
                    if column.path_in_schema in counts and column.is_stats_set:
                        counts[column.path_in_schema] += column.statistics.null_count or 0
        return {name: count for name, count in counts.items() if count}

    def source(self, encoder: Encoder, budget: int) -> Source:
        """Return the encoded matrix: in memory if it fits the budget, else read from the files by blocks."""
        encoder.check_names(self.schema.names)
        if encoded_bytes(encoder, self.n_rows) <= budget:
            return encode(self, encoder)
        return ParquetSource(self, encoder)


def batch_rows(n_columns: int) -> int:
    """Return how many rows to decode at once: a few megabytes.

    Examples
    --------
    >>> batch_rows(100)
    10485
    """
    return max(1024, min(1 << 16, BATCH_BYTES // (8 * max(n_columns, 1))))


def parquet_table(path: str | Path | Sequence[str | Path]) -> ParquetTable:
    """Open a Parquet file, a folder of them, or a list of files and folders.

    Parameters
    ----------
    path : str, Path or sequence of them
        Folders are searched at any depth for ``*.parquet``, in the order of their names; names that start with
        ``_`` or ``.`` are left out.

    Returns
    -------
    table : ParquetTable

    Raises
    ------
    DataError
        A file is missing or damaged, or a folder has no files or is partitioned by the names of its folders.

    Examples
    --------
    >>> parquet_table("no/such/file.parquet")
    Traceback (most recent call last):
        ...
    offbeat.errors.DataError: no/such/file.parquet does not exist.
    """
    given = [Path(path)] if isinstance(path, str | Path) else [Path(part) for part in path]
    if not given:
        raise DataError("The list of Parquet files is empty.")
    return ParquetTable([file for part in given for file in _files(part)])


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn errors of the Parquet reader into a `DataError` that names the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().replace("\n", " ")
        message = f"{path} cannot be read: it is damaged, truncated or not a Parquet file ({reason})."
        raise DataError(message) from error


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    if not path.is_dir():
        return [path]
    found = []
    for file in sorted(path.rglob("*.parquet")):
        inner = file.relative_to(path).parts
        if file.is_dir() or any(name.startswith(("_", ".")) for name in inner):
            continue
        partition = next((name for name in inner[:-1] if "=" in name), None)
        if partition is not None:
            raise DataError(f"The folder {partition!r} in {path} {PARTITION_ADVICE}")
        found.append(file)
    if not found:
        raise DataError(f"The folder {path} holds no file named *.parquet.")
    return found


def _footer(path: Path) -> tuple[Any, Any]:
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(f"{path} does not exist.")
    with parquet_errors(path), pq.ParquetFile(path) as file:
        return file.metadata, file.schema_arrow.remove_metadata()


def _check_same(schema: Any, other: Any, first: Path, path: Path) -> None:
    different = set(schema.names) ^ set(other.names)
    if different:
        name = sorted(different)[0]
        has, lacks = (first, path) if name in schema.names else (path, first)
        raise DataError(f"The files have different columns: {has} has {name!r}, {lacks} does not.")
    for field in schema:
        now = other.field(field.name).type
        if now != field.type and column_kind(field.name, now) != column_kind(field.name, field.type):
            raise DataError(f"Column {field.name!r} has type {field.type} in {first}, but {now} in {path}.")
