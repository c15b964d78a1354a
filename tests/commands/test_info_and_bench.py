"""Descriptions of the installation, models and tables; the way to the benchmarks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import offbeat
from offbeat.commands import bench
from support.command_line import FIT, N, answer, refusal, run


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
    Path("german.csv").write_text(";x;y\n0;1,5;a\n")
    assert "--separator ';'" in refusal("info", "german.csv")
    columns = answer("info", "german.csv", "--separator", ";", "--decimal", ",")["columns"]
    assert [column["use"] for column in columns] == ["none: the index of pandas", "number", "category"]


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
