"""What every loader and generator returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """Features, target and where they come from; unpacks into ``X, y``.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_rows, n_columns)
        Features: C-ordered when dense, 32-bit indices in order when sparse.
    y : ndarray of shape (n_rows,)
        Target: 0/1 or class indices (int64) for classes, float64 otherwise.
    feature_names : tuple of str
        One readable name a column, such as ``"carrier=UA"``.
    description : str
        What a row is, which rows were dropped, and whether columns add up to one.
    target_name : str
        What `y` is, with its unit.
    source : str
        Where the numbers come from.
    offset : ndarray of shape (n_rows,), optional
        Known part of the linear predictor: the log of the exposure of counts.
    classes : tuple of str, optional
        Names of the class indices in `y`.
    coef : ndarray of shape (n_columns,), optional
        Coefficients that generated synthetic data.
    intercept : float, optional
        Intercept that generated synthetic data.

    Examples
    --------
    >>> from offbeat.datasets import make_regression
    >>> make_regression(100, 3)
    Data(100 x 3 dense float64; target: response)
    >>> X, y = make_regression(100, 3)
    >>> X.shape, y.shape
    ((100, 3), (100,))
    """

    X: NDArray[np.floating[Any]] | csr_array
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    description: str
    target_name: str
    source: str
    offset: NDArray[np.float64] | None = None
    classes: tuple[str, ...] | None = None
    coef: NDArray[np.float64] | None = None
    intercept: float | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield features and target."""
        yield self.X
        yield self.y

    def __repr__(self) -> str:
        rows, columns = self.X.shape
        kind = "dense" if isinstance(self.X, np.ndarray) else f"sparse ({self.X.nnz:,} non-zeros)"
        return f"Data({rows:,} x {columns:,} {kind} {self.X.dtype}; target: {self.target_name})"


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse an option that is not one of ``choices``.

    Raises
    ------
    DataError
        Names the option and all its choices.
    """
    if value not in choices:
        raise DataError(f"{name}={value!r} is not known: choose one of {', '.join(map(repr, choices))}.")


def float_dtype(dtype: Any) -> np.dtype[Any]:
    """Float32 or float64 as a NumPy type.

    Raises
    ------
    DataError
        Any other type.
    """
    result: np.dtype[Any] | None
    try:
        result = np.dtype(dtype)
    except TypeError:
        result = None
    if result is None or result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DataError(f"dtype={dtype!r} is not a type of features: choose float64 or float32.")
    return result
