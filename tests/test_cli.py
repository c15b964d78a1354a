"""The command line as a user meets it: output, files, exit codes, and one line for whatever goes wrong."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from sklearn.datasets import dump_svmlight_file
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner, Result

import offbeat
from offbeat.cli import app
from offbeat.commands import bench, terminal
from offbeat.model_file import load_model

N = 600


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Result of a command with ``--json``, which must be all there is on standard output."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refusal(*arguments: object, code: int = 2) -> str:
    """The one line on standard error of a command that fails."""
    result = run(*arguments)
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def make_table(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x, dest = rng.normal(size=(N, 2)), rng.choice(["LAX", "SFO", "JFK"], N)
    z = x @ [1.0, -1.0] + (dest == "LAX")
    columns: dict[str, Any] = {
        "id": np.arange(N),
        "wind": x[:, 0],
        "visibility": x[:, 1],
        "dest": dest,
        "late": np.where(rng.random(N) < 1 / (1 + np.exp(-z)), "yes", "no"),
        "count": rng.poisson(np.exp(0.3 * z)),
        "cost": np.exp(0.3 * z + rng.normal(size=N)),
        "weight": rng.random(N) + 0.1,
        "exposure": rng.normal(size=N) / 10,
        "band": np.digitize(z + rng.logistic(size=N), [-1, 1]),
    }
    return pa.table(columns)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the same table as Parquet and CSV."""
    monkeypatch.chdir(tmp_path)
    pa.parquet.write_table(make_table(), "table.parquet")
    pa.csv.write_csv(make_table(), "table.csv")
    return tmp_path


FEATURES = [part for name in ("id", "count", "cost", "weight", "exposure", "band") for part in ("--drop", name)]
FIT = ["fit", "table.parquet", "--target", "late", "--loss", "logistic", *FEATURES]


def test_help_of_every_command_reads_well() -> None:
    for command in ((), ("fit",), ("predict",), ("demo",), ("bench",), ("info",)):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "offbeat" in result.stdout
    assert "Exit codes" in run("fit", "--help").stdout
    assert run("--version").stdout == f"offbeat {offbeat.__version__}\n"


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "absent.parquet", "-t", "late", "--loss", "logistic"], "absent.parquet does not exist"),
        (["fit", "table.csv", "-t", "lat", "--loss", "logistic"], "no column 'lat'. Did you mean 'late'?"),
        (["fit", "table.csv", "--loss", "logistic"], "which column is the target? Give --target"),
        (
            ["fit", "table.csv", "-t", "late", "--weight", "w", "--loss", "logistic"],
            "--weight: table.csv has no column",
        ),
        (["fit", "table.csv", "-t", "late", "--drop", "w", "--loss", "logistic"], "--drop: table.csv has no column"),
        (["fit", "table.csv", "-t", "dest", "--loss", "logistic"], "3 classes ('JFK', 'LAX', 'SFO')"),
        (["fit", "table.csv", "-t", "late", "--loss", "squared"], "holds categories (text), not numbers"),
        (["fit", "table.csv", "-t", "cost", "--loss", "multinomial"], "continuous"),
        (["fit", "table.csv", "-t", "exposure", "--loss", "poisson"], "negative"),
        ([*FIT, "--solver", "magic"], "no solver 'magic'; give auto or one of"),
        ([*FIT, "--alpha", "-1"], "alpha of the penalty is -1.0"),
        ([*FIT, "--l1-ratio", "0.5"], "--l1-ratio belongs to the elastic-net penalty"),
        ([*FIT, "--delta", "2"], "--delta belongs to the huber loss"),
        ([*FIT, "--penalty", "none", "--alpha", "1"], "needs a penalty"),
        ([*FIT, "--workers", "0"], "--workers is 0"),
        ([*FIT, "--max-iter", "0"], "--max-iter is 0"),
        ([*FIT, "--tol", "-1"], "tol is -1.0"),
        ([*FIT, "--test-fraction", "1"], "held-out fraction is 1.0"),
        ([*FIT, "--test-fraction", "0.9999"], "leaves none to fit"),
        ([*FIT, "--test-fraction", "0.1", "--seed", "-1"], "the seed is -1"),
        ([*FIT, "--memory-budget", "lots"], "'lots' is not an amount of memory"),
        ([*FIT, "-o", "table.csv"], "table.csv is a file"),
        ([*FIT, "-o", "table.csv/model"], "Not a folder"),
        ([*FIT, "--report", "table.csv/report.html"], "Not a folder"),
        (["predict", "absent", "table.csv"], "There is no model in absent"),
        (["predict", "table.csv", "table.csv"], "There is no model in"),
        (["info", "absent"], "absent does not exist"),
    ],
)
def test_bad_usage_is_one_clear_line(arguments: list[str], message: str, folder: Path) -> None:
    assert message in refusal(*arguments)
    assert sorted(path.name for path in folder.iterdir()) == ["table.csv", "table.parquet"]


def test_unknown_choices_are_usage_errors(folder: Path) -> None:
    result = run("fit", "table.csv", "-t", "late", "--loss", "magic")
    assert result.exit_code == 2
    assert "squared-hinge" in result.stderr
    assert run("fit", "table.csv", "-t", "late").exit_code == 2
    assert run("frobnicate").exit_code == 2


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


def test_one_class_and_bad_files_beside_a_matrix(folder: Path) -> None:
    np.save("X.npy", np.random.default_rng(0).normal(size=(20, 2)))
    np.save("ones.npy", np.ones(20))
    np.save("objects.npy", np.array([{}] * 20, dtype=object), allow_pickle=True)
    Path("cut.npy").write_bytes(Path("ones.npy").read_bytes()[:60])
    np.save("short.npy", np.arange(19) % 2)
    fit = ["fit", "X.npy", "--loss", "logistic"]
    assert "one class only, 1.0" in refusal(*fit, "-t", "ones.npy")
    assert "holds objects" in refusal(*fit, "-t", "objects.npy")
    assert "cut.npy is damaged" in refusal(*fit, "-t", "cut.npy")
    assert "20 rows" in refusal(*fit, "-t", "short.npy")
    assert "absent.npy does not exist" in refusal(*fit, "-t", "absent.npy")
    assert "has no target in it" in refusal(*fit)
    assert "--drop needs names" in refusal(*fit, "-t", "short.npy", "--drop", "x")


def test_infinity_is_found_in_the_right_row(folder: Path) -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    X[37, 1] = np.inf
    np.save("X.npy", X)
    np.save("y.npy", np.arange(50.0))
    for extra in ([], ["--test-fraction", "0.3"]):
        message = refusal("fit", "X.npy", "-t", "y.npy", "--loss", "squared", *extra)
        assert "column 1" in message and "row 37" in message


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


class FullDisk:
    """``os.fsync`` of a full disk."""

    def __call__(self, file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*FIT, "-o", "model")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(os, "fsync", FullDisk())
    assert "new: cannot be written: No space left on device" in refusal(*FIT, "-o", "new")
    assert "model: cannot be written" in refusal(*FIT, "--alpha", "0.1", "-o", "model")
    assert "r.html: cannot be written" in refusal(*FIT, "--report", "r.html")
    assert "p.csv: cannot be written" in refusal("predict", "model", "table.csv", "-o", "p.csv")
    assert "p.parquet: cannot be written" in refusal("predict", "model", "table.csv", "-o", "p.parquet")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_unwritable_folder_is_noticed_before_the_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)  # root may write anywhere
    assert f"{folder}: The folder cannot be written" in refusal(*FIT, "-o", "deep/model")
    assert not Path("deep").exists()


def test_damaged_model(folder: Path) -> None:
    run(*FIT, "-o", "model")
    file = Path("model/model.json")
    file.write_bytes(file.read_bytes()[:200])
    for command in (["predict", "model", "table.csv"], ["info", "model"]):
        assert "damaged or cut short" in refusal(*command)


def test_damaged_table(folder: Path) -> None:
    Path("cut.parquet").write_bytes(Path("table.parquet").read_bytes()[:-100])
    assert "cut.parquet cannot be read: it is damaged" in refusal("fit", "cut.parquet", *FIT[2:])
    Path("text.parquet").write_text("no table")
    assert "text.parquet cannot be read" in refusal("info", "text.parquet")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "--memory-budget"),
        (PermissionError(13, "Permission denied", "x.npy"), 2, "x.npy: Permission denied"),
    ],
)
def test_errors_of_the_system(
    error: BaseException, code: int, line: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("offbeat.commands.training.load_split", fail)
    assert line in refusal(*FIT, code=code)


def test_info_of_everything(folder: Path) -> None:
    here = answer("info")
    assert here["offbeat"] == offbeat.__version__
    assert here["cores"] >= 1 and here["packages"]["numpy"] == np.__version__ and here["BLAS"]
    assert here["compiled code"] == os.environ["NUMBA_CACHE_DIR"]
    run(*FIT, "-o", "model")
    model = answer("info", "model")
    assert model["columns needed"] == ["wind", "visibility", "dest"]
    assert model["settings"]["target"] == "late"
    assert model["certified"] is True
    table = answer("info", "table.csv")
    assert table["rows"] == N
    assert {column["name"]: column["use"] for column in table["columns"]}["dest"] == "category"
    np.save("X.npy", np.zeros((4, 3), np.float32))
    assert answer("info", "X.npy")["columns"] == 3
    for path in ([], ["model"], ["table.parquet"], ["X.npy"]):
        assert run("info", *path).exit_code == 0
    assert "visibility" in run("info", "table.parquet").stdout


def test_bench_runs_the_sources_or_says_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "checkout", lambda: None)
    assert "get the sources" in refusal("bench")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__main__.py").write_text(
        "import sys, pathlib; pathlib.Path('arguments').write_text(' '.join(sys.argv[1:])); sys.exit(7)"
    )
    monkeypatch.setattr(bench, "checkout", lambda: tmp_path)
    assert run("bench", "--", "--quick", "flights").exit_code == 7
    assert (tmp_path / "arguments").read_text() == "--quick flights"


def start(*arguments: object, folder: Path, **streams: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "offbeat", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, text=True, stderr=subprocess.PIPE, **streams)


def test_python_m_offbeat_prints_json_only(folder: Path) -> None:
    process = start(*FIT, "--json", folder=folder, stdout=subprocess.PIPE)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert json.loads(out)["certified"] is True
    assert error == ""


def test_a_closed_pipe_ends_quietly(folder: Path) -> None:
    np.save("X.npy", np.zeros((100_000, 1)))
    np.save("y.npy", np.arange(100_000.0))
    run("fit", "X.npy", "-t", "y.npy", "--loss", "squared", "-o", "model")
    reader, writer = os.pipe()
    process = start("predict", "model", "X.npy", folder=folder, stdout=writer)
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (terminal.BROKEN_PIPE, "")


SLOW_FIT = """
import os, signal, sys, threading
from offbeat.cli import main
from offbeat.sideways import loop

original, seen = loop._Best.see, []

def see(self, *rest):  # Ctrl-C, as soon as there is something to keep
    row = original(self, *rest)
    seen.append(row)
    if self.progress is not None and len(seen) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return row

loop._Best.see = see
sys.argv = ["offbeat", *sys.argv[1:]]
main()
"""


def test_ctrl_c_keeps_the_best_model_with_its_certificate(folder: Path) -> None:
    Path("slow.py").write_text(SLOW_FIT)
    options = ["--solver", "gradient-descent", "--tol", "0", "--max-iter", "1e12", "--out", "model", "--json"]
    done = subprocess.run(
        [sys.executable, "slow.py", *FIT, *options], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 128 + signal.SIGINT == 130, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["certified"]) == ("interrupted", False)
    model = load_model("model")
    assert model.certificate.gap == found["certificate"]["gap"]
    assert model.settings["status"] == "interrupted"
    assert "Traceback" not in done.stderr
