"""The matrix of a table whose rows arrive in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat.data.source import CSR, Block

if TYPE_CHECKING:
    import pyarrow as pa

    from offbeat.data.tables.encoding import Encoder


def index_dtype(n_stored: int, n_columns: int) -> np.dtype[Any]:
    """Return the type of offsets and columns of a sparse matrix: 32 bits while they suffice.

    Examples
    --------
    >>> index_dtype(2**31 - 1, 10), index_dtype(2**31, 10)
    (dtype('int32'), dtype('int64'))
    """
    return np.dtype(np.int32 if max(n_stored, n_columns) < 2**31 else np.int64)


class MatrixWriter:
    """Holds the encoded matrix of a table whose rows arrive in batches.

    Parameters
    ----------
    encoder : Encoder
        Of the table.
    n_rows : int
        Rows that will arrive.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from offbeat.data.tables.columns import Column
    >>> from offbeat.data.tables.encoding import Encoder
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
        """Encode the next rows."""
        first, last = self._done, self._done + batch.num_rows
        self._done = last
        if isinstance(self.matrix, CSR):
            shape = (-1, self._encoder.entries_per_row)
            indices, data = self.matrix.indices.reshape(shape), self.matrix.data.reshape(shape)
            self._encoder.write_sparse(batch, indices[first:last], data[first:last])
        else:
            self._encoder.write_dense(batch, self.matrix[first:last])
