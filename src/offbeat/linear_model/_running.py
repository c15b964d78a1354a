"""Streams of generalised linear models: rows seen long ago are a quadratic, the last ones are held as they are.

The objective is the sum of both. Once enough rows are held, they too are turned into a quadratic, expanded at the model
of that moment, and let go: each row is looked at while it is held, and never again. So the model is exact until the
first rows are let go; from then on it errs by the third derivative of their loss times the cube of how far the model
moves afterwards, which falls with the number of rows.

Source: the keyed contributions of Rodomanov & Kropotov 2016 (ICML, NIM, eq. 3-5), of which a stream can renew none;
the same recursion is the Laplace approximation of streaming Bayes (Broderick et al. 2013, NIPS, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from offbeat import choice
from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.data.shard import Point, Shard, Sums, Workspace
from offbeat.data.sums import first_row
from offbeat.engines.base import Engine
from offbeat.errors import ProblemError
from offbeat.linear_model._base import _number
from offbeat.linear_model._stream import StreamModel
from offbeat.problem import Certificate, Evaluation, Floats, Problem, Reference
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, Progress
from offbeat.solution import not_finite
from offbeat.solvers.subproblem import newton_step

HELD = 10_000  # rows, from which they are let go
ROUNDS = 100
TRIALS = 40
DESCENT = 1e-4  # share of the foretold decrease that a step must bring
FINER = 1e-4  # of the tolerance, to which a model is solved: rows are let go at it
NOISE = 1e-15  # of the objective
SMALL = 1e-12  # decrease, of the objective: near enough for steps whose decrease rounding hides
LAST = 3  # of these steps


@dataclass(frozen=True)
class Quadratic:
    """What is left of rows: ``value + slope.(x - anchor) + (x - anchor)'H(x - anchor) / 2``; intercept last."""

    anchor: Floats
    value: float
    slope: Floats
    hessian: Floats

    def moved(self, x: Floats) -> Quadratic:
        """Return the same function, expanded at ``x``."""
        d = x - self.anchor
        bent = self.hessian @ d
        return Quadratic(x, self.value + float(self.slope @ d) + 0.5 * float(d @ bent), self.slope + bent, self.hessian)


@dataclass(frozen=True)
class Running:
    """What a stream remembers.

    Parameters
    ----------
    rows : int
    weight, target, floor : float
        Sums of weights, of weighted targets, and of what no model can go below.
    center : ndarray, shape (k,)
        About which columns are taken; zeros without an intercept, else any would do.
    fit_intercept : bool
    past : Quadratic
    held : tuple of Dataset
        Rows that are not part of ``past``.
    """

    rows: int
    weight: float
    target: float
    floor: float
    center: Floats
    fit_intercept: bool
    past: Quadratic
    held: tuple[Dataset, ...] = ()

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.center)


class Look(NamedTuple):
    """The objective's smooth part at a point, as sums: past and held rows."""

    x: Floats
    loss: float
    gradient: Floats
    hessian: Floats
    repair: Floats
    repair_sum: float


def begun(dataset: Dataset, fit_intercept: bool) -> Running:
    """Return a stream without rows, centred for the first ones."""
    k, shard = dataset.n_columns, dataset.shards(1)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        first = shard.moments(1.0, Workspace())[0]
        center = first_row(shard) + first[:k] / max(float(first[-1]), 1e-300)
    if not np.all(np.isfinite(center)):
        raise not_finite(dataset)
    center = center if fit_intercept else np.zeros(k)
    nothing = Quadratic(np.zeros(k + 1), 0.0, np.zeros(k + 1), np.zeros((k + 1, k + 1)))
    return Running(0, 0.0, 0.0, 0.0, center, fit_intercept, nothing)


def added(known: Running, dataset: Dataset, loss: Any) -> Running:
    """Return the stream with more rows, held as they are."""
    from offbeat.kernels.rows import loss_sum

    y = dataset.y
    loss.check_target(y)
    v = dataset.weight if dataset.weight.size else np.ones(len(y))
    floor = float(loss_sum(loss, np.zeros(1), y, v)[3])
    return replace(
        known, rows=known.rows + dataset.n_rows, weight=known.weight + float(v.sum()),
        target=known.target + float(v @ y), floor=known.floor + floor, held=_together(known.held, dataset),
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


class Objective:
    """The objective of a stream: its quadratic, the rows held, a penalty.

    Parameters
    ----------
    problem : Problem
    known : Running
    engine : Engine
    tol : float
    """

    def __init__(self, problem: Problem, known: Running, engine: Engine, tol: float) -> None:
        fit_intercept = known.fit_intercept
        self._problem, self._known, self._on, self._engine = problem, known, fit_intercept, engine
        k, loss, mean = known.n_columns, problem.loss, known.target / known.weight
        b = float(loss.link(mean)) if fit_intercept else 0.0
        self.start = np.append(np.zeros(k), b)
        null = mean * loss.value(b, 1.0) + (1.0 - mean) * loss.value(b, 0.0) if loss.classifier else loss.value(b, mean)
        objective = max(null + known.floor / known.weight, 0.0)
        first = self.look(self.start)
        curvature = np.maximum(np.diag(first.hessian)[:-1], 0.0)
        bend = first.hessian[-1, -1]
        self._scale = np.sqrt(np.where(curvature > 0.0, curvature, 1.0) / (bend if bend > 0.0 else 1.0))
        gradient = first.gradient[:-1] / self._scale / known.weight
        reference = Reference(
            objective, float(np.linalg.norm(gradient)), known.floor / known.weight, fit_intercept, tol
        )
        self.info = DataInfo(
            known.rows, k, 1, known.center, self._scale, problem.separable(k, self._scale), reference,
            (np.zeros(k), self.start[-1:]), False, np.ones(k),
        )  # fmt: skip

    def look(self, x: Floats) -> Look:
        """Evaluate quadratic and rows at a point in the units of the columns, intercept last (about the centre)."""
        past = self._known.past.moved(x)
        point = Point(x[:-1].copy(), x[-1:].copy(), self._known.center, hessian=True, repair=True)
        loss, gradient, hessian = past.value, past.slope.copy(), past.hessian.copy()
        repair, repair_sum = past.hessian[:-1, -1].copy(), float(past.hessian[-1, -1])

        def one(shard: Shard) -> Floats:
            with np.errstate(over="ignore", invalid="ignore"):  # a trial too far is turned down
                return shard.evaluate(self._problem.loss, point, Workspace()).flat()

        for part in self._known.held:
            shards = part.shards(self._engine.n_workers)
            sums = Sums.unflat(np.sum(self._engine.map(one, [s for s in shards if s.n_rows]), axis=0), point)
            assert sums.hessian is not None
            assert sums.repair is not None
            loss, hessian = loss + float(sums.head[0]), hessian + sums.hessian
            gradient += np.append(sums.gradient, sums.head[1])
            repair, repair_sum = repair + sums.repair, repair_sum + float(sums.head[-2])
        return Look(x, loss, gradient, hessian, repair, repair_sum)

    def internal(self, at: Look) -> tuple[Iterate, Evaluation, Floats]:
        """Return point, evaluation and Hessian as means, in internal coordinates."""
        w, scale = self._known.weight, np.append(self._scale, 1.0)
        gradient, hessian = at.gradient / scale / w, at.hessian / scale / scale[:, None] / w
        if not self._on:
            gradient[-1], hessian[-1, :], hessian[:, -1] = 0.0, 0.0, 0.0
            hessian[-1, -1] = 1.0
        repair = at.repair / self._scale / w if self._on else None
        seen = Evaluation(at.loss / w, gradient[:-1], gradient[-1:], repair, at.repair_sum / w)
        return Iterate(at.x[:-1] * self._scale, at.x[-1:]), seen, hessian

    def original(self, x: Floats) -> Floats:
        """Return an internal point in the units of the columns."""
        return np.append(x[:-1] / self._scale, x[-1])


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

    def _add(self, dataset: Dataset) -> tuple[Floats, float]:
        """Add rows to the stream; return coefficients and intercept, which `_tell` has told about."""
        fit_intercept, tol = bool(self.fit_intercept), _number("tol", self.tol)
        known = self.stream_ if hasattr(self, "stream_") else begun(dataset, fit_intercept)
        if known.fit_intercept != fit_intercept:
            raise ProblemError("fit_intercept has changed within a stream: make a new estimator")
        total = known.weight + float(dataset.weight.sum() if dataset.weight.size else dataset.n_rows)
        if not total > 0.0:
            raise ProblemError("all weights of the stream are 0 so far: give rows with weight")
        problem = self._stream_problem(total)
        known = added(known, dataset, problem.loss)
        objective = Objective(problem, known, choice.engine(dataset, self.engine), tol)
        x = objective.start
        if hasattr(self, "stream_"):
            w = np.ravel(self.coef_)
            x = np.append(w, float(np.ravel(self.intercept_)[0]) + known.center @ w)
        at, progress, rounds = minimise(problem, objective, x)
        if not np.all(np.isfinite(at.gradient)):
            raise not_finite(dataset)
        self.stream_ = let_go(known, at)
        certificate: Certificate = progress.certificate
        self._tell(known.rows, certificate, rounds)
        return at.x[:-1].copy(), float(at.x[-1] - known.center @ at.x[:-1])
