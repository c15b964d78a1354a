"""Streams of generalised linear models: old rows are stored as a quadratic, the newest rows as they are.

The objective is the sum of both and the penalty. Once `MAX_HELD_ROWS` rows are held, their loss is replaced by its
quadratic expansion at the current model, and the rows are dropped. The model is exact until the first rows are dropped.
After that its error is of the order of the third derivative of their loss times the cube of how far the model moves.
Rows that come sorted by their target make the model move far.

A batch is fitted by Newton's method with the subproblem of `offbeat.solvers.newton`, but with a loop of its own:

- The solver `Newton` minimises sums over shards, and the quadratic of the dropped rows is not one of them.
- `Newton` asks for Hessians only while they pay, and it samples rows. A stream needs the exact Hessian at its solution,
  where it expands the rows held, and never holds enough rows for samples to pay.
- `Newton` damps a step that fails, since each trial costs all workers a round. Here a trial costs one evaluation of the
  rows held, so a plain line search does. It has hardly any work: over 60 batches of 1,000 rows and 20 columns, logistic
  and Poisson regressions took 2.5 steps a batch, and no step was shortened.

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
from offbeat.linear_model._streams.objective import PastRows, SmoothPart, StreamObjective, StreamState
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import Progress
from offbeat.solvers._common.constants import SUFFICIENT_DECREASE
from offbeat.solvers.newton.subproblem import newton_step

MAX_HELD_ROWS = 10_000
"""Rows from which on the rows held are replaced by their quadratic expansion."""
MAX_NEWTON_STEPS = 100
MAX_LINE_SEARCH_STEPS = 40
TOLERANCE_SHARE = 1e-4
"""Share of ``tol`` to which a model is solved: the error of the expansion point stays in the stream."""
RELATIVE_ROUNDING = 1e-13
"""Rounding error of the objective, as a share of it."""
NEGLIGIBLE_DECREASE = 1e-12
"""Predicted decrease, as a share of the objective, below which rounding may hide whether a step helped."""
MAX_NEGLIGIBLE_STEPS = 3
"""Steps with a negligible decrease after which the method stops."""


def empty_stream(dataset: Dataset, fit_intercept: bool, n_outputs: int) -> StreamState:
    """Return a stream without rows; its columns are centred at the means of the first batch."""
    k, shard = dataset.n_columns, dataset.shards(1)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        seen = shard.moments(1.0, Workspace())
    center, deviation = seen.mean, seen.spread / math.sqrt(seen.weight or 1.0)
    if not np.all(np.isfinite(center)):
        raise not_finite(dataset)
    center = center if fit_intercept else np.zeros(k)
    none = np.zeros((k + 1) * n_outputs)
    nothing = PastRows(none, 0.0, none, np.zeros((none.size, none.size)))
    scale = np.where(deviation > 0.0, deviation, 1.0)
    return StreamState(0, 0.0, np.zeros(n_outputs), 0.0, center, fit_intercept, nothing, scale=scale)


def with_rows(known: StreamState, dataset: Dataset, loss: Any) -> StreamState:
    """Return the stream with the rows of a batch added to those held."""
    from offbeat.kernels.evaluation import loss_sum

    y, m = dataset.y, len(known.target)
    loss.check_target(y)
    v = dataset.weight if dataset.weight.size else np.ones(len(y))
    target = np.bincount(y.astype(np.intp), v, m) if m > 1 else np.array([v @ y])
    floor = 0.0 if m > 1 else float(loss_sum(loss, np.zeros(1), y, v)[3])
    return replace(
        known, rows=known.rows + dataset.n_rows, weight=known.weight + float(v.sum()), target=known.target + target,
        floor=known.floor + floor, held=_merged(known.held, dataset),
    )  # fmt: skip


def _merged(held: tuple[Dataset, ...], new: Dataset) -> tuple[Dataset, ...]:
    """Return the rows held and the new ones; a small batch is copied into one data set with the rows held."""
    if new.n_rows >= MAX_HELD_ROWS:
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


def absorb_held_rows(known: StreamState, at: SmoothPart) -> StreamState:
    """Return the stream with the rows held replaced by their quadratic expansion at the model, once they are enough."""
    if sum(part.n_rows for part in known.held) < MAX_HELD_ROWS:
        return known
    return replace(known, past=PastRows(at.x, at.loss, at.gradient, at.hessian), held=())


def minimise(problem: Problem, objective: StreamObjective, x: Floats) -> tuple[SmoothPart, Progress, int]:
    """Minimise by Newton's method (Lee, Sun & Saunders 2014: proximal, with a line search); also return the rounds.

    Parameters
    ----------
    problem : Problem
    objective : StreamObjective
    x : ndarray, shape (k + 1,)
        Where to start, in the units of the columns, intercept last (about the centre).
    """
    info, at, idle = objective.info, objective.evaluate(x), 0
    best: tuple[SmoothPart, Progress] | None = None
    aim = TOLERANCE_SHARE * info.reference.tolerance
    accuracy = max(aim * info.reference.objective, 1e-15)
    for rounds in range(1, MAX_NEWTON_STEPS + 1):  # noqa: B007  (how many there were is the result)
        here, seen, hessian = objective.internal(at)
        progress = evaluation.progress(problem, info, here, seen)
        if best is None or not progress.certificate.gap > best[1].certificate.gap:
            best = at, progress
        value, gradient = progress.certificate.primal, np.append(seen.gradient, seen.intercept_gradient)
        d, change = newton_step(info.penalty, hessian, gradient, here.flat(), accuracy)
        idle += not change < -NEGLIGIBLE_DECREASE * abs(value)
        found = _line_search(objective, here, d, (value, change))
        if progress.certificate.relative_gap <= aim or idle > MAX_NEGLIGIBLE_STEPS or found is None:
            break
        at = found
    assert best is not None
    return *best, rounds


def _line_search(
    objective: StreamObjective, here: Iterate, d: Floats, before: tuple[float, float]
) -> SmoothPart | None:
    """Return the first point along a step, halved each time, with a sufficient decrease; None if there is none."""
    t, (value, change) = 1.0, before
    for _ in range(MAX_LINE_SEARCH_STEPS):
        trial = here.plus(d, t)
        at = objective.evaluate(objective.original(trial.flat()))
        new = objective.internal(at)[1].loss + objective.info.penalty.value(trial.u)
        allowed = value + SUFFICIENT_DECREASE * t * change + RELATIVE_ROUNDING * abs(value)
        if new <= allowed and np.all(np.isfinite(at.gradient)):
            return at
        t *= 0.5
    return None


class GlmStream(StreamModel):
    """A generalised linear model to which batches can be added."""

    def _stream_problem(self, total: float) -> Problem:
        """Return the problem, given the sum of all weights."""
        raise NotImplementedError

    def _set_stream_coef(self, coef: Floats, intercept: Floats) -> None:
        """Set the coefficients, given in shape (k, n_outputs), and the intercepts."""
        raise NotImplementedError

    def _add(self, dataset: Dataset, n_outputs: int = 1) -> None:
        """Add rows to the stream, and set the attributes of the model."""
        fit_intercept, tol = bool(self.fit_intercept), number("tol", self.tol)
        known = self.stream_ if hasattr(self, "stream_") else empty_stream(dataset, fit_intercept, n_outputs)
        if known.fit_intercept != fit_intercept:
            raise ProblemError("fit_intercept has changed within a stream: make a new estimator")
        total = known.weight + float(dataset.weight.sum() if dataset.weight.size else dataset.n_rows)
        problem = self._stream_problem(total)
        known = with_rows(known, dataset, problem.loss)
        objective = StreamObjective(problem, known, choice.engine(dataset, self.engine), tol)
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
        self._set_stream_coef(w.copy(), intercept)
        self.stream_ = absorb_held_rows(known, at)
        self._set_batch_attributes(known.rows, progress.certificate, rounds)
