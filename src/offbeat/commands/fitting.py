"""From a problem and rows to a model with its metrics: what ``offbeat fit`` and ``offbeat demo`` share."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.commands.holdout import Split
from offbeat.commands.options import FitRequest
from offbeat.commands.scoring import Effect, effects, metrics
from offbeat.commands.terminal import INTERRUPTED, NOT_CERTIFIED, OK, stop
from offbeat.engines import Serial, Threads
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.inspection import Options
from offbeat.fit.settings import FitArguments
from offbeat.fit.solution import Solution
from offbeat.fit.solve import fit
from offbeat.models.fitted import FittedModel
from offbeat.problem import Problem
from offbeat.solvers.registry import find_solver

SHOWN_CLASSES = 10


@dataclass(frozen=True)
class FitResult:
    """A fitted model and what there is to say about it.

    ``data`` and ``settings`` are for people to read; ``effects`` has every coefficient, the largest effect first;
    ``files`` are those that were written, by what they are.
    """

    model: FittedModel
    solution: Solution
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    scores: Mapping[str, float]
    effects: list[Effect]
    files: Mapping[str, str]

    @property
    def exit_code(self) -> int:
        """What the command should exit with."""
        if self.solution.status == "interrupted":
            return INTERRUPTED
        return OK if self.solution.certificate.satisfied else NOT_CERTIFIED

    def to_dict(self, n_effects: int = 10) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        solution, certificate = self.solution, self.solution.certificate
        return {
            "status": solution.status,
            "certified": certificate.satisfied,
            "certificate": asdict(certificate),
            "passes": solution.passes,
            "seconds": solution.seconds,
            **{name: solution.trace.metadata.get(name) for name in ("solver", "reason", "engine", "workers")},
            "data": dict(self.data),
            "settings": dict(self.settings),
            "metrics": dict(self.scores),
            "effects": [effect._asdict() for effect in self.effects[:n_effects]],
            "files": dict(self.files),
        }


def run(problem: Problem, split: Split, how: FitRequest) -> Solution:
    """Fit the training rows. Ctrl-C ends the fit with the best model so far, as status "interrupted".

    Raises
    ------
    ProblemError
        There is no such solver, or it cannot solve the problem.
    DataError, TargetError
        The data cannot be fitted.
    """
    if not how.max_iter > 0:
        raise ProblemError(f"--max-iter is {how.max_iter:g}; it must be positive")
    if how.workers is not None and how.workers < 1:
        raise ProblemError(f"--workers is {how.workers}; it must be at least 1")
    engine: Any = "auto"
    if how.workers is not None:
        engine = Threads(how.workers) if how.workers > 1 else Serial()
    arguments = FitArguments(
        solver=find_solver(how.solver), engine=engine, max_iter=how.max_iter, time_limit=how.time_limit,
        progress=how.progress, checkpoint=how.checkpoint, checkpoint_every=how.checkpoint_every, resume=how.resume,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the summary and the exit code say it
        return fit(problem, split.train, Options(how.intercept, how.standardize, how.tol), arguments)


def require_point(solution: Solution) -> None:
    """Exit, saying why, if a fit ended before it had any certified point."""
    if math.isfinite(solution.certificate.gap):
        return
    stop(
        f"the fit ended ({solution.status}) before it had a certified point; nothing was saved",
        INTERRUPTED if solution.status == "interrupted" else NOT_CERTIFIED,
    )


def make_model(problem: Problem, split: Split, solution: Solution, settings: Mapping[str, Any]) -> FittedModel:
    """Return what will be saved; ``settings`` must be what JSON can hold."""
    dataset = split.train
    return FittedModel(
        solution.coef,
        solution.intercept,
        problem.loss,
        problem.penalty,
        solution.certificate,
        dataset.encoder,
        None if dataset.feature_names is None else tuple(dataset.feature_names),
        split.classes,
        {**settings, "rows": split.n_train, "status": solution.status, "passes": solution.passes},
    )


def score(model: FittedModel, split: Split) -> tuple[dict[str, float], list[Effect]]:
    """Return the metrics on the held-out rows, if there are any, and the standardised effects."""
    scores = {} if split.test is None else metrics(model, split.test)
    return scores, effects(model, split.train)


def describe_data(split: Split, *, weighted: bool) -> dict[str, Any]:
    """Return what a reader wants to know about the rows of a fit."""
    dataset = split.train
    about = {**dataset.describe(), "rows": split.n_train, "weighted": weighted}
    if split.n_test:
        about["held-out rows"] = split.n_test
    about["target"] = dataset.target or "target"
    y = dataset.y[dataset.weight > 0] if dataset.weight.size else dataset.y
    if split.classes is None:
        about["target mean"], about["target standard deviation"] = float(y.mean()), float(y.std())
        return about
    shares = np.bincount(y.astype(np.intp), minlength=len(split.classes)) / len(y)
    for label, share in list(zip(split.classes, shares, strict=True))[:SHOWN_CLASSES]:
        about[f"share of class {label}"] = float(share)
    return about


def add_files(fitted: FitResult, files: Mapping[str, Path]) -> FitResult:
    """Return the fit with more files on its list."""
    return replace(fitted, files={**fitted.files, **{name: str(path) for name, path in files.items()}})
