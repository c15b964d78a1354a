"""Files that earlier versions wrote are read, and fits go on from them.

`files` holds checkpoints of killed fits of ``make_classification(60, 3, seed=0)``, as version 0.1.0 wrote them before
its solvers were sorted into packages. Do not write them anew: a file that is no longer read is what this test is for.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.datasets import make_classification
from offbeat.errors import ConvergenceWarning

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
