"""Columns of text that look like numbers: a warning, or an error that names the word and its row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from offbeat.data.load import as_dataset
from offbeat.data.tables.columns import LevelScan
from offbeat.data.tables.encoding import EncoderOptions
from offbeat.data.tables.in_memory import MemoryTable
from offbeat.data.tables.table import fit_encoder
from offbeat.errors import DataError


def table(values: list[str]) -> MemoryTable:
    return MemoryTable.from_arrow(pa.table({"x": values, "y": np.zeros(len(values))}))


def test_one_word_among_numbers_is_named_with_its_row() -> None:
    numbers = [f"{i / 7:.4f}" for i in range(800)]
    with pytest.raises(DataError, match=r"'x' is text because of 'n\.a\.' in row 321, and holds numbers otherwise"):
        fit_encoder(table([*numbers[:321], "n.a.", *numbers[321:]]), ["x"])
    with pytest.raises(DataError, match=r"'\?' in row 0 and 1 more"):
        fit_encoder(table(["?", *numbers, "unknown"]), ["x"])
    with pytest.raises(DataError, match="looks like an identifier"):
        fit_encoder(table([f"id{i}" for i in range(800)]), ["x"])


@pytest.mark.parametrize("form", ["{},257", "{}.2%", "{}\u00a0%", "${}", "{},5", "{}'000", "({})"])
def test_numbers_in_another_notation_are_not_silent(form: str) -> None:
    values = [form.format(i % 60) for i in range(300)]
    with pytest.warns(UserWarning, match=r"'x' is text, and looks like numbers written as .* becomes 60 categories"):
        encoder = fit_encoder(table(values), ["x"])
    assert len(encoder.feature_names) == 60


@pytest.mark.parametrize("dtype", [pa.string(), pa.large_string(), pa.string_view()])
def test_repeated_numbers_and_a_word_are_not_silent(dtype: pa.DataType) -> None:
    values = [str(i % 100) for i in range(400)]
    values[7] = "none"
    typed = MemoryTable.from_arrow(pa.table({"x": pa.array(values, dtype)}))
    with pytest.warns(UserWarning, match=r"because of 'none' in row 7, .* becomes 101 categories"):
        fit_encoder(typed, ["x"])


@pytest.mark.parametrize(
    "level",
    ["{:05d}", "10.0.0.{}", "v{}", "2020-01-{}", "{}:30", "{} High Street", "A{}"],
)
def test_categories_are_silent(level: str) -> None:
    values = [level.format(i % 50) for i in range(300)]
    assert len(fit_encoder(table(values), ["x"]).feature_names) == 50


def test_what_is_said_to_be_a_category_is_one() -> None:
    codes = ["none", *(str(i % 100) for i in range(400))]
    numbers = MemoryTable.from_arrow(pa.table({"x": np.arange(300) % 40, "y": np.zeros(300)}))
    options = EncoderOptions(categorical=("x",))
    assert len(fit_encoder(table(codes), ["x"], options).feature_names) == 101
    typed = MemoryTable.from_arrow(pa.table({"x": pa.array(codes).dictionary_encode()}))
    assert len(fit_encoder(typed, ["x"]).feature_names) == 101
    dataset = as_dataset(numbers, "y", encoder=options)
    assert dataset.feature_names == [f"x={i}" for i in range(40)] and dataset.encoder is not None
    row = as_dataset(pa.table({"x": [7]}), encoder=dataset.encoder).source.read(0, 1)
    assert row.indices[row.data != 0].tolist() == [7]  # type: ignore[union-attr]


def test_words_on_a_cluster_are_named_without_a_row() -> None:
    scan = LevelScan(pa.schema([("x", pa.string())]))
    scan.observe(pa.table({"x": [*(str(i) for i in range(200)), "none"]}))
    with pytest.raises(DataError, match="because of 'none', and"):
        scan.columns(201)


@pytest.mark.parametrize("values", [[True, False, True], [0.5, 1.5, 0.5], [3, 4, 3]])
def test_plain_values_of_a_category(values: list[float]) -> None:
    typed = MemoryTable.from_arrow(pa.table({"x": pa.array(values).dictionary_encode(), "y": [1, 2, 3]}))
    encoder = fit_encoder(typed, ["x"])
    plain = MemoryTable.from_arrow(pa.table({"x": values}))
    rows = [table.source(encoder, 1 << 20).read(0, 3) for table in (typed, plain)]
    np.testing.assert_array_equal(*rows)


def test_nan_is_no_level() -> None:
    values = pa.array([0.5, float("nan"), 1.5]).dictionary_encode()
    with pytest.raises(DataError, match=r"missing in 'x' \(1 rows\)"):
        as_dataset(pa.table({"x": values, "y": [1, 2, 3]}), "y")


def test_a_word_at_prediction_is_named() -> None:
    encoder = fit_encoder(MemoryTable.from_arrow(pa.table({"x": [1.0, 2.0]})), ["x"])
    with pytest.raises(DataError, match=r"held numbers .* such as 'two'"):
        as_dataset(pa.table({"x": ["1", "two"]}), encoder=encoder)
