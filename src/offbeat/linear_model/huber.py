"""Regression that outliers cannot dominate, with the scale of the noise estimated as in scikit-learn."""

from __future__ import annotations

import math
import threading
import warnings
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offbeat.data.dataset import Dataset
from offbeat.engines.base import Engine
from offbeat.engines.interrupt import interruptible, raise_if
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.settings import Allowance, Settings
from offbeat.fit.solution import Solution, shortfall
from offbeat.linear_model._shared import parameters, translate
from offbeat.linear_model._shared.base import StartingPoint
from offbeat.linear_model._shared.predict import linear_predictor
from offbeat.linear_model._shared.regressor import LinearRegressor
from offbeat.linear_model._shared.types import Callbacks, Features
from offbeat.problem import Floats
from offbeat.sideways.protocol import Solver

MAX_SCALE_UPDATES = 100
MIN_RELATIVE_SCALE = 1e-6
"""Smallest scale, as a share of the spread of y: a perfect fit has no scale."""
MAX_SHARE_OF_PASSES = 0.5
"""Largest share of the passes left that the fit at one scale may take."""
MIN_PASSES = 4.0
"""Passes that the fit at one scale may take in any case: enough for a line search to find a step."""
MIN_SCALE_RATIO = 0.1
"""Smallest ratio of a scale to the one before. Fits that start far beyond their kinks converge slowly."""


class HuberRegressor(LinearRegressor):
    """Huber regression: squares for small residuals, absolute values for large ones; with a ridge.

    Minimises over coefficients and, unless it is given, ``scale_``:
    ``sum_i weight_i (scale + scale H((prediction_i - y_i) / scale)) + alpha ||coef||^2`` with ``H(r) = r^2`` up to
    ``epsilon`` and ``2 epsilon abs(r) - epsilon^2`` beyond. The objective is that of scikit-learn.

    Parameters
    ----------
    epsilon : float, default=1.35
        Residual, in units of the scale, from which a row counts as an outlier; from 1 when the scale is estimated.
    alpha : float, default=0.0001
        Strength of the ridge, from 0.
    scale : float or None, default=None
        Scale of the noise in units of y. None: it is estimated together with the coefficients.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
    solver : Solver or "auto", default="auto"
        An object of `offbeat.solvers`. "auto" chooses one by loss, penalty and shape, and ``trace_`` says why.
    engine : Engine or "auto", default="auto"
        An object of `offbeat.engines`: what does the work. "auto" takes all cores for large data, one thread for small
        data, and the cluster where X lies on one.
    settings : Settings or None, default=None
        An object of `offbeat.Settings`: how the fit is run. None: all workers wait for each other at each update.
    tol : float, default=1e-4
        Relative duality gap at which the fit stops: the gap divided by the objective at ``coef_ = 0``.
    max_iter : float, default=1000
        Most passes over the data that the whole fit may take.
    time_limit : float or None, default=None
        Most seconds that the whole fit may take, not counting the time to open the data.
    random_state : int, RandomState or None, default=None
        Seed of the solvers that draw random numbers.
    verbose : int, default=0
        Above 0, the fit shows its progress.
    warm_start : bool, default=False
        Whether to start from the coefficients of the previous fit.
    callbacks : callable, sequence of callable or None, default=None
        Each is called as ``callback(progress, row)`` after each certified update. The fit stops when one returns true.
    memory_budget : int, str or None, default=None
        Most bytes that reading data from files may hold at once: a number, or a string such as "1GiB".

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Coefficients.
    intercept_ : float
        Intercept, 0 without ``fit_intercept``.
    n_iter_ : int
        Passes over the data, rounded up.
    n_features_in_ : int
        Number of features, or of columns where X is a table.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns, where X has names.
    encoder_ : Encoder or None
        How the columns of a table became the features that ``coef_`` belongs to.
    target_ : str or None
        Name of the column that was the target, where it is known.
    read_options_ : ReadOptions
        How X was read, where it was a text file. Files for prediction are read in the same way.
    certificate_ : Certificate
        Proof of how near the model is to the optimum: ``primal``, ``dual``, ``gap``, ``relative_gap``, ``kind`` and
        ``satisfied``.
    status_ : str
        "converged", or why the fit stopped earlier.
    trace_ : Trace
        Record of the fit: ``to_frame()``, ``plot()``, ``report("fit.html")``.
    scale_ : float
        Scale of the noise.
    outliers_ : ndarray of bool, shape (n_rows,)
        Rows whose residual is beyond ``epsilon * scale_``.

    Notes
    -----
    Coefficients at a fixed scale and the scale at fixed coefficients are found in turn (the objective is convex in
    both) until the scale stands still. ``certificate_`` is that of the coefficients at ``scale_``, for half the
    objective above divided by the sum of the weights and multiplied by the scale.

    References
    ----------
    Huber & Ronchetti 2009, Robust Statistics, section 7.7. Owen 2007, Contemporary Mathematics 443:59.

    Examples
    --------
    >>> from offbeat.linear_model import HuberRegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0]], [0.1, 1.0, 1.9, 3.0, 40.0]
    >>> HuberRegressor().fit(X, y).outliers_.tolist()
    [False, False, False, False, True]
    """

    def __init__(
        self,
        *,
        epsilon: float = 1.35,
        alpha: float = 0.0001,
        scale: float | None = None,
        fit_intercept: bool = True,
        solver: Solver | Literal["auto"] = "auto",
        engine: Engine | Literal["auto"] = "auto",
        settings: Settings | None = None,
        tol: float = 1e-4,
        max_iter: float = 1000,
        time_limit: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        callbacks: Callbacks = None,
        memory_budget: int | str | None = None,
    ) -> None:
        super().__init__(
            fit_intercept=fit_intercept, solver=solver, engine=engine, settings=settings,
            tol=tol, max_iter=max_iter, time_limit=time_limit, random_state=random_state, verbose=verbose,
            warm_start=warm_start, callbacks=callbacks, memory_budget=memory_budget,
        )  # fmt: skip
        self.epsilon = epsilon
        self.alpha = alpha
        self.scale = scale

    def fit(self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Numbers.
        sample_weight : array-like of shape (n_rows,), or column name, optional
            Weights of the rows, from 0. Without them, all rows count the same.

        Returns
        -------
        self : HuberRegressor

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        epsilon = parameters.number("epsilon", self.epsilon)
        if epsilon < 1.0 and self.scale is None:
            raise ProblemError(
                f"epsilon is {epsilon:g}; the scale can be estimated from 1 on only: raise it or give scale"
            )
        dataset, total = self._local(X, y, sample_weight)
        start = self._warm(dataset.n_columns, 1)
        with interruptible() as interrupted:
            if self.scale is None:
                solution = self._alternate(dataset, total, start, interrupted)
            else:
                self.scale_ = parameters.number("scale", self.scale)
                solution = self._solve(translate.huber(epsilon, self.alpha, self.scale_, total), dataset, start)
        self._keep(solution)
        self._set_coef(solution)
        self.outliers_: NDArray[np.bool_] = np.abs(self._residuals(dataset)) > epsilon * self.scale_
        raise_if(interrupted, solution)
        return self

    def _alternate(
        self, dataset: Dataset, total: float, start: StartingPoint | None, interrupted: threading.Event
    ) -> Solution:
        """Fit coefficients and scale in turn; return the last fit, with the passes of all, and set ``scale_``.

        No fit takes all of the passes that are left: so the scale is near its optimum even after few passes. A fit that
        stalls for rounding counts as converged.
        """
        epsilon = float(self.epsilon)
        scale, floor = _first_scale(dataset, epsilon, getattr(self, "scale_", None) if start else None)
        before, allowed = (
            math.inf,
            Allowance(parameters.number("max_iter", self.max_iter), self.time_limit, interrupted.is_set),
        )
        for _ in range(MAX_SCALE_UPDATES):
            problem = translate.huber(epsilon, self.alpha, scale, total)
            left, seconds = allowed.part(1)
            share = max(MAX_SHARE_OF_PASSES * left, min(MIN_PASSES, left - 1.0), min(1.0, left))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                solution = self._solve(problem, dataset, start, (share, seconds))
            allowed.spend(solution)
            self._set_coef(solution)
            start = solution.coef[:, None], np.array([solution.intercept])
            residuals = np.abs(self._residuals(dataset))
            better = max(noise_scale(residuals, dataset.weight, epsilon), floor, MIN_SCALE_RATIO * scale)
            change = abs(math.log(better / scale))
            status = solution.status if _over(solution, change, before) else allowed.over
            if status is not None:
                break
            scale, before = better, change
        self.scale_, status = scale, status or solution.status
        if status not in ("converged", "interrupted"):
            message = shortfall(solution.certificate, status, allowed.passes)
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        return replace(solution, passes=allowed.passes, status=status)

    def _residuals(self, dataset: Dataset) -> Floats:
        z = linear_predictor(dataset.source, self.coef_, self.intercept_)
        residuals: Floats = z - dataset.y
        return residuals


def _over(solution: Solution, change: float, before: float) -> bool:
    """Whether coefficients and scale have converged, given the change of the scale's logarithm after the last fit.

    The objective is quadratic in that logarithm near its minimum, with a curvature of the order of the noise; the
    reference of the certificate is not below that. So where the scale is settled, moving it further would lower the
    objective by much less than the tolerance. Where rounding stalls the fits, it may also stall the scale.
    """
    if solution.status == "max_iter":  # of its share of the passes
        return False
    if solution.status == "stalled" and change >= before:
        return True
    settled = change <= 0.1 * math.sqrt(max(solution.certificate.tolerance, 1e-15))
    return settled or solution.status not in ("converged", "stalled")


def noise_scale(residuals: Floats, weight: Floats, epsilon: float) -> float:
    """Return the scale that minimises the objective at given residuals: ``sum v min(r^2 / s^2, epsilon^2) = sum v``.

    The left side is concave and piecewise linear in ``t = 1 / s^2``; Newton's method from the left reaches its root
    in finitely many steps.

    Parameters
    ----------
    residuals : ndarray, shape (n_rows,)
        Absolute values.
    weight : ndarray, shape (n_rows,) or (0,)
    epsilon : float
        From 1.

    Returns
    -------
    scale : float
        0 when so many residuals vanish that there is no root.

    Examples
    --------
    >>> noise_scale(np.array([1.0, 1.0, 1.0, 1.0, 100.0]), np.empty(0), 1.35).__round__(4)
    1.122
    """
    squares = residuals * residuals
    v = weight if weight.size else np.ones(1)
    total = float(v.sum()) if weight.size else float(len(residuals))
    t = 0.0
    for _ in range(200):
        inside = squares * t <= epsilon**2
        slope = float(np.sum(np.where(inside, v * squares, 0.0)))
        beyond = float(np.sum(np.where(inside, 0.0, v))) * epsilon**2
        if slope <= 0.0 or beyond >= total:
            return 0.0
        root = (total - beyond) / slope
        if root <= t * (1.0 + 1e-15):
            break
        t = root
    return 1.0 / math.sqrt(t)


def _first_scale(dataset: Dataset, epsilon: float, before: float | None) -> tuple[float, float]:
    """Return a scale to start from, and the smallest one that makes sense for this target."""
    centred = np.abs(dataset.y - _median(dataset.y, dataset.weight))
    spread = noise_scale(centred, dataset.weight, epsilon) or _mean(centred, dataset.weight) or 1.0
    return before or spread, MIN_RELATIVE_SCALE * spread


def _median(y: Floats, weight: Floats) -> float:
    """Return the lower weighted median."""
    if not weight.size:
        return float(np.partition(y, (len(y) - 1) // 2)[(len(y) - 1) // 2])
    order = np.argsort(y)
    below = np.cumsum(weight[order])
    return float(y[order[np.searchsorted(below, 0.5 * below[-1])]])


def _mean(values: Floats, weight: Floats) -> float:
    return float(np.average(values, weights=weight if weight.size else None))
