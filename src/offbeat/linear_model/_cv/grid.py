"""A grid of models on each of several folds, over shared passes."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Dataset
from offbeat.diagnostics.trace import Trace
from offbeat.engines.base import Engine, Listener, Steps
from offbeat.engines.interrupt import interruptible
from offbeat.errors import ConvergenceWarning
from offbeat.fit import choice
from offbeat.fit.inspection import Options, inspect
from offbeat.fit.solution import not_finite
from offbeat.linear_model._cv.folds import Fold
from offbeat.problem import Certificate, Floats, Problem
from offbeat.sideways.loop import Policy, hub_loop
from offbeat.sideways.protocol import DataInfo, Solver, internal_to_original
from offbeat.solvers.newton.batch import UNKNOWN_CERTIFICATE, Batch, BatchMember, BatchProgress, BatchResult
from offbeat.solvers.newton.newton import Newton

MAX_STATE_BYTES = 512 << 20
"""Memory for the states of the models that advance side by side."""
Place: TypeAlias = tuple[int, int, int]
"""Numbers of fold, group and strength."""


@dataclass(frozen=True)
class FittedGrid:
    """The models of a cross-validation.

    Parameters
    ----------
    coefs : ndarray of object, shape (n_folds, n_groups, n_strengths)
        Each of shape (n_columns, n_outputs).
    intercepts : ndarray of object, shape (n_folds, n_groups, n_strengths)
        Each of shape (n_outputs,).
    certificates : ndarray of object, shape (n_folds, n_groups, n_strengths)
    own_passes : ndarray, shape (n_folds, n_groups, n_strengths)
        Passes that each model took part in.
    passes : float
        Passes over the data, for all models.
    trace : Trace
    """

    coefs: NDArray[Any]
    intercepts: NDArray[Any]
    certificates: NDArray[Any]
    own_passes: Floats
    passes: float
    trace: Trace

    @classmethod
    def empty(cls, places: Sequence[Sequence[Place]], passes: float, trace: Trace) -> FittedGrid:
        """Return an empty grid that has these places."""
        shape = tuple(int(n) + 1 for n in np.max([place for part in places for place in part], axis=0))
        coefs, intercepts, certificates = (np.empty(shape, object) for _ in range(3))
        return cls(coefs, intercepts, certificates, np.zeros(shape), passes, trace)

    def reordered(self, order: NDArray[np.intp]) -> FittedGrid:
        """Return the models with strengths in another order."""
        parts = (self.coefs, self.intercepts, self.certificates, self.own_passes)
        coefs, intercepts, certificates, own_passes = (part[:, :, order] for part in parts)
        return FittedGrid(coefs, intercepts, certificates, own_passes, self.passes, self.trace)

    def flat(self) -> tuple[list[Floats], list[Floats]]:
        """Return coefficients and intercepts of all models, one after another."""
        return list(self.coefs.ravel()), list(self.intercepts.ravel())


@dataclass(frozen=True)
class Budget:
    """Which solver and engine, to which gap, and when to stop."""

    solver: Any = "auto"
    engine: Any = "auto"
    fit_intercept: bool = True
    tol: float = 1e-4
    max_iter: float = 1000.0
    time_limit: float | None = None


def fit_folds(
    problems: Sequence[Sequence[Sequence[Problem]]], folds: Sequence[Fold], dataset: Dataset, budget: Budget
) -> FittedGrid:
    """Fit a grid of problems on each fold, over shared passes.

    Parameters
    ----------
    problems : list of list of list of Problem
        By fold, group, and strength, strongest penalty first. All have the same loss.
    folds : list of Fold
    dataset : Dataset
    budget : Budget

    Returns
    -------
    fitted : FittedGrid

    Raises
    ------
    DataError
        X has values that are not finite.
    """
    started = time.perf_counter()
    engine = choice.engine(dataset, budget.engine)
    first = problems[0][0][0]
    solver, _ = choice.solver(first, dataset, budget.solver, shared=True)
    first.loss.check_target(dataset.y)
    members, places = [], []
    for f, groups in enumerate(problems):
        info = _inspect(groups[0][0], folds[f], dataset, engine, budget)
        for g, group in enumerate(groups):
            for part in _cut(len(group), chained=dataset.source.resident):
                members.append(tuple(_member(group[i], info, f) for i in part))
                places.append([(f, g, i) for i in part])
    selections = tuple(fold.selection(dataset) for fold in folds)
    results: list[tuple[BatchResult, ...]] = []
    passes, trace = 0.0, Trace()
    for begin, end in _batches(solver, members):
        batch = Batch(solver, tuple(members[begin:end]), selections)
        left = replace(budget, max_iter=max(budget.max_iter - passes, 0.0))
        more, used = _run(batch, dataset, engine, left, started, trace)
        results += more
        passes += used
    return _collect(results, members, places, FittedGrid.empty(places, passes, trace))


def _inspect(problem: Problem, fold: Fold, dataset: Dataset, engine: Engine, budget: Budget) -> DataInfo:
    """Return what is known of the rows of a fold: other rows get the weight zero."""
    selection = fold.selection(dataset)
    weight = selection.mask * (dataset.weight if dataset.weight.size else 1.0)
    masked = replace(dataset, weight=weight * (dataset.n_rows / weight.sum()))
    options = Options(budget.fit_intercept, False, budget.tol)
    info = inspect(problem, masked, masked.shards(engine.n_workers), engine, options)
    return replace(info, n_rows=len(fold.train))


def _member(problem: Problem, info: DataInfo, fold: int) -> BatchMember:
    return BatchMember(problem, replace(info, penalty=problem.scaled_penalty(info.n_columns, info.scale)), fold)


def _cut(n: int, *, chained: bool) -> list[range]:
    """Return the chains of a group: one of all models for data in memory, one a model for data that must be read."""
    return [range(n)] if chained else [range(i, i + 1) for i in range(n)]


def _batches(solver: Solver, members: Sequence[tuple[BatchMember, ...]]) -> list[tuple[int, int]]:
    """Return which chains run together: as many as have states that fit into `MAX_STATE_BYTES`."""
    size = members[0][0].info.size
    per_chain = 32 * (size + 1) * ((size + 1) if isinstance(solver, Newton) else 40)
    at_once = max(1, MAX_STATE_BYTES // per_chain)
    return [(a, min(a + at_once, len(members))) for a in range(0, len(members), at_once)]


def _run(
    batch: Batch, dataset: Dataset, engine: Engine, budget: Budget, started: float, trace: Trace
) -> tuple[list[tuple[BatchResult, ...]], float]:
    """Drive a batch to its end; return the results of each chain and the passes."""
    member = batch.chains[0][0]
    batch.check(member.problem)
    limit = math.inf if budget.time_limit is None else budget.time_limit
    with interruptible() as interrupted:

        def cancelled() -> bool:
            return interrupted.is_set() or time.perf_counter() - started >= limit

        shards = dataset.shards(engine.n_workers, cancelled)
        policy = Policy(len(shards), min(engine.n_workers, len(shards)), max_passes=budget.max_iter, time_limit=limit)
        loop = hub_loop(batch, member.problem, replace(member.info, n_shards=len(shards)), policy)
        listener = Listener(trace.append, cancelled=cancelled, started=started)
        with np.errstate(over="ignore", invalid="ignore"):
            outcome = engine.drive(loop, Steps(batch, member.problem, shards), listener)
    if outcome.status == "not finite":
        raise not_finite(dataset)
    if interrupted.is_set():
        raise KeyboardInterrupt
    done = outcome.best.results if isinstance(outcome.best, BatchProgress) else ((),) * len(batch.chains)
    unknown = BatchResult(None, outcome.status, 0.0)
    results = [(*some, *[unknown] * (len(chain) - len(some))) for some, chain in zip(done, batch.chains, strict=True)]
    return results, outcome.passes


def _collect(
    results: list[tuple[BatchResult, ...]],
    members: list[tuple[BatchMember, ...]],
    places: list[list[Place]],
    fitted: FittedGrid,
) -> FittedGrid:
    """Return the grid with the results of all chains in their places."""
    for chain, models, part in zip(results, members, places, strict=True):
        for result, member, place in zip(chain, models, part, strict=True):
            point = member.info.start if result.progress is None else (result.progress.coef, result.progress.intercept)
            coef, intercept = internal_to_original(member.info, *point)
            fitted.coefs[place], fitted.intercepts[place] = coef, intercept
            fitted.certificates[place] = None if result.progress is None else result.progress.certificate
            fitted.own_passes[place] = result.passes
    return fitted


def worst(certificates: Sequence[Certificate | None]) -> Certificate:
    """Return the certificate with the largest relative gap."""
    return max((c or UNKNOWN_CERTIFICATE for c in certificates), key=lambda certificate: certificate.relative_gap)


def warn_if_not_converged(certificates: Sequence[Certificate | None], tol: float) -> None:
    """Warn when models have a gap above the tolerance.

    Examples
    --------
    >>> warn_if_not_converged([Certificate(1.0, 1.0, 0.0, 0.0, "duality gap", 1e-4)], 1e-4)
    """
    short = sum(certificate is None or not certificate.satisfied for certificate in certificates)
    if short:
        warnings.warn(
            f"{short} of {len(certificates)} models stopped short of tol={tol:g}, the worst with a relative gap of "
            f"{worst(certificates).relative_gap:.3g}: raise max_iter, time_limit or tol",
            ConvergenceWarning,
            stacklevel=4,
        )
