"""Matrices in ``.npy`` files and memory maps."""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import DenseSource, array_source, check_two_dimensions, working_dtype
from offbeat.data.arrays.npy_header import NpyLayout, check_size, npy_layout
from offbeat.data.arrays.row_file import RowFile
from offbeat.data.source import Floats, Source, check_range, scratch


class NpySource:
    """A C-ordered matrix of real numbers in a file, read by blocks.

    float32 and float64 in native byte order land directly in the caller's memory; other types are converted
    block by block, as in `ConvertedSource`. Thread-safe; can be pickled (the file is opened again).

    Parameters
    ----------
    path : str or Path
        The file.
    layout : NpyLayout
        Where the matrix lies in it.

    Raises
    ------
    DataError
        The file cannot be opened or is shorter than the matrix.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(folder + "/X.npy", np.arange(6.0).reshape(3, 2))
    ...     NpySource(folder + "/X.npy", npy_layout(folder + "/X.npy")).read(1, 3)
    array([[2., 3.],
           [4., 5.]])
    """

    sparse = False
    resident = False

    def __init__(self, path: str | Path, layout: NpyLayout) -> None:
        self.rows = RowFile(path, layout)
        self.shape = (layout.shape[0], layout.shape[1])
        self.dtype = working_dtype(layout.dtype)

    def close(self) -> None:
        """Close the file; the source cannot be read afterwards. Happens by itself when it is forgotten."""
        self.rows.close()

    def read(self, start: int, stop: int, out: Floats | None = None) -> Floats:
        """Read rows `start` to `stop` from the file into `out` or fresh memory."""
        check_range(start, stop, self.shape[0])
        block = scratch(stop - start, self.shape[1], self.dtype, out)
        if self.rows.layout.dtype == self.dtype:
            self.rows.read_into(block, start)
            return block
        stored = np.empty(block.shape, self.rows.layout.dtype)
        self.rows.read_into(stored, start)
        np.copyto(block, stored, casting="same_kind")
        return block


def npy_source(path: str | Path, budget: int) -> Source:
    """Open the matrix in a ``.npy`` file.

    Parameters
    ----------
    path : str or Path
        The file.
    budget : int
        Bytes: a matrix that fits is read into memory once, a larger one is streamed by blocks.

    Returns
    -------
    source : Source

    Raises
    ------
    DataError
        The file is missing, damaged, truncated, or holds no matrix of real numbers.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = folder + "/X.npy"
    ...     np.save(path, np.zeros((3, 2)))
    ...     npy_source(path, budget=1000).resident, npy_source(path, budget=8).resident
    (True, False)
    """
    layout = npy_layout(path)
    check_two_dimensions(layout.shape)
    check_size(path, layout)
    if layout.n_bytes == 0:
        return array_source(np.empty(layout.shape, dtype=layout.dtype))
    if layout.fortran:
        mapped = np.memmap(path, layout.dtype, "r", layout.offset, layout.shape, order="F")
        return array_source(np.array(mapped, order="K") if layout.n_bytes <= budget else mapped)
    streamed = NpySource(path, layout)
    if streamed.shape[0] * streamed.shape[1] * streamed.dtype.itemsize > budget:
        return streamed
    with contextlib.closing(streamed):
        return DenseSource(streamed.read(0, streamed.shape[0]))


def memmap_source(array: np.memmap[Any, Any], budget: int) -> Source:
    """Wrap a memory map, or a view of one.

    Within the budget its pages are used in place. Beyond it, blocks of whole, contiguous rows are read from
    the file instead, so that resident memory stays small.

    Parameters
    ----------
    array : numpy.memmap, shape (n_rows, n_columns)
        Also a slice of a memory map.
    budget : int
        Bytes.

    Returns
    -------
    source : Source

    Raises
    ------
    DataError
        The array is not two-dimensional or not of real numbers.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mapped = np.memmap(folder + "/X", dtype=np.float64, mode="w+", shape=(4, 2))
    ...     source = memmap_source(mapped[1:], budget=8)
    >>> source.shape, source.resident
    ((3, 2), False)
    """
    source = array_source(array)
    root = _mapped_file(array)
    if array.nbytes <= budget or not array.flags.c_contiguous or root is None or root.filename is None:
        return source
    if root.mode == "c" or not os.path.exists(root.filename):
        return source  # what the user sees is in memory only
    if root.mode != "r":
        root.flush()
    offset = root.offset + _address(array) - _address(root)
    return NpySource(root.filename, NpyLayout(array.shape, array.dtype, fortran=False, offset=offset))


def _mapped_file(array: NDArray[Any]) -> np.memmap[Any, Any] | None:
    # Slices inherit the attribute `offset` of the whole map unchanged: it is right for the root only.
    current: Any = array
    while isinstance(current, np.ndarray):
        if isinstance(current, np.memmap) and isinstance(current.base, mmap.mmap):
            return current
        current = current.base
    return None


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
