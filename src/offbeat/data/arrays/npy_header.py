"""Headers of ``.npy`` files: where the values lie, and whether they are all there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.data.arrays.in_memory import working_dtype
from offbeat.errors import DataError


@dataclass(frozen=True)
class NpyLayout:
    """Where an array lies in a file.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    dtype : numpy.dtype
        Type as stored.
    fortran : bool
        Whether the array is stored by columns.
    offset : int
        Bytes before the first value.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the values."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def npy_layout(path: str | Path) -> NpyLayout:
    """Read the header of a ``.npy`` file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    layout : NpyLayout

    Raises
    ------
    DataError
        The file is missing, not a ``.npy`` file, or holds no real numbers.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(folder + "/X.npy", np.zeros((3, 2), dtype=np.float32))
    ...     npy_layout(folder + "/X.npy").shape
    (3, 2)
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0}
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            # Versions 2 and 3 differ in how they spell the names of fields, which matrices do not have.
            shape, fortran, dtype = readers.get(version, np.lib.format.read_array_header_2_0)(file)
            offset = file.tell()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"{path} is not a .npy file, or its header is damaged: {error}") from error
    try:
        working_dtype(dtype)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return NpyLayout(shape, dtype, fortran, offset)


def check_size(path: str | Path, layout: NpyLayout) -> None:
    """Raise `DataError` if the file is too short for the array that its header announces."""
    expected, found = layout.offset + layout.n_bytes, Path(path).stat().st_size
    if found < expected:
        raise DataError(
            f"{path} is truncated: for an array of shape {layout.shape} and type {layout.dtype}, "
            f"expected {expected} bytes, found {found}. Write or copy the file again."
        )
