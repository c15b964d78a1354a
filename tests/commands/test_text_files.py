"""Text files from the command line: what fit is told about them, predict knows from the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from offbeat.cli import app
from support.command_line import answer, refusal, run

LEVELS = ["007", "1", "true", "2020-01-01", "NA"]
FIT = ["--loss", "squared", "--alpha", "1e-9", "--quiet", "-o", "model"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, code = rng.normal(size=n), np.arange(n) % 5
    return pd.DataFrame({"x": x, "c": np.array(LEVELS)[code], "y": x + code})


def predictions(text: str) -> list[float]:
    return [float(line) for line in text.splitlines()[1:]]


def test_categories_that_look_like_something_else(here: Path) -> None:
    rows().to_csv("a.csv", index=False)
    assert "'c' (40 rows)" in refusal("fit", "a.csv", "-t", "y", *FIT)  # NA is missing, unless one says so
    fit = answer("fit", "a.csv", "-t", "y", *FIT, "--categorical", "c", "--na-values", "")
    assert fit["settings"]["categorical"] == ["c"] and fit["settings"]["na_values"] == []
    for i, level in enumerate(LEVELS):
        Path("b.csv").write_text(f"c,x\n{level},0.5\n")
        np.testing.assert_allclose(predictions(run("predict", "model", "b.csv").stdout), [i + 0.5], atol=1e-5)
    assert "--categorical: a.csv has no column 'd'" in refusal("fit", "a.csv", "-t", "y", *FIT, "--categorical", "d")


def test_numbers_that_are_categories_in_any_table(here: Path) -> None:
    month = np.arange(60) % 3
    pa.parquet.write_table(pa.table({"month": month, "y": [5.0, 1.0, 3.0] * 20}), "a.parquet")
    fit = answer("fit", "a.parquet", "-t", "y", *FIT, "--categorical", "month")
    assert fit["data"]["columns"] == 3 and fit["settings"]["categorical"] == ["month"]
    Path("b.csv").write_text("month\n2\n0\n")
    np.testing.assert_allclose(predictions(run("predict", "model", "b.csv").stdout), [3, 5], atol=1e-5)


@pytest.mark.parametrize("name", ["a.csv", "-"])
def test_semicolons_decimal_commas_and_latin_1(here: Path, name: str) -> None:
    table = rows().rename(columns={"x": "gr\u00f6\u00dfe"})
    table["c"] = "caf\u00e9" + table["c"].str[:1]
    table.to_csv("a.csv", index=False, sep=";", decimal=",", encoding="latin-1")
    piped = Path("a.csv").read_bytes() if name == "-" else None
    called = "standard input" if name == "-" else "a.csv"
    fit, options = ["fit", name, "-t", "y", *FIT], ["--separator", ";", "--decimal", ",", "--encoding", "latin-1"]
    result = CliRunner().invoke(app, [*fit, *options], input=piped)
    assert result.exit_code == 0, result.stderr
    result = CliRunner().invoke(app, ["predict", "model", name], input=piped)
    near = np.array(predictions(result.stdout))
    group = table["c"].map(table.groupby("c")["y"].mean() - table.groupby("c")["gr\u00f6\u00dfe"].mean())
    assert result.exit_code == 0 and np.abs(near - (table["gr\u00f6\u00dfe"] + group)).max() < 0.5
    result = CliRunner().invoke(app, [*fit, *options[:4]], input=piped)
    assert f"error: {called} is not text" in result.stderr and "(--encoding latin-1" in result.stderr
    result = CliRunner().invoke(app, [*fit, *options[4:]], input=piped)
    assert f"error: {called}: the first line has semicolons" in result.stderr and "--separator ';'" in result.stderr


def test_an_empty_pipe(here: Path) -> None:
    assert "standard input is empty" in refusal("fit", "-", "-t", "y", *FIT)


def test_libsvm_index_base(here: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)).round(3) + 5.0
    lines = [f"{row @ [1, 2, 3]:.6f} " + " ".join(f"{j + 1}:{v:.3f}" for j, v in enumerate(row)) for row in X]
    Path("a.svm").write_text("\ufeff" + "\n".join(lines))
    assert answer("fit", "a.svm", *FIT)["settings"]["index_base"] == 1
    Path("b.svm").write_text("0 1:1\n0\n0 3:1\n")
    first = predictions(run("predict", "model", "b.svm").stdout)
    np.testing.assert_allclose(np.diff(first), [-1, 3], atol=1e-2)
    Path("c.svm").write_text("0 0:1\n")
    assert "has the index 0" in refusal("predict", "model", "c.svm")
    Path("c.svm").write_text("0 4:1\n")
    assert "has 4 columns; the model has 3 features" in refusal("predict", "model", "c.svm")
    fit = answer("fit", "a.svm", *FIT, "--index-base", "0")
    assert fit["settings"]["index_base"] == 0 and fit["data"]["columns"] == 4
    assert "start at 0 or 1, not at 2" in refusal("fit", "a.svm", *FIT, "--index-base", "2")
    assert "--categorical needs names" in refusal("fit", "a.svm", *FIT, "--categorical", "x")


def test_a_folder_that_is_partitioned(here: Path) -> None:
    Path("flights/year=2013").mkdir(parents=True)
    rows().to_parquet("flights/year=2013/a.parquet")
    message = refusal("fit", "flights", "-t", "y", *FIT)
    assert "Write the table again with that column in its files, or read one such folder by itself" in message
    assert run("fit", "flights/year=2013", "-t", "y", *FIT).exit_code == 0


def test_what_is_left_out_or_doubtful_is_noted(here: Path) -> None:
    table = rows().assign(price=[f"{1 + i % 9},{100 + i % 45}" for i in range(200)]).drop(columns="c")
    table.to_csv("a.csv")
    result = run("fit", "a.csv", "-t", "y", *FIT)
    assert result.exit_code == 0
    assert "the column without a name: the index" in result.stderr
    assert "'price' is text, and looks like numbers written as '1,1" in result.stderr
    table.drop(columns="price").set_axis(pd.Index(list(range(200, 0, -1)), name="id")).to_parquet("a.parquet")
    result = run("fit", "a.parquet", "-t", "y", *FIT)
    assert "'id': the index of the pandas table" in result.stderr and result.exit_code == 0
    assert run("fit", "a.parquet", "-t", "y", "--drop", "id", *FIT).stderr == ""
    assert run("predict", "model", "a.parquet", "--column", "id").stdout.splitlines()[1].startswith("200,")
