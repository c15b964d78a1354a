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
