"""Fits of the columns without penalty alone.

The least strength at which all penalised coefficients are zero depends on the slopes where only the others are fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Data
from offbeat.engines.interrupt import interruptible, raise_if
from offbeat.errors import ConvergenceWarning
from offbeat.fit.inspection import Options
from offbeat.fit.settings import FitArguments
from offbeat.fit.solve import fit
from offbeat.penalties import L1
from offbeat.problem import Evaluation, Floats, Problem, ScaledPenalty
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo
from offbeat.solvers.newton.quadratic import QuadraticModel, solve_and_refine

Start: TypeAlias = tuple[Floats, Floats]
Evaluator: TypeAlias = Callable[[DataInfo, Iterate], Evaluation]
"""Evaluates a point on all rows."""
STRENGTH_FACTOR = 100.0  # first strength over the steepest slope at the null model, and each strength over the last
MAX_STRENGTHS = 20  # strengths that are tried
FREE_COLUMNS_TOL = 1e-10  # tolerance of their fit: the strength errs by about this share of the slope at the null model


def unpenalised(penalty: ScaledPenalty) -> NDArray[np.bool_]:
    """Return which columns have no penalty while others have one."""
    free = penalty.weight == 0.0
    return free if not free.all() else np.zeros_like(free)


def steepest(penalty: ScaledPenalty, at: Evaluation) -> float:
    """Return the largest slope of the loss along a column with penalty, in units of its strength."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.abs(at.gradient) / penalty.factor / penalty.weight
    return float(np.max(slopes[np.isfinite(slopes) & (penalty.weight > 0.0)], initial=0.0))


def fit_free(problem: Problem, dataset: Data, options: Options, strength: float) -> tuple[Start, float]:
    """Fit the columns without penalty alone: those with one get a lasso that is too strong for them.

    Parameters
    ----------
    problem : Problem
        With weights in its penalty, some of which are 0.
    dataset : Data
    options : Options
    strength : float
        To begin with; it is raised until all coefficients with penalty are zero.

    Returns
    -------
    start : tuple of ndarray, shapes (n_columns,) and (1,)
        Coefficients and intercept.
    passes : float
    """
    passes = 0.0
    options = replace(options, tol=FREE_COLUMNS_TOL)
    held = np.asarray(problem.penalty.weights, np.float64) > 0.0
    for alpha in _strengths(strength):
        lasso = Problem(problem.loss, L1(alpha, weights=problem.penalty.weights))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            with interruptible() as interrupted:
                solution = fit(lasso, dataset, options, FitArguments())
            raise_if(interrupted, solution)
        passes += solution.passes
        options = replace(options, start=(solution.coef, np.atleast_1d(solution.intercept)))
        if not np.any(solution.coef[held]):
            break
    assert options.start is not None
    return options.start, passes


def free_quadratic(
    problem: Problem, info: DataInfo, model: QuadraticModel, strength: float, evaluate: Evaluator | None
) -> tuple[Evaluation, int]:
    """Fit the columns without penalty alone, for a quadratic loss; see `fit_free`.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    model : QuadraticModel
        The loss.
    strength : float
    evaluate : callable, optional
        Evaluates a point on the rows.

    Returns
    -------
    at : Evaluation
        Where they are fitted.
    evaluations : int
        How often the rows were read.
    """
    x, evaluations, held = model.x, 0, info.penalty.weight > 0.0
    reference = info.reference._replace(tolerance=FREE_COLUMNS_TOL)
    for alpha in _strengths(strength):
        lasso = replace(info, penalty=replace(info.penalty, rule=L1(alpha)), reference=reference)
        x, _, more = solve_and_refine(problem, lasso, model, x, evaluate)
        evaluations += more
        if not np.any(x.u[held]):
            break
    if evaluations == 0 or evaluate is None:
        return model.evaluation(x), evaluations
    return evaluate(info, x), evaluations + 1


def _strengths(first: float) -> list[float]:
    """Return strengths to try, until one is large enough."""
    return [max(first, np.finfo(np.float64).tiny) * STRENGTH_FACTOR**i for i in range(MAX_STRENGTHS)]
