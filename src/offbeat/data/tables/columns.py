"""Columns of a table: which can be used, as what, and the levels of those that hold categories."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from offbeat.data.tables.numeric_text import numeric_text
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Level: TypeAlias = str | int | float | bool
MAX_LEVELS = 100_000
MIN_IDENTIFIER_ROWS = 100
"""In a table with more rows, a column with a different value in each row is taken for an identifier."""


@dataclass(frozen=True)
class Column:
    """One column of a table and how it becomes features.

    Parameters
    ----------
    name : str
        Its name in the table.
    kind : {"number", "text", "integer", "boolean", "float"}
        ``"number"``: one feature. Anything else is the type of the levels of a category: one feature a level.
    levels : tuple, optional
        Sorted levels of a category; empty for numbers.

    Examples
    --------
    >>> Column("dest", "text", ("LAX", "SFO")).categorical
    True
    """

    name: str
    kind: str = "number"
    levels: tuple[Level, ...] = ()

    @property
    def categorical(self) -> bool:
        """Whether the column is one-hot encoded."""
        return self.kind != "number"


def column_kind(name: str, dtype: pa.DataType) -> str:
    """Return how a column of this Arrow type is used: ``"number"``, or the type of its levels.

    Parameters
    ----------
    name : str
        Name of the column, for the error.
    dtype : pyarrow.DataType
        Its type.

    Returns
    -------
    kind : str
        See `Column`.

    Raises
    ------
    DataError
        The type is neither a number nor a category; the message says how to convert it.

    Examples
    --------
    >>> import pyarrow as pa
    >>> column_kind("x", pa.int8()), column_kind("dest", pa.string())
    ('number', 'text')
    """
    import pyarrow.types as at

    if at.is_dictionary(dtype):
        kind = level_kind(dtype.value_type)
        if kind is None:
            raise DataError(
                f"Column {name!r} holds categories of type {dtype.value_type}. "
                "Only text, numbers and booleans can be levels: convert the column to text."
            )
        return kind
    if at.is_integer(dtype) or at.is_floating(dtype) or at.is_boolean(dtype) or at.is_decimal(dtype):
        return "number"
    if is_text(dtype):
        return "text"
    raise DataError(f"Column {name!r} has type {dtype}, which cannot be fitted. {_advice(name, dtype)}")


def check_unique(names: Sequence[str], what: str) -> None:
    """Raise `DataError` if a name appears twice.

    Examples
    --------
    >>> check_unique(["x", "z"], "column")
    """
    seen: set[str] = set()
    twice = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if twice:
        raise DataError(f"The {what} name {twice[0]!r} appears more than once. Rename the columns.")


def is_text(dtype: pa.DataType) -> bool:
    """Return whether an Arrow type holds strings.

    Examples
    --------
    >>> import pyarrow as pa
    >>> is_text(pa.large_string())
    True
    """
    import pyarrow.types as at

    return bool(at.is_string(dtype) or at.is_large_string(dtype) or at.is_string_view(dtype))


def level_array(kind: str, levels: tuple[Level, ...] | Any) -> pa.Array:
    """Return levels as an Arrow array of the type that all levels of this kind are compared in.

    Examples
    --------
    >>> level_array("integer", (1, 2**64 - 1)).type
    Decimal128Type(decimal128(20, 0))
    """
    import pyarrow as pa

    return pa.array(list(levels), type=level_type(kind))


def level_type(kind: str) -> pa.DataType:
    """Return the Arrow type that levels of this kind are compared in; whole numbers of 64 bits fit, signed or not."""
    import pyarrow as pa

    types = {"text": pa.large_string(), "integer": pa.decimal128(20), "boolean": pa.bool_(), "float": pa.float64()}
    return types[kind]


class LevelScan:
    """Collects the levels of the categorical columns of a table, batch by batch.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns to use as features, in their order.
    categorical : iterable of str
        Columns that hold categories, whatever their type; names of no column are ignored.

    Raises
    ------
    DataError
        A column has a type that cannot be used, two have the same name, or there are none.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"x": [1.0, 2.0], "dest": ["SFO", "LAX"]})
    >>> scan = LevelScan(table.schema)
    >>> scan.observe(table)
    >>> scan.columns(n_rows=2)[1].levels
    ('LAX', 'SFO')
    """

    def __init__(self, schema: pa.Schema, categorical: Iterable[str] = ()) -> None:
        if len(schema) == 0:
            raise DataError("Found 0 feature(s): the table has no column that is left to use as a feature.")
        check_unique(schema.names, "column")
        chosen = frozenset(categorical)
        self._kinds = {field.name: _field_kind(field, chosen) for field in schema}
        self._text = {field.name for field in schema if is_text(field.type)} - chosen
        self._levels: dict[str, set[Level]] = {name: set() for name in self.categorical}

    @property
    def categorical(self) -> list[str]:
        """Names of the columns that have levels: the only ones that need to be observed."""
        return [name for name, kind in self._kinds.items() if kind != "number"]

    def observe(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Add the levels that appear in some rows; missing values are reported when rows are encoded."""
        self._add({name: _unique(batch.column(name), self._kinds[name]) for name in self._levels})

    def merge(self, other: LevelScan) -> None:
        """Add the levels that another scan, of the same columns, has seen.

        Raises
        ------
        DataError
            The columns are others, or of another kind.
        """
        if self._kinds.keys() != other._kinds.keys():
            raise DataError(f"the columns are {', '.join(other._kinds)}; those before are {', '.join(self._kinds)}")
        for name, kind in self._kinds.items():
            if kind != other._kinds[name]:
                raise DataError(f"column {name!r} is {other._kinds[name]} here and {kind} before. Convert it to one.")
        self._add(other._levels)

    def _add(self, found: Mapping[str, Iterable[Level]]) -> None:
        for name, levels in self._levels.items():
            levels.update(found[name])
            if len(levels) > MAX_LEVELS:
                raise DataError(
                    f"Column {name!r} has more than {MAX_LEVELS:,} different values: it looks like free text "
                    "or an identifier. Drop it, or group its values first."
                )

    def columns(self, n_rows: int, row_of: Callable[[str, str], int] | None = None) -> tuple[Column, ...]:
        """Return the columns with their levels, sorted.

        Parameters
        ----------
        n_rows : int
            Of the table.
        row_of : callable, optional
            Returns the first row in which a column has a value.

        Raises
        ------
        DataError
            Every row of a longer table has its own level.

        Warns
        -----
        UserWarning
            The levels look like numbers, all or nearly all.
        """
        for name, levels in self._levels.items():
            found = numeric_text(levels) if name in self._text else None
            message = None if found is None else found.message(name, row_of)
            if len(levels) == n_rows > MIN_IDENTIFIER_ROWS:
                raise DataError(
                    message
                    or f"Column {name!r} has a different value in each of the {n_rows:,} rows: it looks like an "
                    "identifier, from which nothing can be learned. Drop it."
                )
            if message is not None:
                warnings.warn(f"{message} As it is, it becomes {len(levels):,} categories.", UserWarning, stacklevel=6)
        ordered = {name: tuple(sorted(levels)) for name, levels in self._levels.items()}
        return tuple(Column(name, kind, ordered.get(name, ())) for name, kind in self._kinds.items())


def _field_kind(field: pa.Field, categorical: frozenset[str]) -> str:
    """Return how a column is used; the levels of those that are categorical keep the type of the column."""
    kind = level_kind(field.type) if field.name in categorical else None
    return kind or column_kind(field.name, field.type)


def level_kind(dtype: pa.DataType) -> str | None:
    """Return the kind of the levels that values of this type are; None where they cannot be levels.

    Examples
    --------
    >>> import pyarrow as pa
    >>> level_kind(pa.int8()), level_kind(pa.timestamp("s"))
    ('integer', None)
    """
    import pyarrow.types as at

    if is_text(dtype):
        return "text"
    if at.is_boolean(dtype):
        return "boolean"
    if at.is_integer(dtype):
        return "integer"
    return "float" if at.is_floating(dtype) else None


def _unique(array: Any, kind: str) -> list[Level]:
    import pyarrow.types as at

    unique = array.unique()
    if at.is_dictionary(unique.type):
        unique = unique.cast(unique.type.value_type)
    if kind != "integer":  # whole numbers of any type are integers of Python
        unique = unique.cast(level_type(kind))
    values: list[Level] = unique.drop_null().to_pylist()
    return [value for value in values if value == value] if kind == "float" else values  # NaN is a missing value


def _advice(name: str, dtype: pa.DataType) -> str:
    import pyarrow.types as at

    if at.is_timestamp(dtype) or at.is_date(dtype):
        return (
            "Convert it to numbers that mean something to the model: parts such as hour, weekday or month "
            f"(as a category, if not monotonic), or a count of days since a fixed date; or drop {name!r}."
        )
    if at.is_duration(dtype) or at.is_time(dtype):
        return "Convert it to a number, such as seconds."
    if at.is_null(dtype):
        return "It holds nothing but missing values: drop it."
    if at.is_nested(dtype):
        return "Spread its parts over columns of their own, or drop it."
    if at.is_binary(dtype) or at.is_large_binary(dtype) or at.is_fixed_size_binary(dtype):
        return (
            "Decode it to text if it holds categories, or drop it. A CSV file with such a column is not UTF-8: give "
            "its encoding (--encoding latin-1, or ReadOptions(encoding='latin-1'))."
        )
    return "Convert it to numbers or text, or drop it."
