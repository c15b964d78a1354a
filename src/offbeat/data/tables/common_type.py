"""The type that holds the values of a column whose type differs from file to file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def widest(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """Return the type that holds the values of columns of all these types; None where there is none.

    Columns without any value (type null) go with every type. Whole numbers stay whole; beside float32 they become
    float64, so that they lose nothing.

    Parameters
    ----------
    types : sequence of pyarrow.DataType
        At least one.

    Examples
    --------
    >>> import pyarrow as pa
    >>> widest([pa.float32(), pa.float64()]), widest([pa.float32(), pa.int8()]), widest([pa.string(), pa.int8()])
    (DataType(double), DataType(double), None)
    """
    import pyarrow as pa
    import pyarrow.types as at

    several = list(dict.fromkeys(dtype for dtype in types if not at.is_null(dtype))) or [pa.null()]
    if len(several) == 1:
        return several[0]
    plain = [dtype for dtype in several if not at.is_dictionary(dtype)]
    if all(_text(plain_type(dtype)) for dtype in several):
        return pa.large_string() if plain else several[0]
    if len(plain) < len(several):
        return None if plain else _dictionary(several)
    return _number(several)


def plain_type(dtype: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, be they encoded as a dictionary or not.

    Examples
    --------
    >>> import pyarrow as pa
    >>> plain_type(pa.dictionary(pa.int8(), pa.string()))
    DataType(string)
    """
    import pyarrow.types as at

    return dtype.value_type if at.is_dictionary(dtype) else dtype


def _text(dtype: pa.DataType) -> bool:
    from offbeat.data.tables.columns import is_text

    return is_text(dtype)


def _dictionary(types: list[pa.DataType]) -> pa.DataType | None:
    """Return a type of categories; None where levels of one are of another kind than those of the rest."""
    from offbeat.data.tables.columns import level_kind

    kinds = {level_kind(dtype.value_type) for dtype in types}
    return types[0] if len(kinds) == 1 and None not in kinds else None


def _number(types: list[pa.DataType]) -> pa.DataType | None:
    import pyarrow as pa
    import pyarrow.types as at

    if not all(
        at.is_boolean(dtype) or at.is_integer(dtype) or at.is_floating(dtype) or at.is_decimal(dtype) for dtype in types
    ):
        return None
    numbers = [dtype for dtype in types if not at.is_boolean(dtype)]
    if len(numbers) == 1:
        return numbers[0]
    if all(at.is_integer(dtype) for dtype in numbers):
        unsigned = pa.uint64() in numbers
        signed = any(at.is_signed_integer(dtype) for dtype in numbers)
        return pa.int64() if not unsigned else pa.float64() if signed else pa.uint64()
    return pa.float32() if all(dtype in (pa.float16(), pa.float32()) for dtype in numbers) else pa.float64()
