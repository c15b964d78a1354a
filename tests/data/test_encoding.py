"""From columns to features."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from offbeat.data.source import CSR
from offbeat.data.tables import columns
from offbeat.data.tables.columns import Column
from offbeat.data.tables.convert import MissingValuesError
from offbeat.data.tables.encoding import Encoder, EncoderOptions, index_dtype
from offbeat.errors import DataError, ModelFileError

FLIGHTS = {"distance": [2.5, 1.0, 1.5], "dest": ["SFO", "LAX", "SFO"], "night": [True, False, True]}


def toarray(block: Any, n_columns: int) -> np.ndarray:
    if not isinstance(block, CSR):
        return np.asarray(block)
    return sparse.csr_array((block.data, block.indices, block.indptr), shape=(block.n_rows, n_columns)).toarray()


def encoded(encoder: Encoder, table: pa.Table) -> np.ndarray:
    return toarray(encoder.transform(table), len(encoder.feature_names))


def test_numbers_are_kept_and_categories_become_columns() -> None:
    encoder = Encoder.fit(pa.table(FLIGHTS))
    assert encoder.feature_names == ["distance", "dest=LAX", "dest=SFO", "night"]
    assert encoder.transform(pa.table(FLIGHTS)).tolist() == [[2.5, 0, 1, 1], [1, 1, 0, 0], [1.5, 0, 1, 1]]
    assert encoder.dtype == "float64" and not encoder.sparse and not encoder.plain


@pytest.mark.parametrize("sparse_", [False, True])
def test_drop_first(sparse_: bool) -> None:
    encoder = Encoder.fit(pa.table(FLIGHTS), EncoderOptions(drop_first=True, sparse=sparse_))
    assert encoder.feature_names == ["distance", "dest=SFO", "night"]
    assert encoded(encoder, pa.table(FLIGHTS)).tolist() == [[2.5, 1, 1], [1, 0, 0], [1.5, 1, 1]]


@pytest.mark.parametrize("sparse_", [False, True])
def test_drop_first_of_a_single_level(sparse_: bool) -> None:
    table = pa.table({"a": ["x", "x"], "b": [1.0, 2.0]})
    encoder = Encoder.fit(table, EncoderOptions(drop_first=True, sparse=sparse_))
    assert encoder.feature_names == ["b"] and encoded(encoder, table).tolist() == [[1.0], [2.0]]
    with pytest.raises(DataError, match=r"0 feature\(s\)"):
        Encoder.fit(table.select(["a"]), EncoderOptions(drop_first=True))


NUMBERS = [
    pa.array([1, 0, 3], pa.int8()), pa.array([1, 0, 3], pa.uint64()), pa.array([1.0, 0.0, 3.0], pa.float32()),
    pa.array(np.array([1, 0, 3], np.float16)),
    pa.array([decimal.Decimal("1.00"), decimal.Decimal("0"), decimal.Decimal("3")]),
]  # fmt: skip


@pytest.mark.parametrize("array", NUMBERS, ids=lambda array: str(array.type))
def test_every_type_of_number(array: pa.Array) -> None:
    table = pa.table({"x": array})
    encoder = Encoder.fit(table)
    assert encoder.transform(table).tolist() == [[1.0], [0.0], [3.0]]
    assert encoder.dtype == ("float32" if array.type in (pa.float16(), pa.float32()) else "float64")


def test_float32_needs_all_numbers_short() -> None:
    short = pa.array([1.0, 2.0], pa.float32())
    assert Encoder.fit(pa.table({"a": short, "c": ["x", "y"], "b": [True, False]})).dtype == "float32"
    assert Encoder.fit(pa.table({"a": short, "b": [1, 2]})).dtype == "float64"
    assert Encoder.fit(pa.table({"a": short, "b": [decimal.Decimal(1), decimal.Decimal(2)]})).dtype == "float64"
    assert Encoder.fit(pa.table({"a": ["x", "y"]})).dtype == "float64"


TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
         pa.dictionary(pa.uint32(), pa.large_string())]  # fmt: skip


@pytest.mark.parametrize("fitted", TEXTS, ids=str)
@pytest.mark.parametrize("given", TEXTS, ids=str)
def test_every_type_of_text(fitted: pa.DataType, given: pa.DataType) -> None:
    first, second = (pa.table({"d": pa.array(["b", "a", "b"]).cast(kind)}) for kind in (fitted, given))
    encoder = Encoder.fit(first)
    assert encoder.columns == (Column("d", "text", ("a", "b")),)
    assert encoder.transform(second).tolist() == [[0, 1], [1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("values", "kind", "names"),
    [([10, 9, 10], "integer", ["c=9", "c=10"]), ([1.5, -2.0, 1.5], "float", ["c=-2.0", "c=1.5"]),
     ([True, False, True], "boolean", ["c=False", "c=True"])],
)  # fmt: skip
def test_categories_that_are_not_text(values: list[Any], kind: str, names: list[str]) -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1]), pa.array([values[1], values[0]]))
    table = pa.table({"c": array})
    encoder = Encoder.fit(table)
    assert encoder.columns[0].kind == kind and encoder.feature_names == names
    assert encoder.transform(table).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_whole_numbers_match_categories_of_whole_numbers() -> None:
    encoder = Encoder.fit(pa.table({"c": pa.array([3, 1]).dictionary_encode()}))
    assert encoder.transform(pa.table({"c": [1, 3]})).tolist() == [[1, 0], [0, 1]]


def test_only_levels_that_appear_get_features() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([2, 0, 2]), pa.array(["a", "unused", "c"]))
    assert Encoder.fit(pa.table({"c": array})).feature_names == ["c=a", "c=c"]


def test_chunks_with_different_dictionaries() -> None:
    chunks = [pa.array(["b", "a"]).dictionary_encode(), pa.array(["c", "b"]).dictionary_encode()]
    table = pa.table({"c": pa.chunked_array(chunks), "x": [1.0, 2.0, 3.0, 4.0]})
    encoder = Encoder.fit(table)
    assert encoder.transform(table)[:, :3].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_longer_than_a_tile(rng: np.random.Generator) -> None:
    codes, x = rng.integers(0, 40, 5000), rng.normal(size=5000)
    table = pa.table({"x": x, "c": [f"v{code:02d}" for code in codes]})
    expected = np.column_stack([x, np.eye(40)[codes]])
    for sparse_ in (False, True):
        encoder = Encoder.fit(table, EncoderOptions(sparse=sparse_))
        np.testing.assert_array_equal(encoded(encoder, table), expected)
        np.testing.assert_array_equal(encoded(encoder, table.to_batches()[0]), expected)


def test_sparse_when_it_pays() -> None:
    def make(levels: int, numbers: int) -> Encoder:
        table = {f"x{j}": np.zeros(levels) for j in range(numbers)}
        return Encoder.fit(pa.table({"c": [f"v{i}" for i in range(levels)], **table}))

    assert make(40, 3).sparse  # 4 of 43 entries a row
    assert not make(29, 1).sparse  # few columns
    assert not make(40, 20).sparse  # 21 of 60 entries a row


def test_sparse_rows_are_sorted_without_repeats(rng: np.random.Generator) -> None:
    table = pa.table({"a": ["p", "q", "p"], "x": [1.0, 2.0, 3.0], "b": ["u", "v", "w"]})
    block = Encoder.fit(table, EncoderOptions(sparse=True, drop_first=True)).transform(table)
    rows = block.indices.reshape(3, 3)
    assert (np.diff(rows, axis=1) > 0).all() and block.indptr.tolist() == [0, 3, 6, 9]
    assert block.indices.dtype == np.int32


def test_64_bit_offsets_beyond_2_to_the_31() -> None:
    assert index_dtype(2**31 - 1, 5) == np.int32
    assert index_dtype(2**31, 5) == np.int64
    assert index_dtype(5, 2**31) == np.int64


def test_columns_are_found_by_name() -> None:
    table = pa.table(FLIGHTS)
    encoder = Encoder.fit(table)
    shuffled = table.select(["night", "dest", "distance"]).append_column("extra", pa.array([dt.date(2020, 1, 1)] * 3))
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(table))


def test_columns_that_are_absent() -> None:
    encoder = Encoder.fit(pa.table(FLIGHTS))
    with pytest.raises(DataError, match=r"lacks the columns 'distance', 'night'.*fitted with. X has the column 'dest'"):
        encoder.transform(pa.table({"dest": ["LAX"]}))


def test_type_that_changed() -> None:
    encoder = Encoder.fit(pa.table(FLIGHTS))
    with pytest.raises(DataError, match="'distance' held numbers when the model was fitted, and now holds text"):
        encoder.transform(pa.table({**FLIGHTS, "distance": ["2.5", "1", "1"]}))
    with pytest.raises(DataError, match="'dest' held text when the model was fitted, and now holds numbers"):
        encoder.transform(pa.table({**FLIGHTS, "dest": [1, 2, 3]}))
    with pytest.raises(DataError, match=r"'dest' held text.*now holds categories of whole numbers"):
        encoder.transform(pa.table({**FLIGHTS, "dest": pa.array([1, 2, 1]).dictionary_encode()}))


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_unknown_level(kind: pa.DataType) -> None:
    encoder = Encoder.fit(pa.table(FLIGHTS))
    new = pa.table({**FLIGHTS, "dest": pa.array(["JFK", "LAX", "JFK"]).cast(kind)})
    with pytest.raises(DataError, match=r"'dest' has a level.*'JFK' \(2 rows\).*unknown=\"ignore\""):
        encoder.transform(new)
    assert replace(encoder, unknown="ignore").transform(new)[:, 1:3].tolist() == [[0, 0], [1, 0], [0, 0]]
    loose = Encoder.fit(pa.table(FLIGHTS), EncoderOptions(unknown="ignore", sparse=True))
    assert encoded(loose, new)[:, 1:3].tolist() == [[0, 0], [1, 0], [0, 0]]


def test_many_unknown_levels_are_cut_short() -> None:
    encoder = Encoder.fit(pa.table({"c": ["a", "b"]}))
    with pytest.raises(DataError, match=r"8 levels that were not.*, \.\.\. \(8 rows\)"):
        encoder.transform(pa.table({"c": [f"new{i}" for i in range(8)]}))


def test_levels_not_used_in_the_new_dictionary_are_no_error() -> None:
    encoder = Encoder.fit(pa.table({"c": ["a", "b"]}))
    array = pa.DictionaryArray.from_arrays(pa.array([1, 1]), pa.array(["new", "b"]))
    assert encoder.transform(pa.table({"c": array})).tolist() == [[0, 1], [0, 1]]


def test_missing_values_name_all_columns() -> None:
    table = pa.table({"ok": [1.0, 2, 3], "x": [1.0, None, float("nan")], "i": [None, 1, 2], "b": [True, None, None],
                      "s": [None, "u", "v"], "d": pa.array(["p", None, None]).dictionary_encode()})  # fmt: skip
    with pytest.raises(MissingValuesError, match="Input X contains NaN") as caught:
        Encoder.fit(table.slice(0, 0).cast(table.schema)).transform(table)
    assert caught.value.counts == {"x": 2, "i": 1, "b": 2, "s": 1, "d": 2}
    assert "'x' (2 rows), 'i' (1 rows)" in str(caught.value) and "'ok'" not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).counts == caught.value.counts


def test_null_inside_a_dictionary_is_missing() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1]), pa.array(["a", None]))
    with pytest.raises(MissingValuesError) as caught:
        Encoder((Column("c", "text", ("a",)),)).transform(pa.table({"c": array}))
    assert caught.value.counts == {"c": 2}


def test_column_that_became_all_null() -> None:
    encoder = Encoder.fit(pa.table(FLIGHTS))
    with pytest.raises(MissingValuesError, match=r"'distance' \(3 rows\)"):
        encoder.transform(pa.table({**FLIGHTS, "distance": pa.nulls(3)}))
    with pytest.raises(MissingValuesError, match=r"'dest' \(3 rows\)"):
        encoder.transform(pa.table({**FLIGHTS, "dest": pa.nulls(3)}))


def test_infinity_passes() -> None:
    table = pa.table({"x": [np.inf, -np.inf], "z": [1e308, 1e308]})
    assert Encoder.fit(table).transform(table).tolist() == [[np.inf, 1e308], [-np.inf, 1e308]]


USELESS = [
    (pa.array([dt.datetime(2020, 1, 1)]), "timestamp.*count of days"),
    (pa.array([dt.date(2020, 1, 1)]), "date32.*hour"),
    (pa.array([dt.timedelta(1)]), "seconds"), (pa.array([dt.time(1)]), "seconds"),
    (pa.array([[1, 2]]), "list.*Spread"), (pa.array([{"a": 1}]), "struct.*Spread"),
    (pa.array([b"a"]), "Decode"), (pa.nulls(1), "nothing but missing"),
    (pa.array([dt.date(2020, 1, 1)]).dictionary_encode(), "categories of type date32.*text"),
]  # fmt: skip


@pytest.mark.parametrize(("array", "advice"), USELESS)
def test_types_that_cannot_be_used(array: pa.Array, advice: str) -> None:
    with pytest.raises(DataError, match=f"(?s)Column 'when'.*{advice}"):
        Encoder.fit(pa.table({"x": [1.0], "when": array}))


def test_too_many_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_LEVELS", 50)
    values = [str(i) for i in range(51)] * 2
    with pytest.raises(DataError, match=r"'id' has more than 50 different values.*Drop it"):
        Encoder.fit(pa.table({"id": values}))
    assert len(Encoder.fit(pa.table({"id": values[1:51] * 2})).feature_names) == 50


def test_a_level_for_each_row() -> None:
    with pytest.raises(DataError, match=r"'id' has a different value in each of the 101 rows.*Drop it"):
        Encoder.fit(pa.table({"id": [str(i) for i in range(101)]}))
    assert len(Encoder.fit(pa.table({"id": [str(i) for i in range(20)]})).feature_names) == 20


def test_names_must_differ() -> None:
    with pytest.raises(DataError, match="feature name 'a=b' appears more than once"):
        Encoder.fit(pa.table({"a": ["b", "c"], "a=b": [1, 2]}))
    with pytest.raises(DataError, match="column name 'x' appears more than once"):
        Encoder.fit(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"]))


def test_no_columns() -> None:
    with pytest.raises(DataError, match=r"0 feature\(s\)"):
        Encoder.fit(pa.table({}))


def test_unknown_must_be_known() -> None:
    with pytest.raises(DataError, match="unknown='shrug'"):
        Encoder((Column("x"),), unknown="shrug")  # type: ignore[arg-type]


def test_json_round_trip_is_exact() -> None:
    table = pa.table({
        "x": [0.5, 1.5], "s": ["é\n\"", "\u2028"], "i": pa.array([2**60, -1]).dictionary_encode(),
        "f": pa.array([0.1, 1e-300]).dictionary_encode(), "b": pa.array([True, False]).dictionary_encode(),
    })  # fmt: skip
    encoder = Encoder.fit(table, EncoderOptions(drop_first=True, unknown="ignore"))
    copy = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert copy == encoder and copy.feature_names == encoder.feature_names
    np.testing.assert_array_equal(encoded(copy, table), encoded(encoder, table))
    assert pickle.loads(pickle.dumps(encoder)) == encoder


@pytest.mark.parametrize(
    "change",
    [lambda d: d.pop("dtype"), lambda d: d.update(dtype="flat"), lambda d: d.update(unknown="x"),
     lambda d: d.update(columns=3), lambda d: d["columns"][0].pop("name"),
     lambda d: d["columns"][1].update(levels=[1]), lambda d: d["columns"][1].update(kind="odd")],
)  # fmt: skip
def test_damaged_description(change) -> None:  # type: ignore[no-untyped-def]
    stored = Encoder.fit(pa.table(FLIGHTS)).to_dict()
    change(stored)
    with pytest.raises(ModelFileError, match="damaged"):
        Encoder.from_dict(stored)


def test_no_rows() -> None:
    table = pa.table(FLIGHTS)
    encoder = Encoder.fit(table)
    assert encoder.transform(table.slice(0, 0)).shape == (0, 4)
    assert replace(encoder, sparse=True).transform(table.slice(0, 0)).n_rows == 0
