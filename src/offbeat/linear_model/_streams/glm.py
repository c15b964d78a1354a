"""Streams of generalised linear models: rows seen long ago are a quadratic, the last ones are held as they are.

The objective is the sum of both. Once enough rows are held, they too are turned into a quadratic, expanded at the model
of that moment, and let go: each row is looked at while it is held, and never again. So the model is exact until the
first rows are let go; from then on it errs by the third derivative of their loss times the cube of how far the model
moves afterwards. Rows that come sorted by their target make it move far.

Source: the keyed contributions of Rodomanov & Kropotov 2016 (ICML, NIM, eq. 3-5), of which a stream can renew none;
the same recursion is the Laplace approximation of streaming Bayes (Broderick et al. 2013, NIPS, section 3).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.data.shards import Workspace
from offbeat.errors import ProblemError
from offbeat.fit import choice
from offbeat.fit.solution import in_range, not_finite
from offbeat.linear_model._shared.parameters import number
from offbeat.linear_model._streams.batches import StreamModel
from offbeat.linear_model._streams.objective import Look, Objective, Quadratic, Running
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Progress
from offbeat.solvers.newton.subproblem import newton_step

HELD = 10_000  # rows, from which they are let go
ROUNDS = 100
TRIALS = 40
DESCENT = 1e-4  # share of the foretold decrease that a step must bring
FINER = 1e-4  # of the tolerance, to which a model is solved: rows are let go at it
NOISE = 1e-13  # of the objective: rounding
SMALL = 1e-12  # decrease, of the objective: near enough for steps whose decrease rounding hides
LAST = 3  # of these steps


def begun(dataset: Dataset, fit_intercept: bool, n_outputs: int) -> Running:
    """Return a stream without rows, centred for the first ones."""
    k, shard = dataset.n_columns, dataset.shards(1)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        seen = shard.moments(1.0, Workspace())
    center, deviation = seen.mean, seen.spread / math.sqrt(seen.weight or 1.0)
    if not np.all(np.isfinite(center)):
        raise not_finite(dataset)
    center = center if fit_intercept else np.zeros(k)
    none = np.zeros((k + 1) * n_outputs)
    nothing = Quadratic(none, 0.0, none, np.zeros((none.size, none.size)))
    scale = np.where(deviation > 0.0, deviation, 1.0)
    return Running(0, 0.0, np.zeros(n_outputs), 0.0, center, fit_intercept, nothing, scale=scale)


def added(known: Running, dataset: Dataset, loss: Any) -> Running:
    """Return the stream with more rows, held as they are."""
    from offbeat.kernels.evaluation import loss_sum

    y, m = dataset.y, len(known.target)
    loss.check_target(y)
    v = dataset.weight if dataset.weight.size else np.ones(len(y))
    target = np.bincount(y.astype(np.intp), v, m) if m > 1 else np.array([v @ y])
    floor = 0.0 if m > 1 else float(loss_sum(loss, np.zeros(1), y, v)[3])
    return replace(
        known, rows=known.rows + dataset.n_rows, weight=known.weight + float(v.sum()), target=known.target + target,
        floor=known.floor + floor, held=_together(known.held, dataset),
    )  # fmt: skip


def _together(held: tuple[Dataset, ...], new: Dataset) -> tuple[Dataset, ...]:
    """Return rows held and new ones; few new ones are copied into one piece with those held."""
    if new.n_rows >= HELD:
        return (*held, new)
    parts = [*held, new]
    blocks = [part.shards(1)[0].rows() for part in parts]
    if any(sparse.issparse(block) for block in blocks):
        X: Any = sparse.csr_array(sparse.vstack([sparse.csr_array(block) for block in blocks])).copy()
    else:
        X = np.concatenate(blocks)
    y = np.concatenate([part.y for part in parts])
    v = np.concatenate([part.weight if part.weight.size else np.ones(part.n_rows) for part in parts])
    return (as_dataset(X, y, sample_weight=v),)


def let_go(known: Running, at: Look) -> Running:
    """Return the stream with the rows held as part of the quadratic, expanded at the model, once there are enough."""
    if sum(part.n_rows for part in known.held) < HELD:
        return known
    return replace(known, past=Quadratic(at.x, at.loss, at.gradient, at.hessian), held=())


def minimise(problem: Problem, objective: Objective, x: Floats) -> tuple[Look, Progress, int]:
    """Minimise by Newton's method (Lee, Sun & Saunders 2014: proximal, with a line search); also return the rounds.

    Parameters
    ----------
    problem : Problem
    objective : Objective
    x : ndarray, shape (k + 1,)
        Where to start, in the units of the columns, intercept last (about the centre).
    """
    info, at, idle = objective.info, objective.look(x), 0
    best: tuple[Look, Progress] | None = None
    aim = FINER * info.reference.tolerance
    accuracy = max(aim * info.reference.objective, 1e-15)
    for rounds in range(1, ROUNDS + 1):  # noqa: B007  (how many there were is the result)
        here, seen, hessian = objective.internal(at)
        progress = evaluation.progress(problem, info, here, seen)
        if best is None or not progress.certificate.gap > best[1].certificate.gap:
            best = at, progress
        value, gradient = progress.certificate.primal, np.append(seen.gradient, seen.intercept_gradient)
        d, change = newton_step(info.penalty, hessian, gradient, here.flat(), accuracy)
        idle += not change < -SMALL * abs(value)
        found = _searched(objective, here, d, (value, change))
        if progress.certificate.relative_gap <= aim or idle > LAST or found is None:
            break
        at = found
    assert best is not None
    return *best, rounds


def _searched(objective: Objective, here: Iterate, d: Floats, before: tuple[float, float]) -> Look | None:
    """Return the first point along a step that lowers the objective enough, None where rounding allows none."""
    t, (value, change) = 1.0, before
    for _ in range(TRIALS):
        trial = here.plus(d, t)
        at = objective.look(objective.original(trial.flat()))
        new = objective.internal(at)[1].loss + objective.info.penalty.value(trial.u)
        if new <= value + DESCENT * t * change + NOISE * abs(value) and np.all(np.isfinite(at.gradient)):
            return at
        t *= 0.5
    return None


class RunningStream(StreamModel):
    """A generalised linear model to which batches can be added, each row looked at while it is at hand."""

    def _stream_problem(self, total: float) -> Problem:
        """Return the problem, given the sum of all weights."""
        raise NotImplementedError

    def _keep_coef(self, coef: Floats, intercept: Floats) -> None:
        """Set the coefficients, given in shape (k, n_outputs), and the intercepts."""
        raise NotImplementedError

    def _add(self, dataset: Dataset, n_outputs: int = 1) -> None:
        """Add rows to the stream, and set the attributes of the model."""
        fit_intercept, tol = bool(self.fit_intercept), number("tol", self.tol)
        known = self.stream_ if hasattr(self, "stream_") else begun(dataset, fit_intercept, n_outputs)
        if known.fit_intercept != fit_intercept:
            raise ProblemError("fit_intercept has changed within a stream: make a new estimator")
        total = known.weight + float(dataset.weight.sum() if dataset.weight.size else dataset.n_rows)
        problem = self._stream_problem(total)
        known = added(known, dataset, problem.loss)
        objective = Objective(problem, known, choice.engine(dataset, self.engine), tol)
        x = objective.start
        if hasattr(self, "stream_"):
            w = np.atleast_2d(self.coef_).T
            x = np.append(w, np.ravel(self.intercept_) + known.center @ w)
        at, progress, rounds = minimise(problem, objective, x)
        if not np.all(np.isfinite(at.gradient)):
            raise not_finite(dataset)
        w = at.x[: objective.info.size].reshape(-1, n_outputs)
        intercept = at.x[objective.info.size :] - known.center @ w
        in_range(w, intercept)
        self._keep_coef(w.copy(), intercept)
        self.stream_ = let_go(known, at)
        self._tell(known.rows, progress.certificate, rounds)
