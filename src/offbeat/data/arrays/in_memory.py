"""Matrices in memory: NumPy arrays of any kind and SciPy sparse matrices, without copying them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import CSR, Floats, Source, check_range, scratch
from offbeat.errors import DataError

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True, eq=False)
class DenseSource:
    """A C-contiguous float32 or float64 array; blocks are views of it.

    Parameters
    ----------
    array : ndarray of float32 or float64, shape (n_rows, n_columns)
        In C order and native byte order. May be read-only.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.ones((4, 2))
    >>> np.shares_memory(DenseSource(X).read(1, 3), X)
    True
    """

    array: Floats

    sparse = False
    resident = True

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.array.shape[0], self.array.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.array.dtype

    def read(self, start: int, stop: int, out: Floats | None = None) -> Floats:
        """Return a view of rows `start` to `stop`."""
        check_range(start, stop, self.shape[0])
        return self.array[start:stop]


@dataclass(frozen=True, eq=False)
class ConvertedSource:
    """An array that kernels cannot read as it is: other order, type or byte order, or not contiguous.

    Only the rows asked for are converted, so that the whole is never copied. float16 and float32 become
    float32; everything else (integers, booleans, longer floats) becomes float64.

    Parameters
    ----------
    array : ndarray of real numbers, shape (n_rows, n_columns)
        Any memory layout.

    Examples
    --------
    >>> import numpy as np
    >>> source = ConvertedSource(np.asfortranarray([[1, 2], [3, 4], [5, 6]]))
    >>> source.read(1, 3)
    array([[3., 4.],
           [5., 6.]])
    """

    array: NDArray[Any]

    sparse = False
    resident = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.array.shape[0], self.array.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values after conversion."""
        return working_dtype(self.array.dtype)

    def read(self, start: int, stop: int, out: Floats | None = None) -> Floats:
        """Convert rows `start` to `stop` into `out` or fresh memory."""
        check_range(start, stop, self.shape[0])
        block = scratch(stop - start, self.shape[1], self.dtype, out)
        np.copyto(block, self.array[start:stop], casting="same_kind")
        return block


@dataclass(frozen=True, eq=False)
class CSRSource:
    """A sparse matrix compressed by row; blocks share its arrays.

    Parameters
    ----------
    matrix : CSR
        The three arrays, of the whole matrix. int32 and int64 offsets and columns are both kept as they are,
        so more than 2**31 entries work whenever the arrays have 64-bit offsets.
    n_columns : int
        Number of columns.

    Examples
    --------
    >>> from scipy import sparse
    >>> source = sparse_source(sparse.eye_array(3, format="csr"))
    >>> source.read(1, 3).indptr
    array([1, 2, 3], dtype=int32)
    """

    matrix: CSR
    n_columns: int

    sparse = True
    resident = True

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.matrix.n_rows, self.n_columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.matrix.data.dtype

    def read(self, start: int, stop: int, out: Floats | None = None) -> CSR:
        """Return rows `start` to `stop`: a view of the offsets, with all columns and values."""
        check_range(start, stop, self.shape[0])
        return CSR(self.matrix.indptr[start : stop + 1], self.matrix.indices, self.matrix.data)


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that values of `dtype` are computed in.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the user's array.

    Returns
    -------
    dtype : numpy.dtype
        float32 for float16 and float32, float64 for every other real type.

    Raises
    ------
    DataError
        The values are not real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> working_dtype(np.dtype(">f4")), working_dtype(np.dtype(bool))
    (dtype('float32'), dtype('float64'))
    """
    if dtype.kind == "c":
        raise DataError(
            f"Complex data not supported: X has type {dtype}, and only real numbers can be fitted. "
            "Pass X.real, or X.real and X.imag as separate columns."
        )
    if dtype.kind not in "fiub":
        raise DataError(f"X has type {dtype}, which is not a type of real numbers. Convert it to float64.")
    return FLOAT32 if dtype.kind == "f" and dtype.itemsize <= 4 else FLOAT64


def check_two_dimensions(shape: tuple[int, ...]) -> None:
    """Raise `DataError` unless a shape is that of a matrix.

    Examples
    --------
    >>> check_two_dimensions((3, 2))
    """
    if len(shape) == 1:
        raise DataError(
            f"Expected 2D array, got 1D array instead: X has shape {shape}. Reshape your data: "
            "X.reshape(-1, 1) if it is one feature, X.reshape(1, -1) if it is one row."
        )
    if len(shape) != 2:
        raise DataError(f"Found array with dim {len(shape)}: X must have rows and columns, its shape is {shape}.")


def array_source(array: NDArray[Any]) -> Source:
    """Wrap a 2-D NumPy array without copying it.

    Parameters
    ----------
    array : ndarray of real numbers, shape (n_rows, n_columns)
        Any type, byte order and memory layout; may be read-only.

    Returns
    -------
    source : DenseSource or ConvertedSource

    Raises
    ------
    DataError
        The array is not two-dimensional or not of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> array_source(np.zeros((3, 2), dtype=np.float32)).resident
    True
    """
    check_two_dimensions(array.shape)
    dtype = working_dtype(array.dtype)
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return DenseSource(np.asarray(array))
    return ConvertedSource(np.asarray(array))


def sparse_source(matrix: Any) -> CSRSource:
    """Wrap a SciPy sparse matrix or array; CSR of floats is not copied.

    Parameters
    ----------
    matrix : scipy sparse matrix or array, shape (n_rows, n_columns)
        CSR is used as it is: indices may be unsorted, may repeat, may be 32- or 64-bit. Other formats are
        converted to CSR, once. Values that are not float32 or float64 are converted, once.

    Returns
    -------
    source : CSRSource

    Raises
    ------
    DataError
        The matrix is not two-dimensional or not of real numbers, or its arrays do not fit together.

    Examples
    --------
    >>> from scipy import sparse
    >>> sparse_source(sparse.coo_array([[0, 1], [2, 0]])).shape
    (2, 2)
    """
    check_two_dimensions(matrix.shape)
    dtype = working_dtype(matrix.dtype)
    csr = matrix if matrix.format == "csr" else matrix.tocsr()
    _check_csr(csr)
    data = csr.data.astype(dtype, copy=False)
    return CSRSource(CSR(csr.indptr, csr.indices, data), int(csr.shape[1]))


def _check_csr(csr: Any) -> None:
    # Kernels do not check bounds: an index outside the matrix would read foreign memory.
    n_rows, n_columns = csr.shape
    indptr, indices = csr.indptr, csr.indices
    if len(indptr) != n_rows + 1 or indptr[0] < 0 or indptr[-1] > min(len(indices), len(csr.data)):
        raise DataError(
            f"The sparse matrix X is damaged: {n_rows} rows, {len(indptr)} row offsets up to {indptr[-1]}, "
            f"{len(indices)} column indices, {len(csr.data)} values. Rebuild it, as with X.tocoo().tocsr()."
        )
    if (np.diff(indptr) < 0).any():
        raise DataError("The sparse matrix X is damaged: its row offsets decrease. Rebuild it.")
    stored = indices[indptr[0] : indptr[-1]]
    if stored.size and (stored.min() < 0 or stored.max() >= n_columns):
        raise DataError(
            f"The sparse matrix X is damaged: column indices run from {stored.min()} to {stored.max()}, "
            f"but it has {n_columns} columns. Rebuild it."
        )
