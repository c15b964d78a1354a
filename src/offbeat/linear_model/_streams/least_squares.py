"""Streams of least squares: means and centred products of all rows seen, from which any fit follows exactly.

Products are about the means and stay so as batches are added (Chan, Golub & LeVeque 1983, Am. Stat. 37:242, eq. 2.1):
nothing cancels, wherever the data lies and drifts to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from offbeat.data.dataset import Dataset
from offbeat.data.shards import Point, Shard, Workspace, pooled_moments
from offbeat.fit import choice
from offbeat.fit.solution import in_range, not_finite
from offbeat.linear_model._shared.parameters import number
from offbeat.linear_model._shared.types import Features
from offbeat.linear_model._streams.batches import StreamModel, restored_on_error
from offbeat.losses import Squared
from offbeat.problem import Certificate, Evaluation, Floats, Problem, Reference
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, internal_to_original, original_to_internal
from offbeat.solvers.newton.quadratic import QuadraticModel, rounding, solve_quadratic

MIN_RELATIVE_SPREAD = 1e-12
"""Spread of a column divided by its mean below which the column counts as constant."""


@dataclass(frozen=True)
class CentredSums:
    """Weighted sums over rows: ``gram``, ``product`` and ``square`` are those of ``x x'``, ``x y``, ``y^2``, centred.

    Parameters
    ----------
    rows : int
    weight : float
    center : ndarray, shape (k,)
        Mean of the columns.
    target : float
        Mean of the targets.
    gram : ndarray, shape (k, k)
    product : ndarray, shape (k,)
    square : float
    """

    rows: int
    weight: float
    center: Floats
    target: float
    gram: Floats
    product: Floats
    square: float

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.center)

    def plus(self, other: CentredSums) -> CentredSums:
        """Return the sums over the rows of both.

        Examples
        --------
        >>> one = CentredSums(1, 1.0, np.array([0.0]), 0.0, np.zeros((1, 1)), np.zeros(1), 0.0)
        >>> both = one.plus(CentredSums(1, 1.0, np.array([2.0]), 4.0, np.zeros((1, 1)), np.zeros(1), 0.0))
        >>> both.center, both.gram, both.product
        (array([1.]), array([[2.]]), array([4.]))
        """
        weight = self.weight + other.weight
        share = other.weight / weight
        dx, dy = other.center - self.center, other.target - self.target
        w = self.weight * share
        return CentredSums(
            self.rows + other.rows, weight, self.center + share * dx, self.target + share * dy,
            self.gram + other.gram + w * np.outer(dx, dx), self.product + other.product + w * dy * dx,
            self.square + other.square + w * dy * dy,
        )  # fmt: skip


def centred_sums(dataset: Dataset, engine: Any) -> CentredSums:
    """Return the centred sums of a data set. It is read twice: for the means, and for the products.

    Raises
    ------
    DataError
        Values are not finite.
    """
    shards, y = dataset.shards(engine.n_workers), dataset.y
    Squared().check_target(y)
    v = dataset.weight if dataset.weight.size else np.ones(len(y))
    weight = float(v.sum())
    target = float(v @ y) / weight
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked for below
        k = dataset.n_columns
        center, spread, _ = pooled_moments(engine.map(lambda shard: shard.moments(1.0, Workspace()), shards))
        scale = np.where(spread > MIN_RELATIVE_SPREAD * np.abs(center), spread, 1.0)
        point = Point(np.zeros(k), np.array([target]), center, hessian=True, scale=scale, exact=True)

        def one(shard: Shard) -> Floats:
            return shard.evaluate(Squared(), point, Workspace()).flat()

        total = np.sum(engine.map(one, shards), axis=0)
    if not np.all(np.isfinite(total)):
        raise not_finite(dataset)
    unit = np.append(scale, 1.0)
    hessian = total[-((k + 1) ** 2) :].reshape(k + 1, k + 1) * unit * unit[:, None]
    off = hessian[:-1, -1] / weight  # of the mean from its rounded value
    gram = hessian[:-1, :-1] - weight * np.outer(off, off)
    return CentredSums(
        dataset.n_rows, weight, center + off, target, gram, -total[4 : 4 + k] - off * total[1], 2.0 * total[0]
    )


def solve_from_sums(
    problem: Problem, known: CentredSums, fit_intercept: bool, tol: float, before: tuple[Floats, float] | None
) -> tuple[Floats, float, Certificate]:
    """Return coefficients, intercept and certificate of the fit of all rows, in the units of the columns.

    Parameters
    ----------
    problem : Problem
        With the squared loss.
    known : CentredSums
    fit_intercept : bool
    tol : float
    before : tuple, optional
        Coefficients and intercept to start from.
    """
    w, c, t = known.weight, known.center, known.target
    gram, product, square = known.gram / w, known.product / w, known.square / w
    if not fit_intercept:
        gram, product, square = gram + np.outer(c, c), product + t * c, square + t * t
        c, t = np.zeros_like(c), 0.0
    spread = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = np.where(spread > MIN_RELATIVE_SPREAD * np.abs(known.center), spread, 1.0)
    k, gradient = len(c), -product / scale
    reference = Reference(0.5 * square, float(np.linalg.norm(gradient)), 0.0, fit_intercept, tol)
    info = DataInfo(
        known.rows, k, 1, c, scale, problem.scaled_penalty(k, scale), reference, (np.zeros(k), np.array([t])),
        False, np.ones(k),
    )  # fmt: skip
    hessian = np.eye(k + 1)
    hessian[:-1, :-1] = gram / scale / scale[:, None]
    at = Evaluation(0.5 * square, gradient, np.zeros(1), np.zeros(k) if fit_intercept else None, 1.0)
    origin = Iterate(*info.start)
    start = evaluation.start(info)
    if before is not None:
        u, b = original_to_internal(info, before[0], np.array([before[1] if fit_intercept else 0.0]))
        start = Iterate(info.penalty.prox(u, 0.0), b)
    model = QuadraticModel(origin, at, hessian, rounding(info))
    x, _, progress = solve_quadratic(problem, info, model, start)
    coef, intercept = internal_to_original(info, x.u, x.b)
    in_range(coef, intercept)
    return coef[:, 0], float(intercept[0]) if fit_intercept else 0.0, progress.certificate


class LeastSquaresStream(StreamModel):
    """Least squares of which batches can be added: exact, whatever their number and size."""

    intercept_: float

    def _stream_problem(self, total: float) -> Problem:
        """Return the problem, given the sum of all weights."""
        raise NotImplementedError

    @restored_on_error
    def partial_fit(self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Add rows to those of earlier calls, and fit the model to all of them.

        Coefficients are those of one ``fit`` to all rows, to rounding, and ``certificate_`` is about all rows. The
        stream keeps means and products of the columns, not the rows. A call of ``fit`` starts afresh, and so does the
        first call of ``partial_fit`` after it. Parameters may change between calls: the new ones hold for all rows.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            At most 2,000 columns, the same in every call.
        y : array-like of shape (n_rows,), or column name
            Numbers.
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : estimator
            With ``n_samples_seen_``, the number of rows.

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``; the model is as it was before.
        """
        dataset = self._open_batch(X, y, sample_weight)
        known = centred_sums(dataset, choice.engine(dataset, self.engine))
        before = None
        if hasattr(self, "stream_"):
            known, before = self.stream_.plus(known), (self.coef_, self.intercept_)
        problem = self._stream_problem(known.weight)
        tol = number("tol", self.tol)
        coef, intercept, certificate = solve_from_sums(problem, known, bool(self.fit_intercept), tol, before)
        self.coef_, self.intercept_, self.stream_ = coef, intercept, known
        self._set_batch_attributes(known.rows, certificate, 1)
        return self
