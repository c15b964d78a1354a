"""Targets, weights and offsets."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from offbeat.data.arrays.vectors import number_vector, offset_vector, raw_vector, target_vector, weight_vector
from offbeat.errors import DataError, TargetError

GOOD = [
    [1, 0, 2], (1.0, 0.0, 2.0), np.array([1, 0, 2], np.int8), np.array([1, 0, 2], ">f4"), np.array([[1], [0], [2]]),
    np.array([1, 0, 2], object), np.array([Decimal(1), 0, 2.0], object), np.arange(6)[::2] % 4 * [1, 1, 1],
    pd.Series([1, 0, 2], index=[9, 9, 9]), pd.Series([1, 0, 2], dtype="Int64"), pd.DataFrame({"y": [1, 0, 2]}),
    pl.Series([1, 0, 2]), pl.DataFrame({"y": [1, 0, 2]}), pa.array([1, 0, 2]), pa.chunked_array([[1, 0], [2]]),
    pd.Series(pd.Categorical([1, 0, 2])), pa.array([1, 0, 2]).dictionary_encode(),
]  # fmt: skip


@pytest.mark.parametrize("y", GOOD, ids=lambda y: type(y).__module__ + "." + type(y).__name__)
def test_numbers_of_every_kind(y: object) -> None:
    values = target_vector(y, 3)
    assert values.dtype == np.float64 and values.flags.c_contiguous and values.ndim == 1
    assert values.tolist() == ([1, 0, 2] if not isinstance(y, np.ndarray) or y[1] != 2 else [0, 2, 0])


def test_right_ones_are_not_copied() -> None:
    y = np.ones(5)
    assert target_vector(y, 5) is y or np.shares_memory(target_vector(y, 5), y)
    y.flags.writeable = False
    assert np.shares_memory(weight_vector(y, 5), y)


def test_booleans() -> None:
    assert target_vector([True, False], 2).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("y", "message"),
    [([1, 2], "X has 3 rows, y has 2"), ([[1, 2], [3, 4], [5, 6]], r"shape \(3, 2\)"), (5, "1d array"),
     ([1j, 2, 3], "Complex data not supported"), (["a", "b", "c"], "holds text \\('a' in row 0\\)"),
     (np.array([1, None, "x"], object), "text"), ([[1], [2, 3], [4]], "not one value a row"),
     (np.array([1, {}, 3], object), "not numbers"), (np.array(["2020"] * 3, "M8[D]"), "dates"),
     ([dt.timedelta(1)] * 3, "not numbers"), (sparse.csr_array([[1], [0], [2]]), "sparse"),
     (pl.Series(["a", "b", "c"]), "text"), ([1, np.nan, np.nan], "contains NaN: 2 rows, the first is row 1"),
     ([1, 2, -np.inf], r"contains infinity or a value too large for dtype\('float64'\): 1 rows, the first is row 2"),
     ([np.inf, -np.inf, 1], "infinity.*2 rows, the first is row 0"), (np.array([1, None, 2.0], object), "NaN"),
     (pd.Series([1, None, None], dtype="Int64"), "contains NaN: 2 rows"), (pa.array([1, None, 2]), "NaN")],
)  # fmt: skip
def test_what_cannot_be_a_target(y: object, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        target_vector(y, 3)


def test_large_values_are_no_infinity() -> None:
    assert target_vector([1e308] * 4, 4).tolist() == [1e308] * 4


def test_weights() -> None:
    assert weight_vector(None, 3).size == 0
    assert weight_vector([0, 1, 2], 3).tolist() == [0, 1, 2]
    assert weight_vector(2.5, 3).tolist() == [2.5] * 3


@pytest.mark.parametrize(
    ("weight", "message"),
    [([1, -2, -3], "sample_weight has 2 negative values; the first is -2 in row 1"), ([0, 0, 0], "zero in every row"),
     ([1, np.nan, 1], "Input sample_weight contains NaN"), ([1, np.inf, 1], "infinity"),
     ([1, 2], "sample_weight has 2"),
     (0, "zero in every row"), (-1.0, "negative"), (["a"] * 3, "text")],
)  # fmt: skip
def test_bad_weights(weight: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        weight_vector(weight, 3)


def test_offsets() -> None:
    assert offset_vector(None, 2).size == 0 and offset_vector([-1, 2], 2).tolist() == [-1, 2]
    with pytest.raises(DataError, match="offset contains NaN"):
        offset_vector([np.nan, 1], 2)


def test_raw_labels_are_kept() -> None:
    for labels in (pd.Series(pd.Categorical(["u", "v"])), pl.Series(["u", "v"]), pa.array(["u", "v"]), ["u", "v"],
                   pa.array(["u", "v"]).dictionary_encode(), pd.Series(["u", "v"])):  # fmt: skip
        assert raw_vector(labels, "y", TargetError).tolist() == ["u", "v"]
    assert raw_vector([[True], [False]], "y", TargetError).dtype == bool


def test_wrong_length_names_both() -> None:
    with pytest.raises(DataError, match=r"X has 1,000 rows, offset has 3"):
        number_vector([1, 2, 3], "offset", 1000)


def test_masked_values_are_refused() -> None:
    masked = np.ma.masked_greater(np.array([1.0, 0.0, 2.0]), 1.0)
    with pytest.raises(TargetError, match="y is a masked array with 1 masked values"):
        target_vector(masked, 3)
    with pytest.raises(DataError, match="sample_weight is a masked array with 1 masked values"):
        weight_vector(masked, 3)
    assert target_vector(masked[:2], 2).tolist() == [1.0, 0.0]
