"""Arrays in files, read by rows straight into the caller's memory.

Rows are read with ``preadv`` and not through a memory map: the call releases the GIL, the pages of the file
do not count as our memory, and a file that shrinks meanwhile gives an error instead of killing the process.
"""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.npy_header import NpyLayout, check_size
from offbeat.errors import DataError

_MAX_READ_BYTES = 1 << 30  # Linux reads at most 2 GiB a call
_READ_AHEAD = hasattr(os, "posix_fadvise")
_POSITIONED = hasattr(os, "preadv")


class RowFile:
    """A C-ordered array in a file.

    Thread-safe; can be pickled (the file is opened again).

    Parameters
    ----------
    path : str or Path
        The file.
    layout : NpyLayout
        Where the array lies in it.

    Raises
    ------
    DataError
        The file cannot be opened or is shorter than the array.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "rows")
    ...     _ = path.write_bytes(np.arange(6.0).tobytes())
    ...     rows, block = RowFile(path, NpyLayout((3, 2), np.dtype(float), False, 0)), np.empty((1, 2))
    ...     rows.read_into(block, 1)
    ...     rows.close()
    >>> block
    array([[2., 3.]])
    """

    def __init__(self, path: str | Path, layout: NpyLayout) -> None:
        self.path = Path(path)
        self.layout = layout
        self._row_bytes = int(np.prod(layout.shape[1:], dtype=np.int64)) * layout.dtype.itemsize
        self._lock = threading.Lock()
        try:
            self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from error
        self._close = weakref.finalize(self, os.close, self._file)
        check_size(self.path, layout)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "layout": self.layout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def close(self) -> None:
        """Close the file; it cannot be read afterwards. Happens by itself when the object is forgotten."""
        self._close()

    def read_into(self, block: NDArray[Any], start: int) -> None:
        """Fill a C-contiguous array of the stored type with the rows from `start` on.

        Raises
        ------
        DataError
            The file became shorter, or the system cannot read it.
        """
        if not block.size:
            return
        position = self.layout.offset + start * self._row_bytes
        self._fill(memoryview(block.reshape(-1).view(np.uint8).data), position)
        if _READ_AHEAD:
            # Several threads share the file, which defeats the kernel's own detection of sequential reading.
            os.posix_fadvise(self._file, position + block.nbytes, block.nbytes, os.POSIX_FADV_WILLNEED)

    def _fill(self, buffer: memoryview, position: int) -> None:
        done = 0
        while done < len(buffer):
            n_read = self._read_at(buffer[done : done + _MAX_READ_BYTES], position + done)
            if n_read == 0:
                check_size(self.path, self.layout)
                raise DataError(f"{self.path} became shorter while it was read.")
            done += n_read

    def _read_at(self, buffer: memoryview, position: int) -> int:
        try:
            if _POSITIONED:
                return os.preadv(self._file, [buffer], position)
            with self._lock:  # no positioned read on this system: the file's own position is shared
                os.lseek(self._file, position, os.SEEK_SET)
                piece = os.read(self._file, len(buffer))
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from error
        buffer[: len(piece)] = piece
        return len(piece)
