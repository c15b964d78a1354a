"""CSV files."""

from __future__ import annotations

import bz2
import gc
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat.data.files import csv
from offbeat.data.files.csv import csv_table
from offbeat.data.files.parquet import ParquetTable
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.tables.in_memory import MemoryTable
from offbeat.data.tables.table import column_values, count_missing, feature_columns, fit_encoder
from offbeat.errors import DataError

BIG = 1 << 30
CSV = "x,dest,n\n1.5,LAX,1\n2.5,SFO,2\n3.5,LAX,3\n"


def write(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("budget", [BIG, 1])
def test_csv(tmp_path: Path, budget: int) -> None:
    table = csv_table(write(tmp_path, CSV), budget)
    assert isinstance(table, MemoryTable if budget == BIG else ParquetTable)
    encoder = fit_encoder(table, ["x", "dest", "n"])
    assert encoder.feature_names == ["x", "dest=LAX", "dest=SFO", "n"]
    X = table.source(encoder, budget).read(0, 3)
    assert X.tolist() == [[1.5, 1, 0, 1], [2.5, 0, 1, 2], [3.5, 1, 0, 3]]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
@pytest.mark.parametrize("budget", [BIG, 1])
def test_compressed_csv(tmp_path: Path, suffix: str, pack, budget: int) -> None:  # type: ignore[no-untyped-def]
    table = csv_table(write(tmp_path, pack(CSV.encode()), f"a.csv{suffix}"), budget)
    assert column_values(table, "dest").tolist() == ["LAX", "SFO", "LAX"]


def test_large_csv_is_converted_once_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "STREAM_BLOCK_BYTES", 1000)
    rows = [f"{i},{'ab'[i % 2]}" for i in range(2000)]
    rows[1500] = "1500.5,a"  # decimals long after whole numbers
    table = csv_table(write(tmp_path, "\n".join(["x,c", *rows])), budget=100)
    assert isinstance(table, ParquetTable)
    folder = table.paths[0].parent
    source = table.source(fit_encoder(table, ["x", "c"]), 100)
    assert source.read(1499, 1501).tolist() == [[1499, 0, 1], [1500.5, 1, 0]]
    assert folder.exists()
    del table
    gc.collect()
    assert source.read(3, 4).tolist() == [[3, 0, 1]]
    del source
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize("budget", [BIG, 1])
def test_missing_values_in_csv(tmp_path: Path, budget: int) -> None:
    table = csv_table(write(tmp_path, "x,c,k\n1,u,1\n,NA,2\nNaN,,3\n"), budget)
    with pytest.raises(DataError, match=r"'x' \(2 rows\), 'c' \(2 rows\)"):
        fit_encoder(table, ["x", "c", "k"])


@pytest.mark.parametrize("budget", [BIG, 1])
@pytest.mark.parametrize(
    ("content", "message"),
    [("", "cannot be read as CSV"), ("a,b\n1,2\n3\n", "cannot be read as CSV.*Expected 2 columns, got 1"),
     ("1,2\n3,4\n", "no header: its first line is 1,2"), ("a,a\n1,2\n", "'a' appears more than once"),
     (b"a,b\n1,\xff\xfe\n", None)],
)  # fmt: skip
def test_bad_csv(tmp_path: Path, content: str | bytes, message: str | None, budget: int) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message if message is None else rf"a\.csv.*{message}"):
        table = csv_table(path, budget)
        fit_encoder(table, table.schema.names)


def test_type_that_changes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "STREAM_BLOCK_BYTES", 1000)
    path = write(tmp_path, "\n".join(["x,y", *["1,2"] * 1000, "oops,3"]))
    with pytest.raises(DataError, match=r"a\.csv.*oops"):
        csv_table(path, budget=100)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        csv_table(tmp_path / "none.csv", BIG)


@pytest.mark.parametrize("budget", [BIG, 1])
def test_a_column_without_a_name_is_no_feature(tmp_path: Path, budget: int) -> None:
    table = csv_table(write(tmp_path, "Unnamed: 0,,x,c\n5,0,1,u\n6,1,2,v\n"), budget)
    assert feature_columns(table, ["c"]) == ["x"]
    assert column_values(table, "").tolist() == [0, 1]


@pytest.mark.parametrize("budget", [BIG, 1])
def test_columns_of_text_are_as_they_are_written(tmp_path: Path, budget: int) -> None:
    levels = ["007", "1", "true", "2020-01-01", "NA", "1.50"]
    path = write(tmp_path, "c,x\n" + "".join(f"{level},1\n" for level in levels))
    table = csv_table(path, budget, ReadOptions(categorical=("c", "no such column"), na_values=()))
    assert column_values(table, "c").tolist() == levels
    for level in levels:  # none of them tells that the column is text
        table = csv_table(write(tmp_path, f"c,x\n{level},1\n"), budget, ReadOptions(categorical=("c",), na_values=()))
        assert column_values(table, "c").tolist() == [level]


@pytest.mark.parametrize("budget", [BIG, 1])
def test_missing_values_as_given(tmp_path: Path, budget: int) -> None:
    path = write(tmp_path, "c,x\nNA,1\nDE,-\nFR,3\n,4\n")
    table = csv_table(path, budget, ReadOptions(na_values=("-",)))
    assert count_missing(table, ["c", "x"]) == {"c": 1, "x": 1}
    assert count_missing(csv_table(path, budget, ReadOptions(na_values=("-", "NA"))), ["c"]) == {"c": 2}


GERMAN = "x;n\u00e4me;y\n1,5;caf\u00e9;1\n-0,25;t\u00e9;2\n"


@pytest.mark.parametrize("budget", [BIG, 1])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".GZ", gzip.compress), (".Bz2", bz2.compress)])
def test_other_separators_decimals_and_encodings(tmp_path: Path, budget: int, encoding: str, suffix: str, pack) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path, pack(GERMAN.encode(encoding)), f"a.csv{suffix}")
    table = csv_table(path, budget, ReadOptions(separator=";", decimal=",", encoding=encoding))
    assert column_values(table, "x").tolist() == [1.5, -0.25]
    assert column_values(table, "n\u00e4me").tolist() == ["caf\u00e9", "t\u00e9"]


@pytest.mark.parametrize("budget", [BIG, 1])
def test_tabs(tmp_path: Path, budget: int) -> None:
    assert column_values(csv_table(write(tmp_path, "a\tb\n1\t2\n", "a.tsv"), budget), "b").tolist() == [2]


@pytest.mark.parametrize("budget", [BIG, 1])
def test_a_separator_that_is_no_comma_is_named(tmp_path: Path, budget: int) -> None:
    for mark in (";", "\t", "|"):
        with pytest.raises(DataError, match=rf"--separator {re.escape(repr(mark))}"):
            csv_table(write(tmp_path, GERMAN.replace(";", mark)), budget)
    assert csv_table(write(tmp_path, "a;b\n1\n"), budget, ReadOptions(separator=",")).n_rows == 1


@pytest.mark.parametrize("budget", [BIG, 1])
@pytest.mark.parametrize("content", [GERMAN, GERMAN.replace("n\u00e4me", "name")])
def test_text_in_another_encoding(tmp_path: Path, budget: int, content: str) -> None:
    path = write(tmp_path, content.replace(",", ".").replace(";", ",").encode("latin-1"))
    with pytest.raises(DataError, match="latin-1"):
        table = csv_table(path, budget)
        fit_encoder(table, table.schema.names)


@pytest.mark.parametrize("budget", [BIG, 1])
def test_line_breaks_in_quotes(tmp_path: Path, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "STREAM_BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr(csv, "PARALLEL_BLOCK_BYTES", 1 << 16)
    n = 20_000
    text = ["plain", "two\nlines", "with, comma\n1,2,3\n4,5,6"]
    path = write(tmp_path, "i,c,z\n" + "".join(f'{i},"{text[i % 3]}",{i % 7}\n' for i in range(n)))
    table = csv_table(path, budget)
    assert table.n_rows == n
    np.testing.assert_array_equal(column_values(table, "i"), np.arange(n))
    np.testing.assert_array_equal(column_values(table, "z"), np.arange(n) % 7)
    assert column_values(table, "c")[:3].tolist() == text


@pytest.mark.parametrize("budget", [BIG, 1])
@pytest.mark.parametrize("n", [10, 30_000])
def test_a_quotation_mark_that_is_not_closed(
    tmp_path: Path, budget: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "STREAM_BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr(csv, "PARALLEL_BLOCK_BYTES", 1 << 16)
    path = write(tmp_path, 'x,c,y\n1,"a,2\n' + "1,b,2\n" * n)
    with pytest.raises(DataError, match=r"(?s)a\.csv .* \(is a quotation mark not closed\?\)") as caught:
        csv_table(path, budget)
    assert len(str(caught.value)) < 700


def test_a_late_word_names_its_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "STREAM_BLOCK_BYTES", 1000)
    path = write(tmp_path, "\n".join(["x,code", *["1,2"] * 1000, "1,A7"]))
    with pytest.raises(DataError, match=r"column 'code', .*--categorical 'code'.*A7"):
        csv_table(path, budget=100)
    table = csv_table(path, 100, ReadOptions(categorical=("code",)))
    assert fit_encoder(table, ["code"]).feature_names == ["code=2", "code=A7"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"separator": ";;"}, "separator is ';;'"), ({"decimal": ","}, "cannot both"),
     ({"encoding": "x"}, "'x' is not known"), ({"index_base": 2}, "start at 0 or 1, not at 2")],
)  # fmt: skip
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ReadOptions(**options)


def test_settings_of_read_options() -> None:
    read_options = ReadOptions(";", ",", "latin-1", ("-",), ("zip",), 0, 7)
    kept = json.loads(json.dumps(read_options.settings()))
    assert ReadOptions.from_settings({"target": "y", **kept}) == replace(read_options, n_columns=None)
    assert ReadOptions().settings() == {} and ReadOptions.from_settings({}) == ReadOptions()
    assert ReadOptions.from_settings(ReadOptions(na_values=()).settings()).na_values == ()
