"""The hub's side of `SAGA` and `Hogwild`: the first query, the metric, the iterate and the candidate."""

from __future__ import annotations

import math

import numpy as np

from offbeat.problem import Evaluation, Floats, Problem, Separable
from offbeat.sideways import evaluation
from offbeat.sideways.protocol import Candidate, DataInfo
from offbeat.solvers.saga import epochs as saga_epochs
from offbeat.solvers.saga.messages import SagaContribution, SagaQuery, SagaScalars

MIN_RELATIVE_VARIANCE = 1e-6  # of a sparse column, over its squared mean; smaller ones are raised to this
LONG_STEP = 1e18  # of a proximal step that ends at the minimum of the penalty


def first_query(info: DataInfo, room: int, epochs: int, threads: int) -> SagaQuery:
    """Return the first query, which asks for the derivatives at the start of the fit.

    Parameters
    ----------
    info : DataInfo
    room : int
        Length of the table of derivatives, 0 for no table.
    epochs, threads : int
        Epochs of a step, and threads of a shard.
    """
    x, k, on = evaluation.start(info), info.n_columns, info.reference.fit_intercept
    point = np.append(x.u / info.scale, float(x.b[0]) if on else 0.0)
    through = info.n_shards == 1 or (info.staleness > 0 and info.at_once == 1)
    return SagaQuery(
        point, np.zeros(k + 1), point, info.center, np.ones(k + 1), np.ones(k if info.sparse else 0),
        info.penalty.factor * info.scale, info.penalty.weight, 1.0, through, room, 0, info.seed, epochs, threads,
    )  # fmt: skip


def with_metric(problem: Problem, info: DataInfo, query: SagaQuery, sums: SagaContribution) -> SagaQuery:
    """Return the query with the metric: the reciprocal curvature of loss and penalty along each column.

    The curvature of a rare sparse column is raised, by the mean number of entries of a row over the column's count.
    Otherwise the rows with rare columns would have a large norm in the metric, and shorten all steps.
    """
    n, smoothness = info.n_rows, saga_epochs.curvature_bound(problem.loss)
    weight = max(sums.facts.weight / n, 1e-300)
    second = smoothness if math.isfinite(smoothness) else max(sums.facts.bend / n / weight, 1e-300)
    copies = query.copies
    if info.sparse:
        counts = np.maximum(sums.counts, 1.0)
        about = weight * info.center**2
        squares = np.maximum(sums.squares / n + about, MIN_RELATIVE_VARIANCE * about)
        curvature = second * squares * (1.0 + float(np.sum(sums.counts)) / n / counts)
        copies = np.where(sums.counts > 0.0, n / counts, 0.0)
    else:
        curvature = second * weight * info.scale**2
    curvature = curvature + info.penalty.curvature() * info.scale**2
    metric = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=curvature > 0.0)
    metric = np.append(metric, 1.0 / (second * weight) if info.reference.fit_intercept else 0.0)
    return query._replace(metric=metric, copies=copies)


def iterate(info: DataInfo, query: SagaQuery, sums: SagaContribution, origin: Floats) -> Floats:
    """Return the iterate. A column without entries is set to the minimum of its penalty, as no row moves it.

    Parameters
    ----------
    info : DataInfo
    query : SagaQuery
    sums : SagaContribution
    origin : ndarray
        Start of the fit.
    """
    x = origin + sums.position if query.through else sums.position / info.n_rows
    never = query.copies == 0.0 if query.copies.size else np.zeros(query.point.size - 1, np.bool_)
    if never.any():
        f = query.factor[never]
        x[:-1][never] = (
            Separable(info.penalty.rule, np.ones_like(f), query.strength[never]).prox(f * x[:-1][never], LONG_STEP) / f
        )
    return x


def candidate(problem: Problem, info: DataInfo, query: SagaQuery, facts: SagaScalars) -> Candidate:
    """Return the point after a proximal step along the average gradient. Zeros and bounds are exact there.

    The estimate of its gap assumes that the loss exceeds the tangents of the rows by as much as during the last epoch.
    """
    n = info.n_rows
    w, gradient = query.point[:-1], query.average[:-1]
    known = query.metric[:-1] > 0.0
    root = np.sqrt(np.where(known, query.metric[:-1], 1.0))
    rule = Separable(info.penalty.rule, query.factor * root, query.strength)
    w = rule.prox(w / root - facts.step / n * root * gradient, facts.step / n) * root
    b, slope = float(query.point[-1]), float(query.average[-1])
    u, centred = w * info.scale, gradient / info.scale
    tangent = float(u @ centred) + b * slope - facts.conjugate / n
    at = Evaluation(max(tangent, -info.reference.conjugate_zero), centred, np.zeros(1), None, 0.0)
    estimate = problem.certify(info.penalty, u, at, info.reference, np.array([b]))
    gap = max(facts.excess, 0.0) / n + slope * slope * float(query.metric[-1])
    if estimate.kind == "duality gap" and info.reference.objective > 0.0:
        gap /= info.reference.objective
    elif estimate.kind == "gradient":
        gap = abs(slope) / max(info.reference.gradient_norm, 1e-300)
    return Candidate(u, np.array([b]) if info.reference.fit_intercept else np.zeros(1), estimate.relative_gap + gap)
