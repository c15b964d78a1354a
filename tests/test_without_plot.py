"""Without the packages of the extra `plot`, everything works but charts and pages; those say what to install."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from offbeat._utils.extras import PLOT, require_plot
from offbeat.errors import MissingPackageError, OffbeatError

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("matplotlib", "bokeh", "jinja2"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""

LIBRARY = """
import numpy as np, offbeat
from offbeat import Problem, losses, penalties
from offbeat.diagnostics import Report, convergence, task_stream, write_report
from offbeat.diagnostics.report import Comparison, write_comparison
rng = np.random.default_rng(0)
X = rng.standard_normal((200, 3))
trace = offbeat.solve(Problem(losses.Squared(), penalties.L2(0.1)), X, X[:, 0]).trace
assert len(trace.to_frame()) == len(trace) > 0
for draw in (
    lambda: trace.plot(), lambda: trace.report("r.html"), lambda: convergence(trace), lambda: task_stream(trace),
    lambda: write_report(Report("t", trace), "r.html"),
    lambda: write_comparison(Comparison("t", "", {"a": trace}), "c.html"),
    lambda: write_comparison(Comparison("t", "", {"a": trace}), "c.png"),
):
    try:
        draw()
    except ImportError as error:
        print(error)
"""

COMMAND = """
from offbeat.cli import main
main()
"""


def run(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_fits_and_tables_work_and_every_drawing_names_the_extra(tmp_path: Path) -> None:
    done = run(LIBRARY, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 7
    assert all("pip install 'offbeat[plot]'" in line for line in said)
    assert [("matplotlib" in line, "bokeh and jinja2" in line) for line in said] == [
        (True, False), (False, True), (True, False), (True, False), (False, True), (False, True), (True, False),
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_the_command_fits_and_asks_for_the_extra_before_it_reads_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "t.csv", rng.standard_normal((60, 3)), delimiter=",", header="a,b,y", comments="", fmt="%.6g")
    fit = ("fit", "t.csv", "--target", "y", "--loss", "squared", "--quiet")
    done = run(COMMAND, *fit, "--out", "model", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model").exists()
    for wanted in (
        (*fit, "--report", "r.html"),
        ("fit", "missing.csv", "--target", "y", "--loss", "squared", "--report", "r.html"),
        ("simulate", "--out", "s.html"),
        ("simulate", "--out", "s.png"),
        ("demo",),
    ):
        done = run(COMMAND, *wanted, folder=tmp_path)
        assert done.returncode == 2, wanted
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ") and "pip install 'offbeat[plot]'" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "t.csv"]


def test_what_is_installed_is_not_asked_for() -> None:
    require_plot("picture", "page")


def test_the_error_is_both_of_the_library_and_of_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLOT, "page", ("a_package_that_is_not_there",))
    with pytest.raises(MissingPackageError, match="need a_package_that_is_not_there, which is not") as raised:
        require_plot("page")
    assert isinstance(raised.value, OffbeatError) and isinstance(raised.value, ImportError)


def test_the_extra_brings_what_is_asked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = {re.split(r"[<>=\[]", each)[0] for each in extras["plot"]}
    assert names == {name for each in PLOT.values() for name in each}
    assert not names & {re.split(r"[<>=\[]", each)[0] for each in project["dependencies"]}
    assert all(_brings(extras, name, "plot") for name in ("demo", "dev", "bench"))


def _brings(extras: dict[str, list[str]], name: str, wanted: str) -> bool:
    """Whether an extra includes another, itself or by one that it includes."""
    inner = re.findall(r"offbeat\[([^\]]*)\]", " ".join(extras[name]))
    included = [each.strip() for group in inner for each in group.split(",")]
    return wanted in included or any(_brings(extras, each, wanted) for each in included)
