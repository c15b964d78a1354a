"""Whatever goes wrong is one clear line on standard error, and nothing half-written stays behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from support.command_line import FIT, FullDisk, refusal, run


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
        ([*FIT, "--epsilon", "2"], "--epsilon belongs to the epsilon-insensitive losses"),
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


def test_a_full_disk_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*FIT, "-o", "model")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(os, "fsync", FullDisk(1))
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

    monkeypatch.setattr("offbeat.commands.training_data.load_split", fail)
    assert line in refusal(*FIT, code=code)
