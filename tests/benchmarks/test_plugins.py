from __future__ import annotations

import shutil

import numpy as np
import pytest
from benchmarks.extras import out_of_core
from benchmarks.harness import registry
from benchmarks.harness.dataset import rows, store, thin
from benchmarks.harness.problem import Problem
from benchmarks.run import app
from typer.testing import CliRunner


def stand_in(spec):
    """A problem of a spec's kind with a handful of rows."""
    X = np.random.default_rng(0).standard_normal((40, 3))
    alphas = np.full(spec.strength.length, 0.1)
    return Problem(spec.name, spec.loss, alphas, spec.l1_ratio, spec.fit_intercept, X, (X[:, 0] > 0) * 1.0)


@pytest.mark.parametrize("spec", registry.problems().values(), ids=lambda spec: spec.name)
def test_every_problem_has_data_and_contestants(spec):
    assert spec.dataset in registry.datasets()
    problem = stand_in(spec)
    able = [solver for solver in registry.solvers().values() if solver.supports(problem) is None]
    assert any(solver.ours for solver in able)
    assert any(not solver.ours for solver in able)
    assert all(solver.ladder(problem) for solver in able)


def test_names_are_found_by_prefix_and_a_wrong_one_is_explained():
    found = registry.problems()
    assert {spec.name for spec in registry.pick(found, ["flights-l1*"], "problem")} == {"flights-l1", "flights-l1-open"}
    with pytest.raises(ValueError, match=r"no problem is called 'nothing'; there are: .*small-ridge"):
        registry.pick(found, ["nothing"], "problem")


def test_data_is_stored_whole_and_once(tmp_path):
    data = registry.datasets()["small"]
    folder = store(data, tmp_path, 0.5, "float32")
    X = np.load(folder / "X.npy")
    assert X.dtype == np.float32
    assert X.shape == (500, 20)
    stamp = (folder / "X.npy").stat().st_mtime_ns
    assert store(data, tmp_path, 0.5, "float32") == folder
    assert (folder / "X.npy").stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_thinning_keeps_rows_and_targets_together():
    X = np.arange(1000.0)[:, None]
    thinned, targets = thin(X, {"y": np.arange(1000.0)}, 0.3)
    assert len(thinned) == rows(1000, 0.3) == 300
    assert np.array_equal(thinned[:, 0], targets["y"])


def test_out_of_core_file_is_a_plain_npy(tmp_path):
    path = out_of_core.generate(tmp_path, 1000)
    X, y = np.load(path, mmap_mode="r"), np.load(tmp_path / "y.npy")
    assert X.shape == (1000, 100)
    assert 0.3 < y.mean() < 0.7
    assert abs(np.asarray(X).std() - 1.0) < 0.02


def test_out_of_core_refuses_a_disk_that_is_too_small(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OSError, match="give another --cache"):
        out_of_core.generate(tmp_path, 1000)
    assert list(tmp_path.iterdir()) == []


def test_command_races_and_writes(tmp_path):
    arguments = ["--problems", "small-ridge", "--solvers", "sklearn lbfgs", "--scale", "0.3", "--repeats", "1"]
    done = CliRunner().invoke(app, [*arguments, "--threads", "1", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "results.json",
        "results.md",
        "small-ridge.png",
    ]
    # A machine is told by its size only.
    assert str(tmp_path) not in (tmp_path / "out" / "results.json").read_text()


@pytest.mark.parametrize("option", ["--problems", "--solvers", "--extra"])
def test_command_refuses_unknown_names(option, tmp_path):
    done = CliRunner().invoke(app, [option, "nothing", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "nothing" in done.output
