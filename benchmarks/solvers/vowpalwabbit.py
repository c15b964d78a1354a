"""Vowpal Wabbit, `--bfgs`: batch L-BFGS over its cache file. The file is written before the clock starts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.problem import Floats, Problem
from benchmarks.harness.solver import BaseSolver, Rung, only

BITS = 18


class Solver(BaseSolver):
    name, package, module, slow = "vowpalwabbit bfgs", "vowpalwabbit", "vowpalwabbit", True

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def supports(self, problem: Problem) -> str | None:
        reason = only(problem, ("logistic",))
        if reason is None and problem.l1_ratio > 0:
            reason = "its L-BFGS has no L1 penalty"
        return "penalises the intercept" if reason is None and problem.fit_intercept else reason

    def ladder(self, problem: Problem) -> list[Rung]:
        return [{"passes": count} for count in (5, 10, 20, 40, 80)]

    def prepare(self, problem: Problem) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=problem.data)
        names = [f" {j}:" for j in range(problem.k)]
        with open(self._path("rows.vw"), "w") as file:
            for row, sign in zip(problem.X.tolist(), problem.signs.tolist(), strict=True):
                file.write(f"{sign:g} |" + "".join(f"{n}{v:.9g}" for n, v in zip(names, row, strict=True)) + "\n")

    def fit(self, problem: Problem, rung: Rung) -> tuple[Floats, Any]:
        from vowpalwabbit import pyvw

        model = pyvw.Workspace(
            f"--data {self._path('rows.vw')} --cache_file {self._path('cache')} --bfgs --passes {rung['passes']} "
            f"--loss_function logistic --noconstant --l2 {problem.alpha * problem.n:.17g} --termination 0 "
            f"--holdout_off --bit_precision {BITS} --quiet"
        )
        model.run_parser()
        coef = np.array([model.get_weight(j) for j in range(problem.k)])
        model.finish()
        return coef, 0.0

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / name
