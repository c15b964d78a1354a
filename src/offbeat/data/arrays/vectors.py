"""Targets, weights and offsets: one number a row, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import finite_sum
from offbeat.errors import DataError, OffbeatError, TargetError

Float64s = NDArray[np.float64]


def raw_vector(values: Any, name: str, error: type[OffbeatError]) -> NDArray[Any]:
    """Return the values of a list, array, series or Arrow column as a 1-D array.

    Parameters
    ----------
    values : array-like, shape (n_rows,) or (n_rows, 1)
        Values of any type; a category gives its labels.
    name : str
        What to call it in errors.
    error : type
        What to raise.

    Returns
    -------
    values : ndarray, shape (n_rows,)

    Examples
    --------
    >>> raw_vector([[1], [2]], "y", TargetError)
    array([1, 2])
    """
    check_not_lazy(values, name, error)
    if type(values).__module__.partition(".")[0] == "pyarrow":
        if hasattr(values, "dictionary_decode"):
            values = values.dictionary_decode()
        array = np.asarray(values.to_numpy(zero_copy_only=False))
    elif hasattr(values, "to_numpy"):
        array = np.asarray(values.to_numpy())
    elif hasattr(values, "toarray") or type(values).__module__.partition(".")[0] == "sparse":
        dense = "toarray().ravel" if hasattr(values, "toarray") else "todense"
        raise error(f"{name} is a sparse matrix. Pass it dense: {name}.{dense}().")
    elif isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        n_masked = int(np.count_nonzero(np.ma.getmaskarray(values)))
        raise error(f"{name} is a masked array with {n_masked:,} masked values. Fill or drop them.")
    else:
        try:
            array = np.asarray(values)
        except ValueError as ragged:
            raise error(f"{name} is not one value a row: {ragged}") from ragged
        if array.dtype.kind in "US" and isinstance(values, list | tuple):
            array = _objects_if_mixed(array, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.ravel()
    if array.ndim != 1:
        raise error(f"{name} should be a 1d array, got an array of shape {array.shape} instead: one value a row.")
    return array


def _objects_if_mixed(array: NDArray[Any], values: Any) -> NDArray[Any]:
    """Return the values as objects where NumPy turned numbers among texts, such as NaN, into texts."""
    objects = np.array(values, dtype=object)
    texts = all(isinstance(value, str | bytes) for value in objects.ravel().tolist())
    return array if texts else objects


def check_not_lazy(values: Any, name: str, error: type[OffbeatError]) -> None:
    """Raise an error where values are a lazy object of Dask that has no shape yet.

    Examples
    --------
    >>> check_not_lazy([1, 2], "y", TargetError)
    """
    module = type(values).__module__.partition(".")[0]
    if module in ("dask", "distributed") and not hasattr(type(values), "__array__"):
        call = "result" if module == "distributed" else "compute"
        raise error(f"{name} is of Dask, and X is data of this process: give {name}.{call}(), or both from Dask")


def number_vector(values: Any, name: str, n_rows: int, error: type[OffbeatError] = DataError) -> Float64s:
    """Return one finite float64 a row, C-contiguous.

    Parameters
    ----------
    values : array-like, shape (n_rows,) or (n_rows, 1)
        Numbers or booleans; objects are converted if they are numbers.
    name : str
        What to call it in errors.
    n_rows : int
        How many there must be.
    error : type
        What to raise.

    Returns
    -------
    values : ndarray of float64, shape (n_rows,)
        Not copied when it can be used as it is.

    Raises
    ------
    OffbeatError
        Of type `error`: wrong length, not numbers, or not finite; says how many and the first row.

    Examples
    --------
    >>> number_vector([True, False], "y", 2)
    array([1., 0.])
    """
    array = raw_vector(values, name, error)
    if len(array) != n_rows:
        raise error(
            f"Found input variables with inconsistent numbers of samples: X has {n_rows:,} rows, "
            f"{name} has {len(array):,}."
        )
    if array.dtype.kind == "c":
        raise error(f"Complex data not supported: {name} has type {array.dtype}. Pass its real part.")
    if array.dtype.kind in "OUSTMm":
        array = _from_objects(array, name, error)
    numbers = np.ascontiguousarray(array, dtype=np.float64)
    _check_finite(numbers, name, error)
    return numbers


def target_vector(y: Any, n_rows: int) -> Float64s:
    """Return numeric targets; see `number_vector`.

    Raises
    ------
    TargetError
        The targets are not one finite number a row.

    Examples
    --------
    >>> target_vector([0, 1], 2)
    array([0., 1.])
    """
    return number_vector(y, "y", n_rows, TargetError)


def weight_vector(weight: Any, n_rows: int, name: str = "sample_weight") -> Float64s:
    """Return weights; None gives an array of length 0, a single number the same weight for every row.

    Raises
    ------
    DataError
        A weight is negative or not finite, or all are zero.

    Examples
    --------
    >>> weight_vector([1, 2], 2), weight_vector(None, 2)
    (array([1., 2.]), array([], dtype=float64))
    """
    numbers = partition_weight_vector(weight, n_rows, name)
    if weight is not None and n_rows and not numbers.any():
        raise DataError(f"{name} is zero in every row: there is nothing to fit.")
    return numbers


def partition_weight_vector(weight: Any, n_rows: int, name: str = "sample_weight") -> Float64s:
    """Return weights of some of the rows, which may all be zero; see `weight_vector`.

    Raises
    ------
    DataError
        A weight is negative or not finite.

    Examples
    --------
    >>> partition_weight_vector([0, 0], 2)
    array([0., 0.])
    """
    if weight is None:
        return np.empty(0)
    check_not_lazy(weight, name, DataError)
    single = not isinstance(weight, str | bytes) and (np.isscalar(weight) or getattr(weight, "shape", None) == ())
    values = np.full(n_rows, weight) if single else weight
    numbers = number_vector(values, name, n_rows)
    negative = numbers < 0
    if negative.any():
        raise DataError(
            f"{name} has {int(negative.sum()):,} negative values; the first is {numbers[negative][0]:g} "
            f"in row {int(negative.argmax())}. Weights must be zero or positive."
        )
    return numbers


def offset_vector(offset: Any, n_rows: int, name: str = "offset") -> Float64s:
    """Return offsets; None gives an array of length 0.

    Raises
    ------
    DataError
        An offset is not finite.

    Examples
    --------
    >>> offset_vector(None, 2).size
    0
    """
    return np.empty(0) if offset is None else number_vector(offset, name, n_rows)


def _from_objects(array: NDArray[Any], name: str, error: type[OffbeatError]) -> Float64s:
    if array.dtype.kind in "Mm":
        raise error(f"{name} holds dates or durations ({array.dtype}), not numbers. Convert it to a count of days.")
    items = [np.nan if type(value).__name__ == "NAType" else value for value in array.tolist()]
    for row, value in enumerate(items):
        if isinstance(value, str | bytes):
            raise error(
                f"{name} holds text ({value!r} in row {row}), not numbers. Encode classes as 0, 1, ... "
                "first, or use an estimator for classes, which does it for you."
            )
    try:
        return np.array(items, dtype=np.float64)
    except (TypeError, ValueError) as failure:
        raise error(f"{name} holds objects that are not numbers: {failure}") from failure


def _check_finite(numbers: Float64s, name: str, error: type[OffbeatError]) -> None:
    if finite_sum(numbers):
        return
    missing = np.isnan(numbers)
    bad = missing if missing.any() else np.isinf(numbers)
    if bad.any():
        what = "NaN" if missing.any() else "infinity or a value too large for dtype('float64')"
        raise error(f"Input {name} contains {what}: {int(bad.sum()):,} rows, the first is row {int(bad.argmax())}.")
