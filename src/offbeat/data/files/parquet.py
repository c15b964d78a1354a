"""Tables in Parquet files: decoded into memory once or, when too large, block by block in every pass."""

from __future__ import annotations

import bisect
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat.data.files.parquet_files import common_schema, footer, parquet_errors, parquet_files
from offbeat.data.source import CSR, MAX_BLOCK_BYTES, Block, Floats, Source, check_range, scratch
from offbeat.data.tables.columns import is_text
from offbeat.data.tables.convert import MissingValuesError
from offbeat.data.tables.encoding import Encoder, MatrixWriter
from offbeat.data.tables.table import count_missing, encode, encoded_bytes
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

READ_AHEAD_BYTES = 256 << 10
"""Of each column. Without a limit, a reader holds the compressed pages of a whole row group."""


@dataclass(frozen=True)
class Fragment:
    """One file of a table (pyarrow's word).

    Parameters
    ----------
    path : Path
        The file.
    metadata : pyarrow.parquet.FileMetaData
        Its footer, so that it need not be read again.
    first : int
        First row of the file, counted over the whole table.
    groups : tuple of int
        First row of each row group, counted likewise, and the row after the last.
    """

    path: Path
    metadata: Any
    first: int
    groups: tuple[int, ...]

    @property
    def stop(self) -> int:
        """The row after the last of the file, counted over the whole table."""
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
        self.fragments: list[Fragment] = []
        first = 0
        for path, metadata, _ in footers:
            groups = [first]
            for group in range(metadata.num_row_groups):
                groups.append(groups[-1] + metadata.row_group(group).num_rows)
            self.fragments.append(Fragment(path, metadata, first, tuple(groups)))
            first = groups[-1]
        self.n_rows = first

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths}  # the process that made temporary files removes them

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def fragment_of(self, row: int) -> Fragment:
        """Return the file that holds a row (the last file for the row after the last)."""
        starts = [fragment.first for fragment in self.fragments]
        return self.fragments[bisect.bisect_right(starts, min(row, self.n_rows - 1)) - 1]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns, in order, a few megabytes at a time."""
        for fragment in self.fragments:
            yield from self.read_fragment(fragment, range(len(fragment.groups) - 1), names)

    def read_fragment(self, fragment: Fragment, groups: range, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
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
        with parquet_errors(fragment.path):
            file = pq.ParquetFile(
                fragment.path,
                metadata=fragment.metadata,
                read_dictionary=texts,
                buffer_size=READ_AHEAD_BYTES,
                pre_buffer=False,
            )
        with file:
            batches = file.iter_batches(batch_rows(len(names)), row_groups=list(groups), columns=list(names))
            while True:
                with parquet_errors(fragment.path):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch

    def known_missing(self, names: Sequence[str]) -> dict[str, int]:
        """Return the columns with null values according to the files' own statistics."""
        counts = dict.fromkeys(names, 0)
        for fragment in self.fragments:
            for group in range(fragment.metadata.num_row_groups):
                row_group = fragment.metadata.row_group(group)
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


class ParquetSource:
    """The matrix of a table in Parquet files that is too large for memory: rows are decoded as they are read.

    Rows of a row group can only be decoded in order. Each read therefore keeps its reader. The read that goes on from
    there (the next block of the same shard, or the next shard) takes that reader and need not start over. Thread-safe;
    can be pickled.

    Parameters
    ----------
    table : ParquetTable
        The files.
    encoder : Encoder
        Fitted on them.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as pq
    >>> from offbeat.data.tables.table import fit_encoder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pq.write_table(pa.table({"x": [1.0, 2.0, 3.0]}), folder + "/a.parquet")
    ...     table = parquet_table(folder)
    ...     ParquetSource(table, fit_encoder(table, ["x"])).read(1, 3)
    array([[2.],
           [3.]])
    """

    resident = False

    def __init__(self, table: ParquetTable, encoder: Encoder) -> None:
        self.table = table
        self.encoder = encoder
        self.shape = (table.n_rows, len(encoder.feature_names))
        self.dtype = np.dtype(encoder.dtype)
        self.sparse = encoder.sparse
        self._lock = threading.Lock()
        self._missing: dict[str, int] = {}
        # Readers that stopped, oldest first: one for each thread, and one for the next shard. Each takes a few
        # megabytes for each column.
        self._idle: list[_Reader] = []
        self._max_idle = (os.cpu_count() or 1) + 1

    def __getstate__(self) -> dict[str, Any]:
        return {"table": self.table, "encoder": self.encoder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def close(self) -> None:
        """Close the files. They are opened again if the source is read again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def read(self, start: int, stop: int, out: Floats | None = None) -> Block:
        """Decode and encode rows `start` to `stop`."""
        check_range(start, stop, self.shape[0])
        try:
            if self.sparse:
                return self._read_sparse(start, stop)
            return self._read_dense(start, stop, out)
        except MissingValuesError as error:
            raise self._all_missing(error) from None

    def _read_dense(self, start: int, stop: int, out: Floats | None) -> Floats:
        block = scratch(stop - start, self.shape[1], self.dtype, out)
        done = 0
        for batch in self._batches(start, stop):
            self.encoder.write_dense(batch, block[done : done + batch.num_rows])
            done += batch.num_rows
        return block

    def _read_sparse(self, start: int, stop: int) -> CSR:
        writer = MatrixWriter(self.encoder, stop - start)
        for batch in self._batches(start, stop):
            writer.write(batch)
        assert isinstance(writer.matrix, CSR)
        return writer.matrix

    def _batches(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        while start < stop:
            fragment = self.table.fragment_of(start)
            reader = self._take(fragment, start)
            end = min(stop, fragment.stop)
            yield from reader.take(start, end)
            self._put_back(reader)
            start = end

    def _take(self, fragment: Fragment, row: int) -> _Reader:
        """Return the reader that reaches a row with the least decoding: an idle one, or a new one."""
        group = int(np.searchsorted(fragment.groups, row, side="right")) - 1
        with self._lock:
            first = fragment.groups[group]
            usable = [idle for idle in self._idle if idle.fragment is fragment and first <= idle.row <= row]
            if usable:
                nearest = max(usable, key=lambda reader: reader.row)
                self._idle.remove(nearest)
                return nearest
        return _Reader(self.table, fragment, group, self.encoder.names)

    def _put_back(self, reader: _Reader) -> None:
        dropped = [reader]
        with self._lock:
            if reader.row < reader.fragment.stop:
                self._idle.append(reader)
                dropped = [self._idle.pop(0)] if len(self._idle) > self._max_idle else []
        for old in dropped:
            old.close()

    def _all_missing(self, error: MissingValuesError) -> MissingValuesError:
        with self._lock:  # several threads may get here: count once
            if not self._missing:
                self._missing = count_missing(self.table, self.encoder.names) or error.counts
        return MissingValuesError(self._missing)


class _Reader:
    """Reads a file in order, from row ``row`` on."""

    def __init__(self, table: ParquetTable, fragment: Fragment, group: int, names: list[str]) -> None:
        self.fragment = fragment
        self.row = fragment.groups[group]
        self._stream: Any = table.read_fragment(fragment, range(group, len(fragment.groups) - 1), names)
        self._rest: Any = None

    def take(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Decode and drop the rows before ``start``, then yield rows ``start`` to ``stop``."""
        while self.row < stop:
            batch = next(self._stream) if self._rest is None else self._rest
            first = min(max(start - self.row, 0), batch.num_rows)
            last = min(stop - self.row, batch.num_rows)
            self.row += last
            self._rest = batch.slice(last) if last < batch.num_rows else None
            if first < last:
                yield batch.slice(first, last - first)

    def close(self) -> None:
        self._stream.close()


def batch_rows(n_columns: int) -> int:
    """Return how many rows to decode at once: a few megabytes.

    Examples
    --------
    >>> batch_rows(100)
    10485
    """
    return max(1024, min(1 << 16, MAX_BLOCK_BYTES // (8 * max(n_columns, 1))))


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
    """Cut a table into runs of row groups, each from one file, and each of at least ``rows`` rows but a file's last.

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
    for fragment in table.fragments:
        run: list[int] = []
        for group, stop in enumerate(fragment.groups[1:]):
            run.append(group)
            if stop - fragment.groups[run[0]] >= rows or group == len(fragment.groups) - 2:
                runs.append((fragment.path, run))
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
