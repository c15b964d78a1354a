"""Local solves of consensus ADMM for smooth losses: Newton's method with a reused Hessian, or L-BFGS.

A solve starts at the last point, whose gradient is known, and reads the rows once for each trial point. The Hessian and
its Cholesky factor are reused until the gradient decreases too slowly. For a quadratic loss they give the exact
solution, and no row is read. Solves are inexact: they stop when the local gradient is small relative to the distance
from the consensus and to the movement of this solve (a relative error criterion as in Eckstein & Yao 2018, Math.
Program. 170:417).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem
from offbeat.sideways.evaluation import HESSIAN_COLUMNS
from offbeat.solvers._common.constants import SUFFICIENT_DECREASE
from offbeat.solvers._common.quasi_newton import lbfgs_direction
from offbeat.solvers.admm import local_prox
from offbeat.solvers.admm.local_prox import (
    AdmmLocal,
    AdmmQuery,
    LocalEvaluation,
    LocalSolution,
    evaluate,
    local_at,
    own_rho,
)

MAX_HESSIAN_COLUMNS = 500  # with more columns, L-BFGS replaces Newton's method
SOLVE_ACCURACY = 0.5  # of the local gradient, relative to the movement; it must be below 1, or the iterates may cycle
KEEP_HESSIAN_ACCURACY = 0.1  # with a local gradient below this, the Hessian is not renewed
MAX_CONTRACTION = 0.25  # ratio of local gradients over a step, above which the Hessian is renewed
MAX_PAIRS = 10  # of steps and changes of the gradient that L-BFGS stores
LBFGS_STEPS_PER_NEWTON_STEP = 3
MAX_LINE_SEARCH_STEPS = 30
MAX_STEPS_WITH_OLD_MODEL = 3  # trial points of a line search, before a reused model is renewed


@dataclass(frozen=True)
class HessianModel:
    """A Hessian and the Cholesky factor of ``Hessian + rho I``; ``stale`` if it should be renewed."""

    hessian: Floats
    rho: float = math.nan
    factor: Floats | None = None
    stale: bool = False

    def prepared(self, rho: float, rows: int) -> tuple[HessianModel, float]:
        """Return the model with its factor for this ``rho``, and the work of the factorisation in gradient passes."""
        if self.factor is not None and rho == self.rho:
            return self, 0.0
        m = len(self.hessian)
        return replace(self, rho=rho, factor=_factor(self.hessian, rho)), m * m / (12.0 * max(rows, 1))

    def direction(self, residual: Floats, rho: float) -> Floats:
        """Return the Newton direction."""
        d: Floats = dpotrs(self.factor, -residual, lower=1)[0]
        return d

    def updated(self, step: Floats, change: Floats) -> HessianModel:
        """Return the model itself: a Hessian is not updated, only renewed."""
        return self


def _factor(hessian: Floats, rho: float) -> Floats:
    """Return the Cholesky factor of ``hessian + rho I``, or of its diagonal if the factorisation fails.

    If ``rho`` is far below the largest eigenvalue, rounding may make the matrix indefinite. A multiple of the identity
    is added then.
    """
    diagonal = np.diag(hessian)
    level = float(diagonal.sum())
    for more in (0.0, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8):
        matrix = hessian.copy()
        np.einsum("ii->i", matrix)[:] += rho + more * level
        factor, failed = dpotrf(matrix, lower=1)
        if not failed and np.all(np.isfinite(np.diag(factor))):
            whole: Floats = factor
            return whole
    usable = np.where(np.isfinite(diagonal), np.maximum(diagonal, 0.0), 0.0)
    return np.diag(np.sqrt(usable + rho))


@dataclass(frozen=True)
class LimitedMemoryModel:
    """L-BFGS model of the shard's loss: its last steps and changes of the gradient. It does not depend on ``rho``."""

    level: float
    pairs: tuple[tuple[Floats, Floats], ...] = ()
    stale: bool = False

    def prepared(self, rho: float, rows: int) -> tuple[LimitedMemoryModel, float]:
        """Return the model itself: nothing is to be factorised."""
        return self, 0.0

    def direction(self, residual: Floats, rho: float) -> Floats:
        """Return the direction of descent of L-BFGS; ``rho`` adds its share to each change of the gradient."""
        pairs = [(s, y + rho * s) for s, y in self.pairs]
        return lbfgs_direction(residual, pairs, self.level + rho)

    def updated(self, step: Floats, change: Floats) -> LimitedMemoryModel:
        """Return the model with one more pair, if the curvature along the step is positive."""
        curvature, length = float(step @ change), float(step @ step)
        if not curvature > 1e-12 * length > 0.0:
            return self
        return LimitedMemoryModel(curvature / length, (*self.pairs, (step, change))[-MAX_PAIRS:])


CurvatureModel: TypeAlias = HessianModel | LimitedMemoryModel


@dataclass
class _LocalProblem:
    """The proximal problem of a shard, and the cost of solving it so far."""

    problem: Problem
    shard: Shard
    query: AdmmQuery
    local: AdmmLocal
    rho: float
    center: Floats
    work: float = 0.0
    reads: float = 0.0

    def evaluate(self, x: Floats, *, hessian: bool = False) -> LocalEvaluation:
        """Evaluate the loss at a point, and count the cost."""
        self.reads += 1.0
        self.work += evaluation_work(len(x) - 1, hessian=hessian)
        return evaluate(self.problem, self.shard, self.query, x, self.local.workspace, hessian=hessian)

    def residual(self, at: LocalEvaluation) -> Floats:
        """Return the gradient of the loss plus the proximal term."""
        return at.gradient + self.rho * (at.x - self.center)

    def decrease(self, old: LocalEvaluation, new: LocalEvaluation) -> float:
        """Return the change of the loss plus the proximal term, negative for a decrease."""
        d = new.x - old.x
        return new.value - old.value + self.rho * (float(d @ (old.x - self.center)) + 0.5 * float(d @ d))

    def out_of_budget(self) -> bool:
        """Whether another evaluation would exceed the allowance."""
        return self.work + 1.0 > self.query.allowance

    def accurate(self, at: LocalEvaluation, residual: Floats, accuracy: float) -> bool:
        """Whether the local gradient is small relative to the distance from the consensus and to the movement."""
        moved = float(np.linalg.norm(at.x - self.query.z)) + float(np.linalg.norm(at.x - self.local.x))
        rounding = 1e-14 * (float(np.linalg.norm(at.gradient)) + self.rho * float(np.linalg.norm(self.center)))
        return float(np.linalg.norm(residual)) <= accuracy * self.rho * moved + rounding


def evaluation_work(columns: int, *, hessian: bool = False) -> float:
    """Return the work of one evaluation, in gradient passes."""
    return 1.0 + columns / HESSIAN_COLUMNS if hessian else 1.0


def evaluate_start(problem: Problem, shard: Shard, query: AdmmQuery, local: AdmmLocal) -> LocalSolution:
    """Return the first local solution: the loss evaluated at the consensus."""
    k = len(query.scale)
    dense = k <= MAX_HESSIAN_COLUMNS
    at = evaluate(problem, shard, query, query.z, local.workspace, hessian=dense)
    curvature = max(float(at.repair[-1]), local_prox.least_curvature(query))
    model = _curvature_model(at, curvature)
    local = replace(local_at(local, at, model), curvature=curvature)
    return LocalSolution(local, evaluation_work(k, hessian=dense), 1.0, "start")


def _curvature_model(at: LocalEvaluation, curvature: float) -> CurvatureModel:
    """Return the first model at a point: its Hessian, or an L-BFGS model without pairs."""
    return LimitedMemoryModel(curvature) if at.hessian is None else HessianModel(at.hessian)


def solve_local(problem: Problem, shard: Shard, query: AdmmQuery, local: AdmmLocal) -> LocalSolution:
    """Solve the proximal problem of a shard inexactly, by Newton or L-BFGS steps.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    query : AdmmQuery
    local : AdmmLocal

    Returns
    -------
    LocalSolution
    """
    rho = own_rho(query, local.curvature)
    task = _LocalProblem(problem, shard, query, local, rho, local_prox.prox_center(query, local, rho))
    at = LocalEvaluation(local.x, local.value, local.y, local.repair, None)
    model: Any = local.memory
    if model is None:
        model = LimitedMemoryModel(local.curvature)
        if len(query.scale) <= MAX_HESSIAN_COLUMNS:
            at = task.evaluate(local.x, hessian=True)
            model = _curvature_model(at, local.curvature)
    if problem.loss.quadratic and isinstance(model, HessianModel):
        return _solve_quadratic(task, at, model)
    for _ in range(query.inner * (LBFGS_STEPS_PER_NEWTON_STEP if isinstance(model, LimitedMemoryModel) else 1)):
        at, model, done = _iterate(task, at, model)
        if done:
            break
    return LocalSolution(local_at(local, at, model), task.work, task.reads, _step_kind(task))


def _step_kind(task: _LocalProblem) -> str:
    """Return the label of a step in traces."""
    return f"prox, {task.reads:.0f} passes" if task.reads > 1.0 else "prox"


def _solve_quadratic(task: _LocalProblem, at: LocalEvaluation, model: HessianModel) -> LocalSolution:
    """Return the exact proximal point of a quadratic loss. No row is read."""
    rows = task.shard.n_rows
    model, work = model.prepared(task.rho, rows)
    d = model.direction(task.residual(at), task.rho)
    product = model.hessian @ d
    value = at.value + float(at.gradient @ d) + 0.5 * float(d @ product)
    at = LocalEvaluation(at.x + d, value, at.gradient + product, at.repair, None)
    work += task.work + len(d) / max(rows, 1)
    return LocalSolution(local_at(task.local, at, model), work, task.reads, "prox from the Gram matrix")


def _iterate(
    task: _LocalProblem, at: LocalEvaluation, model: CurvatureModel
) -> tuple[LocalEvaluation, CurvatureModel, bool]:
    """Take one step. Return the new point, the model there, and whether the solve is done."""
    model, work = model.prepared(task.rho, task.shard.n_rows)
    task.work += work
    residual = task.residual(at)
    d = model.direction(residual, task.rho)
    trial = _line_search(task, at, model, d, float(d @ residual))
    if trial is None:  # rounding, or a poor model
        return _reset_model(task, at, model)
    model = model.updated(trial.x - at.x, trial.gradient - at.gradient)
    left = task.residual(trial)
    if trial.hessian is not None:
        model = HessianModel(trial.hessian)
    slow = float(np.linalg.norm(left)) > MAX_CONTRACTION * float(np.linalg.norm(residual))
    if (
        isinstance(model, HessianModel)
        and slow
        and trial.hessian is None
        and not task.accurate(trial, left, KEEP_HESSIAN_ACCURACY)
    ):
        model = replace(model, stale=True)
    return trial, model, task.out_of_budget() or task.accurate(trial, left, SOLVE_ACCURACY)


def _line_search(
    task: _LocalProblem, at: LocalEvaluation, model: CurvatureModel, d: Floats, slope: float
) -> LocalEvaluation | None:
    """Backtrack along ``d`` to a sufficient decrease. Return that point, or None when no trial point has it."""
    t = 1.0
    rounding = 1e-12 * (abs(at.value) + abs(slope))
    for _ in range(MAX_LINE_SEARCH_STEPS if model.stale else MAX_STEPS_WITH_OLD_MODEL):
        trial = task.evaluate(at.x + t * d, hessian=model.stale and isinstance(model, HessianModel))
        change = task.decrease(at, trial)
        if math.isnan(at.value) or change <= SUFFICIENT_DECREASE * t * slope + rounding:
            return trial
        t *= 0.5 if math.isfinite(change) else 0.1
    return None


def _reset_model(
    task: _LocalProblem, at: LocalEvaluation, model: CurvatureModel
) -> tuple[LocalEvaluation, CurvatureModel, bool]:
    """Return the same point with a new model: the Hessian there, or an L-BFGS model without pairs."""
    if isinstance(model, LimitedMemoryModel):
        return at, LimitedMemoryModel(10.0 * model.level, stale=True), not model.pairs and model.stale
    if model.stale:
        return at, model, True
    at = task.evaluate(at.x, hessian=True)
    assert at.hessian is not None
    return at, HessianModel(at.hessian, stale=True), False
