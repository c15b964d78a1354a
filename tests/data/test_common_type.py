"""The type that holds the values of columns of several types."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from offbeat.data.tables.common_type import widest

FLOATS, WHOLE = [pa.float16(), pa.float32(), pa.float64()], [pa.int8(), pa.int64(), pa.uint8(), pa.uint32()]


@pytest.mark.parametrize("types", list(itertools.product([*FLOATS, *WHOLE], repeat=2)))
def test_numbers_lose_nothing(types: tuple[pa.DataType, pa.DataType]) -> None:
    common = widest(list(types))
    assert common == widest(list(types[::-1])) and common is not None
    numpy = [np.dtype(dtype.to_pandas_dtype()) for dtype in types]
    assert np.can_cast(np.promote_types(*numpy), common.to_pandas_dtype())
    if all(dtype in FLOATS for dtype in types):
        assert common == max(types, key=lambda dtype: dtype.bit_width)


def test_text_booleans_and_other_numbers() -> None:
    text, levels = pa.string(), pa.dictionary(pa.int8(), pa.string())
    assert widest([pa.uint64(), pa.int8()]) == pa.float64() and widest([pa.uint64(), pa.uint8()]) == pa.uint64()
    assert widest([pa.bool_(), pa.int8()]) == pa.int8() and widest([pa.bool_()]) == pa.bool_()
    assert widest([pa.decimal128(9, 2), pa.int8()]) == pa.float64()
    assert widest([pa.null(), pa.float32(), pa.null()]) == pa.float32() and widest([pa.null()]) == pa.null()
    assert widest([text, pa.large_string()]) == widest([levels, text]) == pa.large_string()
    assert widest([levels, pa.dictionary(pa.int16(), pa.large_string())]) == levels
    nested = pa.list_(pa.int8())
    for types in ([text, pa.int8()], [levels, pa.int8()], [pa.dictionary(pa.int8(), pa.int8()), pa.int8()],
                  [nested, pa.int8()], [nested, pa.list_(pa.int16())], [pa.timestamp("s"), pa.date32()],
                  [pa.dictionary(pa.int8(), pa.int8()), levels]):  # fmt: skip
        assert widest(types) is None
    assert widest([nested, nested]) == nested
