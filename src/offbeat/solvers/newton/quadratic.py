"""Quadratic losses: the solution and its certificate from the Gram matrix, without another pass.

The certificate is widened by a bound of the rounding of the matrix. If this exceeds the tolerance, the solution is
evaluated on the rows, and the next step starts from this evaluation: iterative refinement (Wilkinson 1963, Rounding
Errors in Algebraic Processes, section 3.33).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from offbeat.data.shards.blocks import MIN_HESSIAN_BUFFER_ROWS
from offbeat.data.shards.conditioning import MAX_MEAN_TO_DEVIATION
from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, Progress
from offbeat.solvers.newton.subproblem import newton_step

DESCENT_ACCURACIES = (1e-6, 1e-10, 1e-14)  # of coordinate descent, tried in turn; times the root of the null objective
BASE_ROUNDING_UNITS = 8.0  # error of an entry of the Gram matrix of few rows, in units of rounding of the diagonal
MAX_ROW_EVALUATIONS = 4  # of iterative refinement


@dataclass(frozen=True)
class QuadraticModel:
    """A quadratic loss, known from one evaluation with its Hessian.

    Parameters
    ----------
    x : Iterate
        Point of the evaluation.
    at : Evaluation
        Loss and gradient at ``x``.
    hessian : ndarray, shape (k + 1, k + 1)
        Hessian of the loss, intercept last.
    rounding : float
        Bound of the error of its entries, relative to the diagonal.
    """

    x: Iterate
    at: Evaluation
    hessian: Floats
    rounding: float

    def evaluation(self, x: Iterate) -> Evaluation:
        """Return the evaluation at another point, from the model."""
        d, size = x.flat() - self.x.flat(), x.u.size
        product = self.hessian @ d
        gradient = np.concatenate([self.at.gradient, self.at.intercept_gradient])
        loss = self.at.loss + float(gradient @ d) + 0.5 * float(d @ product)
        after = gradient + product
        return Evaluation(max(loss, 0.0), after[:size], after[size:], self.at.repair, self.at.repair_sum)

    @property
    def roots(self) -> Floats:
        """Square roots of the diagonal, bounded below by the rounding of an entry."""
        return np.sqrt(np.maximum(np.diag(self.hessian), self.rounding))

    def rounding_errors(self, x: Iterate) -> tuple[float, float]:
        """Return bounds of the rounding errors of the gap and of the gradient's norm at another point.

        With ``r`` the roots of the diagonal, the error of gradient entry ``j`` is at most ``rounding r_j (r.abs(d))``.
        The error of the gap is at most the product of this with the distance from the optimum, which is of the order of
        ``x``.
        """
        roots = self.roots
        moved = float(roots @ np.abs(x.flat() - self.x.flat()))
        reach = float(roots[: x.u.size] @ np.abs(x.u)) + moved
        return self.rounding * moved * reach, self.rounding * moved * float(np.linalg.norm(roots))


def rounding(info: DataInfo, *, exact: bool = False) -> float:
    """Return a bound of the error of the entries of a Gram matrix, relative to its diagonal.

    Parameters
    ----------
    info : DataInfo
    exact : bool
        Whether the matrix was summed in double precision although the rows are in single precision.
    """
    if info.single and not exact:
        return 4.0 * float(np.finfo(np.float32).eps)
    terms = info.n_rows if info.sparse else info.n_rows / MIN_HESSIAN_BUFFER_ROWS
    unit = float(np.finfo(np.float64).eps) * (
        BASE_ROUNDING_UNITS + math.sqrt(terms)
    )  # rounding errors have random signs
    if not info.sparse:
        return unit
    return unit * (1.0 + min(float(np.max(np.abs(info.center) / info.scale, initial=0.0)), MAX_MEAN_TO_DEVIATION) ** 2)


def solve_quadratic(
    problem: Problem, info: DataInfo, model: QuadraticModel, x: Iterate
) -> tuple[Iterate, Evaluation, Progress]:
    """Solve a quadratic loss to the tolerance, from the Gram matrix alone.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    model : QuadraticModel
    x : Iterate
        Start of the descent.

    Returns
    -------
    x : Iterate
    at : Evaluation
        Evaluation at the solution, from the model.
    progress : Progress
        Its certificate includes the rounding of the Gram matrix.
    """
    scale = np.sqrt(max(info.reference.objective, 1e-300))
    at = model.evaluation(x)
    for accuracy in DESCENT_ACCURACIES:
        gradient = np.concatenate([at.gradient, at.intercept_gradient])
        d, _ = newton_step(info.penalty, model.hessian, gradient, x.flat(), accuracy * scale)
        x = x.plus(d)
        at = model.evaluation(x)
        progress = evaluation.progress(problem, info, x, at)
        if progress.certificate.satisfied:
            break
    return (
        x,
        at,
        replace(progress, certificate=evaluation.widened(progress.certificate, *model.rounding_errors(x), info)),
    )


def solve_and_refine(
    problem: Problem, info: DataInfo, model: QuadraticModel, x: Iterate,
    look: Callable[[DataInfo, Iterate], Evaluation] | None = None,
) -> tuple[Iterate, Progress, int]:  # fmt: skip
    """Solve a quadratic loss to the tolerance, with iterative refinement if the Gram matrix is not accurate enough.

    Parameters
    ----------
    problem, info, model, x
        See `solve_quadratic`.
    look : callable, optional
        Evaluates a point on the rows. None means no refinement.

    Returns
    -------
    x : Iterate
        The best point.
    progress : Progress
    looks : int
        Number of evaluations on the rows.
    """
    x, _, progress = solve_quadratic(problem, info, model, x)
    best, looks = (x, progress), 0
    while look is not None and looks < MAX_ROW_EVALUATIONS and not best[1].certificate.satisfied:
        looks += 1
        model = replace(model, x=x, at=look(info, x))
        seen = evaluation.progress(problem, info, x, model.at)
        if seen.certificate.relative_gap <= best[1].certificate.relative_gap:
            best = x, seen
        x, _, _ = solve_quadratic(problem, info, model, x)
    return *best, looks
