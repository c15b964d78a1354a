"""Sparse matrices that do not fit in memory: row offsets are in memory, columns and values are in files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.npy_header import NpyLayout
from offbeat.data.arrays.row_file import RowFile
from offbeat.data.source import CSR, Floats, check_range

_ANY_COLUMN = 2**31 - 1
_FLOAT64 = np.dtype(np.float64)


class SpilledSource:
    r"""Rows of a sparse matrix, read from files.

    Thread-safe; can be pickled, as long as the files are there.

    Parameters
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Offsets.
    indices, data : RowFile
        Columns (int32) and values (float64) of all entries.
    n_columns : int
        Number of columns.
    first_index : int
        Index of the first column in ``indices``: 0 or 1.
    owner : object, optional
        Kept alive as long as the source: what removes temporary files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = io.BytesIO(b"1 1:0.5 3:2\n-1 2:1\n")
    ...     source, labels, used = spill_rows(text, Path(folder), None, piece_bytes=1 << 16)
    ...     source.counted_from(used[0], 3).read(1, 2)
    CSR(indptr=array([0, 1]), indices=array([1], dtype=int32), data=array([1.]))
    """

    sparse = True
    resident = False
    dtype = _FLOAT64

    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: RowFile,
        data: RowFile,
        n_columns: int,
        first_index: int = 0,
        owner: object = None,
    ) -> None:
        self.indptr, self.indices, self.data = indptr, indices, data
        self.shape = (len(indptr) - 1, n_columns)
        self.first_index = first_index
        self.owner = owner

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "owner": None}  # the process that made temporary files removes them

    def close(self) -> None:
        """Close the files; the source cannot be read afterwards. Happens by itself when it is forgotten."""
        self.indices.close()
        self.data.close()

    def widened(self, n_columns: int) -> SpilledSource:
        """Return the same rows with empty columns added at the end."""
        return self.counted_from(self.first_index, n_columns)

    def counted_from(self, first_index: int, n_columns: int) -> SpilledSource:
        """Return the same rows with ``n_columns`` columns, where the files call the first one ``first_index``."""
        return SpilledSource(self.indptr, self.indices, self.data, n_columns, first_index, self.owner)

    def read(self, start: int, stop: int, out: Floats | None = None) -> CSR:
        """Read rows `start` to `stop` into fresh memory."""
        check_range(start, stop, self.shape[0])
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        indices, data = np.empty(last - first, np.int32), np.empty(last - first, self.dtype)
        self.indices.read_into(indices, first)
        self.data.read_into(data, first)
        indices -= np.int32(self.first_index)
        return CSR(self.indptr[start : stop + 1] - first, indices, data)


def spill_rows(
    file: IO[bytes], folder: Path, owner: object, piece_bytes: int
) -> tuple[SpilledSource, NDArray[np.float64], tuple[int, int] | None]:
    """Convert a libsvm file to binary files, some megabytes at a time.

    Parameters
    ----------
    file : binary file
        Text.
    folder : Path
        Where to write.
    owner : object
        See `SpilledSource`.
    piece_bytes : int
        Bytes of text to hold at once.

    Returns
    -------
    source : SpilledSource
        Column j is the index j of the file.
    labels : ndarray of float64, shape (n_rows,)
    used : (int, int) or None
        The lowest and the highest index; None if there is none.

    Raises
    ------
    ValueError
        A line cannot be parsed.
    OSError
        The files cannot be written.
    """
    from sklearn.datasets import load_svmlight_file

    columns_path, values_path = folder / "columns", folder / "values"
    lengths, labels = [np.zeros(1, np.int64)], [np.empty(0)]
    lowest, highest = _ANY_COLUMN, 0
    with open(columns_path, "wb") as columns, open(values_path, "wb") as values:
        for piece in _pieces(file, piece_bytes):
            X, y = load_svmlight_file(io.BytesIO(piece), n_features=_ANY_COLUMN, zero_based=True)
            lengths.append(np.diff(X.indptr).astype(np.int64))
            labels.append(y)
            X.indices.astype(np.int32, copy=False).tofile(columns)
            X.data.tofile(values)
            if X.nnz:
                lowest, highest = min(lowest, int(X.indices.min())), max(highest, int(X.indices.max()))
    indptr = np.cumsum(np.concatenate(lengths), dtype=np.int64)
    shape = (int(indptr[-1]),)
    source = SpilledSource(
        indptr,
        RowFile(columns_path, NpyLayout(shape, np.dtype(np.int32), False, 0)),
        RowFile(values_path, NpyLayout(shape, _FLOAT64, False, 0)),
        highest + 1 if shape[0] else 0,
        owner=owner,
    )
    return source, np.concatenate(labels), (lowest, highest) if shape[0] else None


def _pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield whole lines, about ``size`` bytes at a time."""
    while piece := file.read(size):
        yield piece + file.readline()
