"""Local solves of consensus ADMM for smooth losses: Newton's method with a kept Hessian, or L-BFGS.

A step starts where the last one ended, with the gradient known there, and reads the rows once for each point it tries.
The Hessian is kept, with its factorisation, until it contracts badly; that of a quadratic loss says everything, and its
steps read no rows at all. Solves are inexact: they stop when what is left of the local gradient is small next to the
distance from the consensus and to the step just made (a relative criterion in the sense of Eckstein & Yao 2018,
Math. Program. 170:417).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from offbeat.data.shard import Shard
from offbeat.problem import Floats, Problem
from offbeat.sideways.evaluation import HESSIAN_COLUMNS
from offbeat.solvers._common.quasi_newton import lbfgs_direction
from offbeat.solvers.admm import local_prox
from offbeat.solvers.admm.local_prox import Local, Query, Solved, Spot, evaluate, own_rho, settled

DENSE_COLUMNS = 500  # up to so many, the Hessian of a shard is made and kept
ENOUGH = 0.5  # accuracy of a local solve, relative to the movement: below 1, or inexact steps may circle
GOOD = 0.1  # accuracy at which the Hessian is left alone
SLOW = 0.25  # contraction of the local gradient at which a kept Hessian is no longer good enough
MEMORY = 10
LIMITED_STEPS = 3  # of L-BFGS for one of Newton
TRIALS = 30
FEW_TRIALS = 3  # before the model is blamed
ARMIJO = 1e-4


@dataclass(frozen=True)
class Dense:
    """A Hessian, and the factor of ``Hessian + rho``; ``stale`` when it should be made again."""

    hessian: Floats
    rho: float = math.nan
    factor: Floats | None = None
    stale: bool = False

    def ready(self, rho: float, rows: int) -> tuple[Dense, float]:
        """Return the model with its factor for this ``rho``, and the work of making it."""
        if self.factor is not None and rho == self.rho:
            return self, 0.0
        m = len(self.hessian)
        return replace(self, rho=rho, factor=_factor(self.hessian, rho)), m * m / (12.0 * max(rows, 1))

    def direction(self, residual: Floats, rho: float) -> Floats:
        """Return the Newton direction."""
        d: Floats = dpotrs(self.factor, -residual, lower=1)[0]
        return d

    def learned(self, step: Floats, change: Floats) -> Dense:
        """Return the model itself: it is made anew or not at all."""
        return self


def _factor(hessian: Floats, rho: float) -> Floats:
    """Return the Cholesky factor of ``hessian + rho``, and of the diagonal alone where there is none.

    Rounding may need some more on the diagonal, where ``rho`` is far below the largest eigenvalue.
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
class Limited:
    """The last steps and changes of the gradient of the shard's loss, whatever ``rho`` was at the time."""

    level: float
    pairs: tuple[tuple[Floats, Floats], ...] = ()
    stale: bool = False

    def ready(self, rho: float, rows: int) -> tuple[Limited, float]:
        """Return the model itself."""
        return self, 0.0

    def direction(self, residual: Floats, rho: float) -> Floats:
        """Return the direction of descent of L-BFGS; ``rho`` adds its share to each change of the gradient."""
        pairs = [(s, y + rho * s) for s, y in self.pairs]
        return lbfgs_direction(residual, pairs, self.level + rho)

    def learned(self, step: Floats, change: Floats) -> Limited:
        """Return the model with one more pair."""
        curvature, length = float(step @ change), float(step @ step)
        if not curvature > 1e-12 * length > 0.0:
            return self
        return Limited(curvature / length, (*self.pairs, (step, change))[-MEMORY:])


Model: TypeAlias = Dense | Limited


@dataclass
class _Task:
    """One local solve: what is asked, and what it has cost so far."""

    problem: Problem
    shard: Shard
    query: Query
    local: Local
    rho: float
    center: Floats
    work: float = 0.0
    reads: float = 0.0

    def look(self, x: Floats, *, hessian: bool = False) -> Spot:
        """Evaluate a point, and count the cost."""
        self.reads += 1.0
        self.work += cost(len(x) - 1, hessian=hessian)
        return evaluate(self.problem, self.shard, self.query, x, self.local.workspace, hessian=hessian)

    def residual(self, spot: Spot) -> Floats:
        """Return the gradient of the local problem."""
        return spot.gradient + self.rho * (spot.x - self.center)

    def decrease(self, old: Spot, new: Spot) -> float:
        """Return by how much the local objective changed."""
        d = new.x - old.x
        return new.value - old.value + self.rho * (float(d @ (old.x - self.center)) + 0.5 * float(d @ d))

    def spent(self) -> bool:
        """Whether the allowance is used up."""
        return self.work + 1.0 > self.query.allowance

    def solved(self, spot: Spot, residual: Floats, accuracy: float) -> bool:
        """Whether what is left of the gradient is small next to the distance from the consensus and to the step."""
        moved = float(np.linalg.norm(spot.x - self.query.z)) + float(np.linalg.norm(spot.x - self.local.x))
        rounding = 1e-14 * (float(np.linalg.norm(spot.gradient)) + self.rho * float(np.linalg.norm(self.center)))
        return float(np.linalg.norm(residual)) <= accuracy * self.rho * moved + rounding


def cost(columns: int, *, hessian: bool = False) -> float:
    """Return the work of an evaluation, in gradient passes."""
    return 1.0 + columns / HESSIAN_COLUMNS if hessian else 1.0


def begin(problem: Problem, shard: Shard, query: Query, local: Local) -> Solved:
    """Return the first step of a shard: an evaluation at the consensus."""
    k = len(query.scale)
    dense = k <= DENSE_COLUMNS
    spot = evaluate(problem, shard, query, query.z, local.workspace, hessian=dense)
    curvature = max(float(spot.repair[-1]), local_prox.least_curvature(query))
    model = _model(spot, curvature)
    local = replace(settled(local, spot, model), curvature=curvature)
    return Solved(local, cost(k, hessian=dense), 1.0, "start")


def _model(spot: Spot, curvature: float) -> Model:
    return Limited(curvature) if spot.hessian is None else Dense(spot.hessian)


def solve(problem: Problem, shard: Shard, query: Query, local: Local) -> Solved:
    """Return the shard after an inexact proximal step.

    Parameters
    ----------
    problem : Problem
    shard : Shard
    query : Query
    local : Local
    """
    rho = own_rho(query, local.curvature)
    task = _Task(problem, shard, query, local, rho, local_prox.target(query, local, rho))
    spot = Spot(local.x, local.value, local.y, local.repair, None)
    model: Any = local.memory
    if model is None:
        model = Limited(local.curvature)
        if len(query.scale) <= DENSE_COLUMNS:
            spot = task.look(local.x, hessian=True)
            model = _model(spot, local.curvature)
    if problem.loss.quadratic and isinstance(model, Dense):
        return _solve_quadratic(task, spot, model)
    for _ in range(query.inner * (LIMITED_STEPS if isinstance(model, Limited) else 1)):
        spot, model, done = _advance(task, spot, model)
        if done:
            break
    return Solved(settled(local, spot, model), task.work, task.reads, _label(task))


def _label(task: _Task) -> str:
    return f"prox, {task.reads:.0f} passes" if task.reads > 1.0 else "prox"


def _solve_quadratic(task: _Task, spot: Spot, model: Dense) -> Solved:
    """Return the exact proximal point: no row is read."""
    rows = task.shard.n_rows
    model, work = model.ready(task.rho, rows)
    d = model.direction(task.residual(spot), task.rho)
    bent = model.hessian @ d
    value = spot.value + float(spot.gradient @ d) + 0.5 * float(d @ bent)
    spot = Spot(spot.x + d, value, spot.gradient + bent, spot.repair, None)
    work += task.work + len(d) / max(rows, 1)
    return Solved(settled(task.local, spot, model), work, task.reads, "prox from the Gram matrix")


def _advance(task: _Task, spot: Spot, model: Model) -> tuple[Spot, Model, bool]:
    """Return the next point, the model there, and whether that is enough."""
    model, work = model.ready(task.rho, task.shard.n_rows)
    task.work += work
    residual = task.residual(spot)
    d = model.direction(residual, task.rho)
    trial = _search(task, spot, model, d, float(d @ residual))
    if trial is None:  # rounding, or a model that misleads
        return _start_again(task, spot, model)
    model = model.learned(trial.x - spot.x, trial.gradient - spot.gradient)
    left = task.residual(trial)
    if trial.hessian is not None:
        model = Dense(trial.hessian)
    slow = float(np.linalg.norm(left)) > SLOW * float(np.linalg.norm(residual))
    if isinstance(model, Dense) and slow and trial.hessian is None and not task.solved(trial, left, GOOD):
        model = replace(model, stale=True)
    return trial, model, task.spent() or task.solved(trial, left, ENOUGH)


def _search(task: _Task, spot: Spot, model: Model, d: Floats, slope: float) -> Spot | None:
    """Return the first point along ``d`` where the local objective is low enough; None when there is none."""
    t = 1.0
    noise = 1e-12 * (abs(spot.value) + abs(slope))
    for _ in range(TRIALS if model.stale else FEW_TRIALS):
        trial = task.look(spot.x + t * d, hessian=model.stale and isinstance(model, Dense))
        change = task.decrease(spot, trial)
        if math.isnan(spot.value) or change <= ARMIJO * t * slope + noise:
            return trial
        t *= 0.5 if math.isfinite(change) else 0.1
    return None


def _start_again(task: _Task, spot: Spot, model: Model) -> tuple[Spot, Model, bool]:
    """Return the same point with a true Hessian, or without old pairs."""
    if isinstance(model, Limited):
        return spot, Limited(10.0 * model.level, stale=True), not model.pairs and model.stale
    if model.stale:
        return spot, model, True
    spot = task.look(spot.x, hessian=True)
    assert spot.hessian is not None
    return spot, Dense(spot.hessian, stale=True), False
