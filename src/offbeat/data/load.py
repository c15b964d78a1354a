"""Makes a `Dataset` of what a user passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import ChunkedSource, concatenated
from offbeat.data.arrays.in_memory import CSRSource
from offbeat.data.arrays.vectors import offset_vector, raw_vector, target_vector, weight_vector
from offbeat.data.dataset import Dataset
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.memory import memory_bytes
from offbeat.data.opening import Opened, open_data
from offbeat.data.source import Source
from offbeat.errors import DataError, TargetError

if TYPE_CHECKING:  # what tables need is imported when there is one
    from offbeat.data.tables.encoding import Encoder, EncoderOptions
    from offbeat.data.tables.table import Tabular

__all__ = [
    "Opened",
    "as_dataset",
    "diagnose_non_finite",
    "libsvm_as_fitted",
    "open_data",
    "role_values",
    "target_values",
    "with_columns",
]


def as_dataset(
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    offset: Any = None,
    memory_budget: int | float | str | None = None,
    columns: Sequence[str] | None = None,
    encoder: Encoder | EncoderOptions | None = None,
    target: str | None = None,
) -> Dataset:
    """Make a data set of features, targets, weights and offsets, with clear errors for what cannot be one.

    Arrays and CSR matrices are not copied, and not searched for NaN either: the first pass of a fit finds those
    for free, see `diagnose_non_finite`. Tables that need encoding are copied once, into the matrix.

    Parameters
    ----------
    X : array-like, sparse matrix, table, path or list of paths
        See `open_data`, whose result can be passed too.
    y : array-like of numbers, str or None
        Targets, or the name of the table's column that holds them, or None: no targets (for a libsvm file, the
        labels in it). Classes must be numbers already; `target_values` gives the raw labels.
    sample_weight, offset : array-like of numbers, str or None
        One a row, or the name of a column of the table.
    memory_budget : int, str or None
        Bytes, or a string such as ``"1GiB"``; by default a quarter of the machine's memory. Files whose matrix
        takes more are streamed.
    columns : sequence of str, optional
        Columns of the table to use as features; by default all that are not named as `y`, `target`,
        `sample_weight` or `offset`, and are not the index of a pandas table that was stored.
    encoder : Encoder or EncoderOptions, optional
        An encoder that was fitted before is used as it is (prediction), and columns of a CSV file are of its types.
        Otherwise one is fitted on the table.
    target : str, optional
        Name of the target, where `y` holds the encoded values of that column: recorded, and left out of
        the features.

    Returns
    -------
    dataset : Dataset

    Raises
    ------
    DataError
        The features, weights or offset cannot be used.
    TargetError
        The targets cannot be used.

    Examples
    --------
    >>> import pyarrow as pa
    >>> flights = pa.table({"dest": ["SFO", "LAX", "LAX"], "distance": [2.5, 1.0, 1.0], "late": [1, 0, 1]})
    >>> dataset = as_dataset(flights, "late")
    >>> dataset.feature_names, dataset.y
    (['dest=LAX', 'dest=SFO', 'distance'], array([1., 0., 1.]))
    """
    fitted = _fitted(encoder)
    read_options = None if fitted is None else ReadOptions().for_prediction(fitted, len(fitted.columns))
    opened = open_data(X, memory_budget, read_options)
    budget = memory_bytes(memory_budget)
    n_rows = opened.n_rows
    roles = [name for name in (y, target, sample_weight, offset) if isinstance(name, str)]
    if opened.table is None:
        source = _matrix(opened, columns, fitted)
    else:
        fitted = _encoder(opened.table, columns, roles, encoder)
        source = opened.table.source(fitted, budget)
    _check_not_empty(source)
    labels = opened.labels if y is None else role_values(opened, y, "y", TargetError)
    return Dataset(
        source,
        np.empty(0) if labels is None else target_vector(labels, n_rows),
        weight_vector(role_values(opened, sample_weight, "sample_weight"), n_rows),
        offset_vector(role_values(opened, offset, "offset"), n_rows),
        None if fitted is None else list(fitted.feature_names),
        fitted,
        y if isinstance(y, str) else target,
        budget,
        opened.read_options,
    )


def target_values(X: Any, y: Any = None) -> NDArray[Any]:
    """Return raw targets: numbers, booleans or texts, as the user wrote them.

    For classes, encode what this returns and pass it on: ``classes, codes = np.unique(labels,
    return_inverse=True)`` and ``as_dataset(X, codes, target=name)``.

    Parameters
    ----------
    X : array-like, sparse matrix, table, path or list of paths
        See `open_data`, whose result can be passed too.
    y : array-like, str or None
        Targets, or the name of the table's column that holds them, or None: the labels in a libsvm file.

    Returns
    -------
    labels : ndarray, shape (n_rows,)

    Raises
    ------
    TargetError
        There are none, values of a column are missing, or their number is not that of the rows.
    DataError
        There is no such column.

    Examples
    --------
    >>> import pyarrow as pa
    >>> target_values(pa.table({"x": [1, 2], "late": ["no", "yes"]}), "late")
    array(['no', 'yes'], dtype=object)
    """
    opened = open_data(X)
    given = opened.labels if y is None else role_values(opened, y, "y", TargetError)
    if given is None:
        raise TargetError("There is no target: pass y, an array or the name of a column of the table.")
    labels = raw_vector(given, "y", TargetError)
    if len(labels) != opened.n_rows:
        raise TargetError(
            f"Found input variables with inconsistent numbers of samples: X has {opened.n_rows:,} rows, "
            f"y has {len(labels):,}."
        )
    return labels


def with_columns(source: Source, n_columns: int) -> Source:
    """Return a sparse source with empty columns added at its end.

    A libsvm file does not say how many columns it has: at prediction the last ones of the model may not occur.

    Parameters
    ----------
    source : Source
        Any source; only a sparse one with fewer columns is changed.
    n_columns : int
        How many columns the model has.

    Returns
    -------
    source : Source

    Examples
    --------
    >>> from scipy import sparse
    >>> from offbeat.data.arrays.in_memory import sparse_source
    >>> with_columns(sparse_source(sparse.csr_array([[1.0, 0.0]])), 5).shape
    (1, 5)
    """
    if source.shape[1] >= n_columns:
        return source
    if isinstance(source, CSRSource):
        return replace(source, n_columns=n_columns)
    from offbeat.data.arrays.spill import SpilledSource

    return source.widened(n_columns) if isinstance(source, SpilledSource) else source


def libsvm_as_fitted(opened: Opened, read_options: ReadOptions) -> Opened:
    """Return a libsvm file that is open, with the columns of a model.

    Parameters
    ----------
    opened : Opened
    read_options : ReadOptions
        Of the model: see `ReadOptions.for_prediction`.

    Raises
    ------
    DataError
        Its indices start elsewhere than those of the model.
    """
    assert opened.source is not None
    base, fitted = opened.read_options.index_base, read_options.index_base
    if fitted is not None and base != fitted:
        raise DataError(
            f"The indices of X were taken to start at {base}, and the model was fitted to indices that start at "
            f"{fitted}: open the file with ReadOptions(index_base={fitted}), or give its path."
        )
    return replace(opened, source=with_columns(opened.source, read_options.n_columns or 0))


def _fitted(encoder: Encoder | EncoderOptions | None) -> Encoder | None:
    """Return the encoder if it was fitted before, None for options."""
    if encoder is None:
        return None
    from offbeat.data.tables.encoding import Encoder

    return encoder if isinstance(encoder, Encoder) else None


def _encoder(
    table: Tabular, columns: Sequence[str] | None, roles: list[str], encoder: Encoder | EncoderOptions | None
) -> Encoder:
    from offbeat.data.tables.encoding import Encoder, EncoderOptions
    from offbeat.data.tables.in_memory import MemoryTable
    from offbeat.data.tables.table import check_columns, feature_columns, fit_encoder

    if isinstance(encoder, Encoder):
        return encoder
    check_columns(table, roles)
    if isinstance(columns, str):
        raise DataError(f"columns={columns!r} is one name: pass a list of names.")
    names = feature_columns(table, roles) if columns is None else list(columns)
    check_columns(table, names)
    if table.n_rows == 0:
        raise DataError(_empty_message("sample", (0, len(names))))
    if encoder is None and isinstance(table, MemoryTable) and table.stored_sparsely(names):
        encoder = EncoderOptions(sparse=True)
    return fit_encoder(table, names, encoder)


def _matrix(opened: Opened, columns: Sequence[str] | None, encoder: Encoder | None) -> Source:
    source = opened.source
    assert source is not None
    if columns is not None:
        raise DataError("columns chooses columns of a table by name, but X is a matrix without names. Slice X instead.")
    if encoder is not None:
        if not encoder.plain:
            raise DataError("The model was fitted on a table with categories: pass a table with the same columns.")
        source = with_columns(source, len(encoder.columns))
        if source.shape[1] != len(encoder.columns):
            raise DataError(
                f"X has {source.shape[1]} features, but the model was fitted with {len(encoder.columns)} features: "
                f"{', '.join(encoder.names[:10])}{', ...' if len(encoder.columns) > 10 else ''}."
            )
    return source


def role_values(opened: Opened, values: Any, role: str, error: type[DataError | TargetError] = DataError) -> Any:
    """Return the targets, weights or offsets that a user gave.

    Parameters
    ----------
    opened : Opened
        The features.
    values : array-like, str or None
        Values, or the name of a column of the table.
    role : str
        What to call them in errors.
    error : type
        What to raise where a name is given and X is no table.

    Returns
    -------
    values : array-like or None
        Those of the column where a name was given; chunks are concatenated where X is in chunks too.

    Examples
    --------
    >>> import pyarrow as pa
    >>> role_values(open_data(pa.table({"x": [1.0], "w": [2.0]})), "w", "sample_weight")
    array([2.])
    """
    if not isinstance(values, str):
        return concatenated(values) if isinstance(opened.source, ChunkedSource) else values
    if opened.table is None:
        raise error(f"{role}={values!r} names a column, but X is a matrix without names. Pass the values instead.")
    from offbeat.data.tables.table import column_values

    return column_values(opened.table, values)


def _check_not_empty(source: Source) -> None:
    n_rows, n_columns = source.shape
    if n_rows == 0:
        raise DataError(_empty_message("sample", source.shape))
    if n_columns == 0:
        raise DataError(_empty_message("feature", source.shape))


def _empty_message(what: str, shape: tuple[int, int]) -> str:
    return f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required."
