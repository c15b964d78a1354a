"""Evaluating a point on all the data: queries, contributions, and their sum in internal coordinates."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Point, Shard, Sums, Workspace, head_size
from offbeat.problem import DOUBTFUL, ROUNDING, Certificate, Evaluation, Floats, Problem, ratio
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Progress, Step

HESSIAN_COLUMNS = 25.0  # columns whose Hessian costs as much as a gradient, measured on dense rows


ROUGH = 1e-8  # of the objective: what products in single precision may do to a gap, in the mean over many rows


class Iterate(NamedTuple):
    """A point in internal coordinates: coefficients (flat) and intercepts."""

    u: Floats
    b: Floats

    def plus(self, step: Floats, t: float = 1.0) -> Iterate:
        """Return the point ``t`` times the step (coefficients, then intercepts) away."""
        return Iterate(self.u + t * step[: self.u.size], self.b + t * step[self.u.size :])

    def flat(self) -> Floats:
        """Return coefficients and intercepts as one array."""
        return np.concatenate([self.u, self.b])


def start(info: DataInfo) -> Iterate:
    """Return the point to start from, brought within bounds: a proximal step of length 0 projects on them."""
    return Iterate(info.penalty.prox(info.start[0], 0.0), info.start[1])


def query(
    info: DataInfo, at: Iterate, *, fraction: float = 1.0, hessian: bool = False, exact: bool | None = None
) -> Point:
    """Return the query that evaluates a point, in the units of the columns.

    By default, rows in single precision have Hessians in single precision, and no more than the tolerance needs.
    """
    coef = at.u.reshape(info.n_columns, info.n_outputs) / info.scale[:, None]
    repair = info.reference.fit_intercept and info.n_outputs == 1
    coef = coef[:, 0] if info.n_outputs == 1 else coef
    scale = info.scale if hessian or info.conditioned else None
    exact = not (hessian or info.rough) if exact is None else exact
    return Point(np.ascontiguousarray(coef), at.b, info.center, fraction, hessian, repair, scale, exact)


def local_step(problem: Problem, shard: Shard, local: Workspace, point: Point) -> Step:
    """Evaluate the point on a shard: the contribution of every solver that works with gradients at a common point."""
    return Step(local, shard.evaluate(problem.loss, point, local).flat(), work(point), point.label)


def work(point: Point) -> float:
    """Return what an evaluation costs, in passes for a gradient: with 100 columns a Hessian costs about five."""
    return point.fraction * (1.0 + point.coef.size / HESSIAN_COLUMNS if point.hessian else 1.0)


def gather(info: DataInfo, board: Board, point: Point) -> tuple[Evaluation, Floats | None]:
    """Return means over the rows visited, and the Hessian with the intercept last, in internal coordinates."""
    sums = Sums.unflat(board.total(), point)
    rows = sums.head[-1]
    inverse = np.repeat(1.0 / info.scale, info.n_outputs) if info.n_outputs > 1 else 1.0 / info.scale
    intercept = sums.head[1 : head_size(info.n_outputs) - 2] / rows
    if not info.reference.fit_intercept:
        intercept = np.zeros_like(intercept)
    repair = None if sums.repair is None else sums.repair * inverse / rows
    at = Evaluation(
        float(sums.head[0] / rows), sums.gradient * inverse / rows, intercept, repair, float(sums.head[-2] / rows)
    )
    return at, None if sums.hessian is None else _internal_hessian(info, sums.hessian / rows)


def _internal_hessian(info: DataInfo, hessian: Floats) -> Floats:
    if not info.reference.fit_intercept:
        hessian[-1, :], hessian[:, -1] = 0.0, 0.0
        hessian[-1, -1] = 1.0
    return hessian


def progress(problem: Problem, info: DataInfo, x: Iterate, at: Evaluation) -> Progress:
    """Return the certified progress at a point evaluated on all rows."""
    certificate: Certificate = problem.certify(info.penalty, x.u, at, info.reference, x.b)
    if info.rough:
        certificate = widened(certificate, ROUGH * info.reference.objective, ROUGH * info.reference.gradient_norm, info)
    residual = float(np.hypot(info.penalty.optimality(x.u, at.gradient), np.linalg.norm(at.intercept_gradient)))
    return Progress(x.u, x.b, certificate, primal_residual=residual)


def improved(certificate: Certificate, dual: float, info: DataInfo) -> Certificate:
    """Return the certificate with a lower bound of the optimum from elsewhere, where that is the better one.

    A bound that is above the objective by more than rounding is none: it is left out.
    """
    if certificate.kind != "duality gap" or not dual > certificate.dual:
        return certificate
    noise = ROUNDING * (abs(certificate.primal) + abs(dual))
    gap = certificate.primal - dual
    if gap < -DOUBTFUL * noise:
        return certificate
    return _with_gap(certificate, max(abs(gap), noise), info)


def widened(certificate: Certificate, gap: float, norm: float, info: DataInfo) -> Certificate:
    """Return the certificate with what rounding may have done to it added: to a duality gap, or a gradient's norm."""
    return _with_gap(certificate, certificate.gap + (gap if certificate.kind == "duality gap" else norm), info)


def _with_gap(certificate: Certificate, gap: float, info: DataInfo) -> Certificate:
    if certificate.kind == "duality gap":
        relative = ratio(gap, info.reference.objective)
        return replace(certificate, dual=certificate.primal - gap, gap=gap, relative_gap=relative)
    return replace(certificate, gap=gap, relative_gap=ratio(gap, info.reference.gradient_norm))


def finite(at: Evaluation) -> bool:
    """Whether loss and gradient are finite."""
    return bool(
        np.isfinite(at.loss) and np.all(np.isfinite(at.gradient)) and np.all(np.isfinite(at.intercept_gradient))
    )
