"""Prediction from the command line: by name, checked against the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from support.command_line import FIT, N, make_table, refusal, run


def test_predict_probabilities_and_copied_columns(folder: Path) -> None:
    run(*FIT, "-o", "model")
    result = run("predict", "model/", "table.csv", "--out", "p.parquet", "--column", "id", "--column", "dest")
    assert result.stdout == f"{N:,} predictions: p.parquet\n"
    table = pa.parquet.read_table("p.parquet")
    assert table.column_names == ["id", "dest", "prediction", "probability_no", "probability_yes"]
    yes = np.asarray(table["probability_yes"])
    np.testing.assert_allclose(yes + np.asarray(table["probability_no"]), 1.0)
    assert [label == "yes" for label in table["prediction"].to_pylist()] == (yes > 0.5).tolist()
    assert table["id"].to_pylist() == list(range(N))
    assert run("predict", "model", "table.parquet", "-o", "p.csv").exit_code == 0
    np.testing.assert_allclose(np.asarray(pa.csv.read_csv("p.csv")["probability_yes"]), yes)


def test_offset_is_added_in_prediction(folder: Path) -> None:
    run("fit", "table.csv", "-t", "count", "--loss", "poisson", "--offset", "exposure", *FIT[6:], "-o", "m")
    shifted = make_table().set_column(8, "exposure", pa.array(np.asarray(make_table()["exposure"]) + np.log(2.0)))
    pa.parquet.write_table(shifted, "shifted.parquet")
    assert run("predict", "m", "table.parquet", "-o", "a.parquet").exit_code == 0
    assert run("predict", "m", "shifted.parquet", "-o", "b.parquet").exit_code == 0
    a, b = (np.asarray(pa.parquet.read_table(f"{name}.parquet")["prediction"]) for name in "ab")
    np.testing.assert_allclose(b, 2 * a)
    assert run("predict", "m", "table.csv", "-o", "c.parquet", "--column", "exposure").exit_code == 0
    copied = pa.parquet.read_table("c.parquet")
    np.testing.assert_allclose(np.asarray(copied["prediction"]), a)
    np.testing.assert_allclose(np.asarray(copied["exposure"]), np.asarray(make_table()["exposure"]))
    pa.parquet.write_table(make_table().drop_columns(["exposure"]), "without.parquet")
    assert "no column 'exposure', the offset of the model" in refusal("predict", "m", "without.parquet")


def test_predict_checks_the_columns(folder: Path) -> None:
    run(*FIT, "-o", "model")
    table = make_table()
    changes = {
        "missing": table.drop_columns(["wind"]),
        "type": table.set_column(1, "wind", pa.array(["windy"] * N)),
        "level": table.set_column(3, "dest", pa.array(["LAX"] * (N - 1) + ["HND"])),
        "null": table.set_column(1, "wind", pa.array([None] + [1.0] * (N - 1))),
        "other order": table.select(table.column_names[::-1]),
    }
    for name, changed in changes.items():
        pa.parquet.write_table(changed, f"{name}.parquet")
    assert "lacks the column 'wind'" in refusal("predict", "model", "missing.parquet")
    assert "'wind' held numbers when the model was fitted, and now holds text" in refusal(
        "predict", "model", "type.parquet"
    )
    assert "'HND'" in refusal("predict", "model", "level.parquet", "-o", "p.csv")
    assert "'wind' (1 rows)" in refusal("predict", "model", "null.parquet")
    assert not Path("p.csv").exists()
    assert run("predict", "model", "level.parquet", "--unknown", "ignore").exit_code == 0
    assert run("predict", "model", "other order.parquet").stdout == run("predict", "model", "table.parquet").stdout


def test_copied_columns_are_as_they_were_written(folder: Path) -> None:
    run(*FIT, "-o", "model")
    written = {"code": "00{:03d}", "n": "{}", "x": "{}.25", "t": "1.{}0", "day": "2020-01-{:02d}"}
    table = pa.csv.read_csv("table.csv").slice(0, 9)
    for name, form in written.items():
        table = table.append_column(name, pa.array([form.format(i) for i in range(1, 10)]))
    table.to_pandas().to_csv("few.csv", index=False)
    for budget in ([], ["--memory-budget", "1"]):
        columns = [part for name in (*written, "wind") for part in ("--column", name)]
        assert run("predict", "model", "few.csv", "-o", "p.parquet", *columns, *budget).exit_code == 0
        copied = pa.parquet.read_table("p.parquet")
        for name in ("code", "t"):
            assert copied[name].to_pylist() == table[name].to_pylist()
        assert copied["n"].to_pylist() == list(range(1, 10))
        assert copied["x"].to_pylist() == [i + 0.25 for i in range(1, 10)]
        assert copied["day"].type == pa.date32() and copied["wind"].type == pa.float64()


def test_columns_that_csv_cannot_hold(folder: Path) -> None:
    run(*FIT, "-o", "model")
    table = make_table()
    nested = {
        "list": pa.array([[1, 2]] * N),
        "struct": pa.array([{"a": 1}] * N),
        "map": pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64())),
        "span": pa.array([1] * N, pa.duration("s")),
    }
    for name, values in nested.items():
        table = table.append_column(name, values)
    pa.parquet.write_table(table, "nested.parquet")
    for name in nested:
        for out in ([], ["-o", "p.csv"]):
            if name != "span":
                assert f"--column: '{name}' has type" in refusal(
                    "predict", "model", "nested.parquet", "--column", name, *out
                )
            assert not Path("p.csv").exists()
        assert run("predict", "model", "nested.parquet", "--column", name, "-o", "p.parquet").exit_code == 0
        assert pa.parquet.read_table("p.parquet")[name].to_pylist() == table[name].to_pylist()


def test_copied_columns_of_several_types(folder: Path) -> None:
    run(*FIT, "-o", "model")
    table = make_table()
    Path("parts").mkdir()
    for i, (dtype, text) in enumerate(
        [(pa.int64(), pa.string()), (pa.float32(), pa.dictionary(pa.int8(), pa.string()))]
    ):
        part = table.slice(i * 100, 100)
        part = part.set_column(0, "id", part["id"].cast(dtype)).append_column("dest2", part["dest"].cast(text))
        pa.parquet.write_table(part, f"parts/{i}.parquet")
    copies = ["--column", "id", "--column", "dest2"]
    assert run("predict", "model", "parts", *copies, "-o", "p.csv").exit_code == 0
    copied = pa.csv.read_csv("p.csv")
    assert copied["id"].to_pylist() == list(range(200))
    assert copied["dest2"].to_pylist() == table["dest"][:200].to_pylist()


def test_bad_options_of_predict(folder: Path) -> None:
    run(*FIT, "-o", "model")
    assert "written as .parquet or .csv" in refusal("predict", "model", "table.csv", "-o", "p.xlsx")
    assert "There is no column 'ID'" in refusal("predict", "model", "table.csv", "--column", "ID")
    assert "--json describes a file" in refusal("predict", "model", "table.csv", "--json")
    pa.parquet.write_table(make_table().append_column("prediction", pa.array(np.zeros(N))), "taken.parquet")
    assert "has the name of a prediction" in refusal("predict", "model", "taken.parquet", "--column", "prediction")
    np.save("X.npy", np.zeros((4, 7)))
    assert "categories" in refusal("predict", "model", "X.npy")
    np.save("y.npy", np.arange(4.0))
    run("fit", "X.npy", "-t", "y.npy", "--loss", "squared", "-o", "matrix-model")
    np.save("narrow.npy", np.zeros((4, 6)))
    assert "has 6 columns; the model has 7 features" in refusal("predict", "matrix-model", "narrow.npy")
    assert "fitted to a matrix" in refusal("predict", "matrix-model", "table.csv")
