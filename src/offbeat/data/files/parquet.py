"""Parquet files and folders: tables that are decoded once into memory or, when too large, in every pass."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offbeat.data.files.parquet_files import common_schema, footer, parquet_errors, parquet_files
from offbeat.data.files.parquet_source import ParquetSource
from offbeat.data.source import Source
from offbeat.data.tables.columns import is_text
from offbeat.data.tables.encoding import Encoder
from offbeat.data.tables.table import encode, encoded_bytes
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 8 << 20
BUFFER_BYTES = 256 << 10
"""Read-ahead of each column: without it a reader holds the compressed pages of a whole row group."""


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
    """A table in one or more Parquet files with the same columns, in any order.

    Its ``schema`` has the widest type that a column has in any of the files; batches have the types of their file.
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
        A file cannot be read, its columns are others than those of the first, or types do not go together.

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
        footers = [footer(path) for path in self.paths]
        self.schema = common_schema(footers)
        self.parts: list[Part] = []
        first = 0
        for path, metadata, _ in footers:
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
        See `parquet_files`.

    Returns
    -------
    table : ParquetTable

    Raises
    ------
    DataError
        A file is missing or damaged, the files do not fit together, or a folder has no files or is partitioned by
        the names of its folders.

    Examples
    --------
    >>> parquet_table("no/such/file.parquet")
    Traceback (most recent call last):
        ...
    offbeat.errors.DataError: no/such/file.parquet does not exist.
    """
    return ParquetTable(parquet_files(path))


def row_groups(table: ParquetTable, rows: int) -> list[tuple[Path, list[int]]]:
    """Cut a table into runs of row groups of one file, each of at least so many rows where a file has them.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as pq
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pq.write_table(pa.table({"x": [1.0, 2.0, 3.0]}), folder + "/a.parquet", row_group_size=1)
    ...     [groups for _, groups in row_groups(parquet_table(folder), rows=2)]
    [[0, 1], [2]]
    """
    runs = []
    for part in table.parts:
        run: list[int] = []
        for group, stop in enumerate(part.groups[1:]):
            run.append(group)
            if stop - part.groups[run[0]] >= rows or group == len(part.groups) - 2:
                runs.append((part.path, run))
                run = []
    return runs


def read_groups(path: Path, groups: Sequence[int], schema: pa.Schema) -> pa.Table:
    """Return row groups of one file of a table, with the columns in the order of the table.

    Raises
    ------
    DataError
        The file is damaged, or not there.
    """
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(f"{path} does not exist.")
    with parquet_errors(path), pq.ParquetFile(path) as file:
        rows = file.read_row_groups(list(groups))
    rows = rows if rows.schema.names == schema.names else rows.select(schema.names)
    return rows.replace_schema_metadata(schema.metadata)
