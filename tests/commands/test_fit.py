"""Fitting from the command line: the right model, on every kind of file, and all there is to say about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from sklearn.datasets import dump_svmlight_file
from sklearn.linear_model import LogisticRegression

from offbeat.commands import terminal
from offbeat.models.file import load_model
from support.command_line import FIT, N, answer, make_table, refusal, run


def test_fit_says_everything_and_is_right(folder: Path) -> None:
    found = answer(*FIT, "--alpha", "0.01", "--tol", "1e-10", "--no-standardize", "--out", "model")
    assert found["certified"] is True
    assert found["status"] == "converged"
    assert found["certificate"]["relative_gap"] <= 1e-10
    assert found["data"]["rows"] == N
    assert found["data"]["target"] == "late"
    assert found["settings"]["alpha"] == 0.01
    assert found["files"] == {"model": "model"}
    model = load_model("model")
    assert model.classes == ("no", "yes")
    assert model.names == ["wind", "visibility", "dest=JFK", "dest=LAX", "dest=SFO"]
    table = make_table()
    levels = [np.asarray(table["dest"]) == level for level in ("JFK", "LAX", "SFO")]
    X = np.column_stack([table["wind"], table["visibility"], *levels])
    peer = LogisticRegression(C=1 / (0.01 * N), tol=1e-10, max_iter=1000).fit(X, np.asarray(table["late"]))
    np.testing.assert_allclose(model.coef, peer.coef_[0], atol=1e-4)


def test_fit_prints_certificate_metrics_and_effects(folder: Path) -> None:
    result = run(*FIT, "--test-fraction", "0.25", "--report", "out/report.html")
    assert result.exit_code == 0
    for text in ("450 rows x 5 columns", "150 more held out", "certified: relative gap", "primal", "dual", "log-loss",
                 "AUC", "log-odds of late=yes", "visibility", "dest=LAX", "out/report.html"):  # fmt: skip
        assert text in result.stdout, text
    assert "certified" in Path("out/report.html").read_text(encoding="utf-8").lower()
    assert run(*FIT).stderr == "The model was not saved: give --out to keep it.\n"


@pytest.mark.parametrize(
    ("target", "options", "scores"),
    [
        ("cost", ["--loss", "squared", "--penalty", "l1", "--alpha", "0.01"], {"RMSE", "mean absolute error", "R2"}),
        ("cost", ["--loss", "huber", "--delta", "0.5"], {"RMSE", "mean absolute error", "R2"}),
        ("cost", ["--loss", "gamma"], {"mean deviance", "explained deviance"}),
        ("count", ["--loss", "poisson", "--offset", "exposure"], {"mean deviance", "explained deviance"}),
        ("cost", ["--loss", "squared", "--penalty", "nonnegative"], {"RMSE", "mean absolute error", "R2"}),
        (
            "cost",
            ["--loss", "squared", "--penalty", "none", "--weight", "weight"],
            {"RMSE", "mean absolute error", "R2"},
        ),
        ("late", ["--loss", "squared-hinge"], {"AUC", "accuracy"}),
        ("late", ["--loss", "hinge"], {"AUC", "accuracy"}),
        ("cost", ["--loss", "epsilon-insensitive", "--epsilon", "0.2"], {"RMSE", "mean absolute error", "R2"}),
        ("cost", ["--loss", "squared-epsilon-insensitive"], {"RMSE", "mean absolute error", "R2"}),
        ("band", ["--loss", "multinomial", "--alpha", "0.01"], {"log-loss", "accuracy"}),
        (
            "late",
            ["--loss", "logistic", "--penalty", "elastic-net", "--l1-ratio", "0.3"],
            {"log-loss", "AUC", "accuracy"},
        ),
    ],
)
def test_losses_and_penalties(target: str, options: list[str], scores: set[str], folder: Path) -> None:
    used = {target, *options}
    drop = [part for name in make_table().column_names[4:] if name not in used for part in ("--drop", name)]
    found = answer(
        "fit", "table.csv", "-t", target, *options, *drop, "--drop", "id", "--test-fraction", "0.2", "-o", "model"
    )
    assert found["certified"]
    assert set(found["metrics"]) == scores
    assert found["data"]["held-out rows"] == N // 5
    assert {effect["name"].split("=")[0].split(" ")[0] for effect in found["effects"]} == {"wind", "visibility", "dest"}
    assert answer("predict", "model", "table.parquet", "-o", "p.parquet")["rows"] == N
    assert np.isfinite(np.asarray(pa.parquet.read_table("p.parquet").column(-1)).astype(float)).all()


def test_csv_and_parquet_give_the_same_model(folder: Path) -> None:
    for kind in ("parquet", "csv"):
        assert run(FIT[0], f"table.{kind}", *FIT[2:], "-o", kind).exit_code == 0
    np.testing.assert_allclose(load_model("csv").coef, load_model("parquet").coef, rtol=1e-12)


def test_a_folder_of_parquet_files(folder: Path) -> None:
    Path("parts").mkdir()
    pa.parquet.write_table(make_table()[:200], "parts/a.parquet")
    pa.parquet.write_table(make_table()[200:], "parts/b.parquet")
    assert answer(FIT[0], "parts", *FIT[2:])["data"]["rows"] == N


def test_streaming_gives_the_same_model_and_metrics(folder: Path) -> None:
    """A small budget streams the rows, and holds rows out by weights of zero instead of copying the others."""
    held = ["--test-fraction", "0.3", "--tol", "1e-12"]
    whole = answer(*FIT, *held)
    streamed = answer(*FIT, *held, "--memory-budget", "5kB")
    assert (whole["data"]["in memory"], streamed["data"]["in memory"]) == (True, False)
    assert whole["certificate"]["primal"] == pytest.approx(streamed["certificate"]["primal"], abs=1e-10)
    assert whole["metrics"] == pytest.approx(streamed["metrics"], abs=1e-5)
    assert whole["data"]["rows"] == streamed["data"]["rows"] == 420


def test_matrix_with_targets_and_weights_in_files(folder: Path) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 3))
    np.save("X.npy", X)
    np.save("y.npy", X @ [1.0, 2.0, 0.0] + 0.5)
    np.save("w.npy", rng.random(200))
    found = answer(
        "fit",
        "X.npy",
        "-t",
        "y.npy",
        "--weight",
        "w.npy",
        "--loss",
        "squared",
        "--alpha",
        1e-9,
        "--tol",
        1e-12,
        "-o",
        "m",
    )
    assert found["data"]["weighted"] is True
    np.testing.assert_allclose(load_model("m").coef, [1.0, 2.0, 0.0], atol=1e-4)
    result = run("predict", "m", "X.npy")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == '"prediction"'
    np.testing.assert_allclose([float(line) for line in lines[1:]], X @ [1.0, 2.0, 0.0] + 0.5, atol=1e-4)


def test_libsvm_files_bring_their_labels(folder: Path) -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(200, 6)) * (rng.random((200, 6)) < 0.5)
    dump_svmlight_file(X, np.where(X[:, 0] + rng.normal(size=200) > 0, 1, -1), "rows.svm", zero_based=False)
    dump_svmlight_file(X[:5, :3], np.ones(5), "new.svm", zero_based=False)  # the last columns do not occur
    found = answer("fit", "rows.svm", "--loss", "logistic", "--penalty", "l1", "--alpha", 1e-3, "-o", "m")
    assert found["certified"]
    assert load_model("m").classes == (-1, 1)
    result = run("predict", "m", "new.svm")
    assert result.stdout.splitlines()[0] == '"prediction","probability_-1","probability_1"'
    assert len(result.stdout.splitlines()) == 6


def test_stopping_early_keeps_the_model_and_says_so(folder: Path) -> None:
    result = run(*FIT, "--solver", "lbfgs", "--max-iter", "2", "-o", "model")
    assert result.exit_code == terminal.NOT_CERTIFIED == 3
    assert "not certified" in result.stdout
    assert "raise --max-iter" in result.stdout
    assert not load_model("model").certificate.satisfied
    found = answer(*FIT, "--solver", "lbfgs", "--max-iter", "2", code=3)
    assert (found["status"], found["certified"]) == ("max_iter", False)


def test_no_dual_is_null_in_json(folder: Path) -> None:
    found = answer(*FIT, "--penalty", "none")
    assert found["certificate"]["kind"] == "gradient"
    assert found["certificate"]["dual"] is None


def test_a_time_limit_before_any_certificate_saves_nothing(folder: Path) -> None:
    message = refusal(*FIT, "--time-limit", "0", "-o", "model", code=3)
    assert "before it had a certified point" in message
    assert not Path("model").exists()
