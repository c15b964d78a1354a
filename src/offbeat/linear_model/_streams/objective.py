"""The objective of a stream: a quadratic for the rows that were dropped, the loss of the rows held, a penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from offbeat.data.dataset import Dataset
from offbeat.data.shards import Point, Shard, Sums, Workspace
from offbeat.data.source import CSR
from offbeat.engines.base import Engine
from offbeat.fit.inspection import null_classes
from offbeat.linear_model._shared.predict import as_matrix
from offbeat.problem import Evaluation, Floats, Problem, Reference
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo

SOFTMAX_BLOCK_ROWS = 512
"""Rows whose probabilities of several classes are computed at a time."""


@dataclass(frozen=True)
class PastRows:
    """Rows that were dropped, as a quadratic: ``value + slope.(x - anchor) + (x - anchor)'H(x - anchor) / 2``.

    The intercept is the last coordinate.
    """

    anchor: Floats
    value: float
    slope: Floats
    hessian: Floats

    def moved(self, x: Floats) -> PastRows:
        """Return the same function, expanded at ``x``."""
        d = x - self.anchor
        bent = self.hessian @ d
        return PastRows(x, self.value + float(self.slope @ d) + 0.5 * float(d @ bent), self.slope + bent, self.hessian)


@dataclass(frozen=True)
class StreamState:
    """What a stream keeps between batches.

    Parameters
    ----------
    rows : int
    weight, floor : float
        Sum of the weights, and of the least loss that each row can have.
    target : ndarray, shape (n_outputs,)
        Sum of weighted targets; of several classes, of the weights of each.
    center : ndarray, shape (k,)
        The columns are centred at it: zeros without an intercept.
    fit_intercept : bool
    past : PastRows
    held : tuple of Dataset
        Rows that are not part of ``past``.
    scale : ndarray, shape (k,), optional
        Standard deviations of the columns in the first batch.
    """

    rows: int
    weight: float
    target: Floats
    floor: float
    center: Floats
    fit_intercept: bool
    past: PastRows
    held: tuple[Dataset, ...] = ()
    scale: Floats | None = None

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.center)


class SmoothPart(NamedTuple):
    """The objective without the penalty at a point, as sums over dropped and held rows, with derivatives."""

    x: Floats
    loss: float
    gradient: Floats
    hessian: Floats
    repair: Floats
    repair_sum: float


class StreamObjective:
    """The objective of a stream: its quadratic, the rows held, a penalty.

    Parameters
    ----------
    problem : Problem
    known : StreamState
    engine : Engine
    tol : float
    """

    def __init__(self, problem: Problem, known: StreamState, engine: Engine, tol: float) -> None:
        self._problem, self._known, self._engine = problem, known, engine
        k, m = known.n_columns, len(known.target)
        b, null = _null(problem.loss, known.target / known.weight, known.fit_intercept)
        self.start = np.append(np.zeros(k * m), b)
        first = self.evaluate(self.start)
        curvature = np.diag(first.hessian)[: k * m].reshape(k, m).mean(axis=1)
        bend = float(np.diag(first.hessian)[k * m :].mean())
        scale = np.sqrt(np.where(curvature > 0.0, curvature, 1.0) / (bend if bend > 0.0 else 1.0))
        self._scale = np.append(np.repeat(scale, m), np.ones(m))
        norm = float(np.linalg.norm((first.gradient / self._scale)[: k * m])) / known.weight
        floor = known.floor / known.weight
        reference = Reference(max(null + floor, 0.0), norm, floor, known.fit_intercept, tol)
        self.info = DataInfo(
            known.rows, k, m, known.center, scale, problem.scaled_penalty(k, scale), reference,
            (self.start[: k * m], self.start[k * m :]), False, np.ones(k),
        )  # fmt: skip

    def evaluate(self, x: Floats) -> SmoothPart:
        """Evaluate quadratic and rows at a point in the units of the columns, intercepts last (about the centre)."""
        past, (k, m) = self._known.past.moved(x), (self._known.n_columns, len(self._known.target))
        coef = x[: k * m].reshape(k, m) if m > 1 else x[:k].copy()
        scale = self._known.scale
        point = Point(coef, x[k * m :].copy(), self._known.center, hessian=m == 1, repair=m == 1, scale=scale)
        unit = np.ones(x.size) if scale is None or m > 1 else np.append(scale, 1.0)  # that the Hessian comes in
        loss, gradient, hessian = past.value, past.slope.copy(), past.hessian.copy()
        repair, repair_sum = past.hessian[: k * m, -1].copy(), float(past.hessian[-1, -1])

        def one(shard: Shard) -> Floats:
            with np.errstate(over="ignore", invalid="ignore"):  # the line search refuses such points
                flat = shard.evaluate(self._problem.loss, point, Workspace()).flat()
                return np.append(flat, softmax_hessian(shard, point).ravel()) if m > 1 else flat

        for part in self._known.held:
            shards = part.shards(self._engine.n_workers)
            flat = np.sum(self._engine.map(one, [s for s in shards if s.n_rows]), axis=0)
            sums = Sums.unflat(flat, point)
            loss = loss + float(sums.head[0])
            hessian = hessian + flat[-hessian.size :].reshape(hessian.shape) * unit * unit[:, None]
            gradient += np.append(sums.gradient, sums.head[1 : 1 + m])
            if sums.repair is not None:
                repair, repair_sum = repair + sums.repair, repair_sum + float(sums.head[-2])
        return SmoothPart(x, loss, gradient, hessian, repair, repair_sum)

    def internal(self, at: SmoothPart) -> tuple[Iterate, Evaluation, Floats]:
        """Return point, evaluation and Hessian as means, in internal coordinates."""
        w, scale, n = self._known.weight, self._scale, self.info.size
        gradient, hessian = at.gradient / scale / w, at.hessian / scale / scale[:, None] / w
        on = self._known.fit_intercept
        if not on:
            gradient[n:], hessian[n:, :], hessian[:, n:] = 0.0, 0.0, 0.0
            np.einsum("ii->i", hessian)[n:] = 1.0
        repair = at.repair / scale[:n] / w if on and self.info.n_outputs == 1 else None
        seen = Evaluation(at.loss / w, gradient[:n], gradient[n:], repair, at.repair_sum / w)
        x = at.x * scale
        return Iterate(x[:n], x[n:]), seen, hessian

    def original(self, x: Floats) -> Floats:
        """Return an internal point in the units of the columns."""
        out: Floats = x / self._scale
        return out


def _null(loss: Any, mean: Floats, fit_intercept: bool) -> tuple[Floats, float]:
    """Return the best intercepts without features and the mean loss there; losses are linear in the target."""
    if len(mean) > 1:
        return null_classes(mean, fit_intercept=fit_intercept)
    y = float(mean[0])
    z = float(loss.link(y)) if fit_intercept else 0.0
    value = y * loss.value(z, 1.0) + (1.0 - y) * loss.value(z, 0.0) if loss.classifier else loss.value(z, y)
    return np.array([z]), float(value)


def softmax_hessian(shard: Shard, point: Point) -> Floats:
    """Return the sum of the Hessians of the multinomial loss over a shard: ``m`` classes for each of ``k + 1`` columns.

    Parameters
    ----------
    shard : Shard
    point : Point
        With ``coef`` of shape (k, m).
    """
    k, m = point.coef.shape
    out = np.zeros((k + 1, m, k + 1, m))
    for block, targets, _ in shard.blocks(1.0, Workspace()):
        X: Any = as_matrix(block, k) if isinstance(block, CSR) else block
        for first in range(0, len(targets.y), SOFTMAX_BLOCK_ROWS):
            part = slice(first, first + SOFTMAX_BLOCK_ROWS)
            rows = X[part].toarray() if isinstance(block, CSR) else X[part]
            A = np.column_stack([rows - point.center, np.ones(len(rows))])
            z = A @ np.vstack([point.coef, point.intercept])
            p = softmax(z, axis=1)
            v = targets.weight[part, None] if targets.weight.size else 1.0
            for a in range(m):
                for b in range(a + 1):
                    weights = v * p[:, [a]] * ((a == b) - p[:, [b]])
                    out[:, a, :, b] += A.T @ (weights * A)
    for a in range(m):
        for b in range(a):
            out[:, b, :, a] = out[:, a, :, b]
    result: Floats = out.reshape((k + 1) * m, (k + 1) * m)
    return result
