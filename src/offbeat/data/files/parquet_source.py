"""The matrix of a table in Parquet files that is too large for memory: decoded by blocks, in every pass."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat.data.source import CSR, Block, Floats, check_range, scratch
from offbeat.data.tables.convert import MissingValuesError
from offbeat.data.tables.encoding import Encoder
from offbeat.data.tables.matrix import MatrixWriter
from offbeat.data.tables.table import count_missing

if TYPE_CHECKING:
    import pyarrow as pa

    from offbeat.data.files.parquet import ParquetTable, Part


class ParquetSource:
    """Encoded rows of Parquet files, decoded as they are read.

    Rows of a row group can only be decoded in order. Each read leaves its place behind, so that whoever goes
    on from there (the next block of the same shard, or the next shard) need not start over. Thread-safe; can
    be pickled.

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
    >>> from offbeat.data.files.parquet import parquet_table
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
        # Readers that stopped, oldest first. One a thread, and one for who starts next to where another stopped;
        # more would cost memory: a few megabytes for each column.
        self._idle: list[_Reader] = []
        self._most_idle = (os.cpu_count() or 1) + 1

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
            part = self.table.part_of(start)
            reader = self._take(part, start)
            end = min(stop, part.stop)
            yield from reader.take(start, end)
            self._put_back(reader)
            start = end

    def _take(self, part: Part, row: int) -> _Reader:
        """Return the reader that gets to a row with the least decoding: an idle one, or a new one."""
        group = int(np.searchsorted(part.groups, row, side="right")) - 1
        with self._lock:
            usable = [idle for idle in self._idle if idle.part is part and part.groups[group] <= idle.row <= row]
            if usable:
                nearest = max(usable, key=lambda reader: reader.row)
                self._idle.remove(nearest)
                return nearest
        return _Reader(self.table, part, group, self.encoder.names)

    def _put_back(self, reader: _Reader) -> None:
        dropped = [reader]
        with self._lock:
            if reader.row < reader.part.stop:
                self._idle.append(reader)
                dropped = [self._idle.pop(0)] if len(self._idle) > self._most_idle else []
        for old in dropped:
            old.close()

    def _all_missing(self, error: MissingValuesError) -> MissingValuesError:
        with self._lock:  # every thread may have found some: count once
            if not self._missing:
                self._missing = count_missing(self.table, self.encoder.names) or error.counts
        return MissingValuesError(self._missing)


class _Reader:
    """A place in a file: the rows from `row` on can be had in order."""

    def __init__(self, table: ParquetTable, part: Part, group: int, names: list[str]) -> None:
        self.part = part
        self.row = part.groups[group]
        self._stream: Any = table.read_part(part, range(group, len(part.groups) - 1), names)
        self._rest: Any = None

    def take(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yield rows `start` to `stop`, after those up to `start` were decoded and dropped."""
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
