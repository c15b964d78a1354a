"""Files that earlier versions wrote are read, and fits go on from them.

`files` holds checkpoints of killed fits of ``make_classification(60, 3, seed=0)``, as version 0.1.0 wrote them before
its solvers were sorted into packages, and two models of ``offbeat fit``. Do not write them anew: a file that is no
longer read is what this test is for.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.datasets import make_classification
from offbeat.errors import ConvergenceWarning
from support.command_line import run

FILES = sorted((Path(__file__).parent / "files").glob("*.ckpt"))
PROBLEMS = {
    "l2": Problem(losses.Logistic(), penalties.L2(1e-2)),
    "l1": Problem(losses.Logistic(), penalties.L1(1e-2)),
    "hinge": Problem(losses.Hinge(), penalties.L2(1e-2)),
    "multinomial": Problem(losses.Multinomial(2), penalties.L2(1e-2)),
    "squared": Problem(losses.Squared(), penalties.L2(1e-2)),
}
SOLVERS = {solver.name: solver for solver in (getattr(solvers, name)() for name in solvers.__all__)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_fit_goes_on_from_a_file_of_before(path: Path) -> None:
    name, problem, mode = path.stem.rsplit("-", 2)
    data = make_classification(60, 3, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # some of the baselines never get there
        solution = offbeat.solve(
            PROBLEMS[problem], data.X, data.y, solver=SOLVERS[name], engine=engines.Simulated(2), tol=1e-6,
            staleness=0.0 if mode == "rounds" else math.inf, max_iter=200, resume=path,
        )  # fmt: skip
    assert "resumed at" in solution.trace.metadata


TABLE = "dose,group\n0.1257302210933933,b\n-0.1321048632913019,a\n0.6404226504432821,b\n"
PREDICTED = {
    "model-logistic-l2": ("probability_yes", [0.902338695726179, 0.4400361571847487, 0.9558878154659975]),
    "model-hinge-elastic-net": ("decision", [1.7086207829645272, -0.2385399215018431, 2.361640659684165]),
}


@pytest.mark.parametrize("name", PREDICTED)
def test_a_model_of_before_predicts_what_it_did(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text(TABLE, encoding="utf-8")
    model = Path(__file__).parent / "files" / name
    assert run("predict", model, "table.csv", "--out", "predictions.csv").exit_code == 0
    column, expected = PREDICTED[name]
    found = csv.read_csv("predictions.csv")
    assert found["prediction"].to_pylist() == ["yes", "no", "yes"]
    np.testing.assert_allclose(found[column].to_numpy(), expected, rtol=1e-12)
