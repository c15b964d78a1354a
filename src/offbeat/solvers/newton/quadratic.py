"""Quadratic losses: once the Gram matrix is known, everything follows from it, as far as its rounding allows.

A certificate that is taken from the matrix is widened by what rounding may have done to it. Where that is more than
was asked for, the point is evaluated on the rows, and the next step starts from what they say: iterative refinement
(Wilkinson 1963, Rounding Errors in Algebraic Processes, section 3.33).
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

ACCURACIES = (1e-6, 1e-10, 1e-14)  # of the descent on the Gram matrix, times the root of the objective at zero
ROUNDED = 8.0  # units of rounding in an entry of a Gram matrix of few rows, relative to the diagonal
ROUNDS = 4  # evaluations of points on the rows


@dataclass(frozen=True)
class Quadratic:
    """A quadratic loss, known from one evaluation with its Hessian.

    Parameters
    ----------
    x : Iterate
        Where it was evaluated.
    at : Evaluation
        There.
    hessian : ndarray, shape (k + 1, k + 1)
        Intercept last: the same everywhere.
    rounding : float
        Bound of the error of its entries, relative to the diagonal.
    """

    x: Iterate
    at: Evaluation
    hessian: Floats
    rounding: float

    def evaluation(self, x: Iterate) -> Evaluation:
        """Return the evaluation at another point."""
        d, size = x.flat() - self.x.flat(), x.u.size
        bent = self.hessian @ d
        gradient = np.concatenate([self.at.gradient, self.at.intercept_gradient])
        loss = self.at.loss + float(gradient @ d) + 0.5 * float(d @ bent)
        after = gradient + bent
        return Evaluation(max(loss, 0.0), after[:size], after[size:], self.at.repair, self.at.repair_sum)

    @property
    def roots(self) -> Floats:
        """Roots of the diagonal; of a column without curvature, what rounding may have left of it."""
        return np.sqrt(np.maximum(np.diag(self.hessian), self.rounding))

    def doubt(self, x: Iterate) -> tuple[float, float]:
        """Return how far rounding may have moved the gap, and the norm of the gradient, at another point.

        With ``r`` the roots of the diagonal, the error of gradient entry ``j`` is at most ``rounding r_j (r.abs(d))``;
        the excess of a point is at most its product with the distance from the optimum, about ``x`` itself.
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
        Whether the matrix of rows in single precision was summed in double.
    """
    if info.single and not exact:
        return 4.0 * float(np.finfo(np.float32).eps)
    terms = info.n_rows if info.sparse else info.n_rows / MIN_HESSIAN_BUFFER_ROWS
    unit = float(np.finfo(np.float64).eps) * (ROUNDED + math.sqrt(terms))  # roundings differ in sign
    if not info.sparse:
        return unit
    return unit * (1.0 + min(float(np.max(np.abs(info.center) / info.scale, initial=0.0)), MAX_MEAN_TO_DEVIATION) ** 2)


def solve_quadratic(
    problem: Problem, info: DataInfo, model: Quadratic, x: Iterate
) -> tuple[Iterate, Evaluation, Progress]:
    """Solve a quadratic loss to the tolerance, without another look at the data.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    model : Quadratic
    x : Iterate
        Where to start.

    Returns
    -------
    x : Iterate
    at : Evaluation
        At the solution.
    progress : Progress
        Its certificate allows for rounding.
    """
    scale = np.sqrt(max(info.reference.objective, 1e-300))
    at = model.evaluation(x)
    for accuracy in ACCURACIES:
        gradient = np.concatenate([at.gradient, at.intercept_gradient])
        d, _ = newton_step(info.penalty, model.hessian, gradient, x.flat(), accuracy * scale)
        x = x.plus(d)
        at = model.evaluation(x)
        progress = evaluation.progress(problem, info, x, at)
        if progress.certificate.satisfied:
            break
    return x, at, replace(progress, certificate=evaluation.widened(progress.certificate, *model.doubt(x), info))


def refined(
    problem: Problem, info: DataInfo, model: Quadratic, x: Iterate,
    look: Callable[[DataInfo, Iterate], Evaluation] | None = None,
) -> tuple[Iterate, Progress, int]:  # fmt: skip
    """Solve a quadratic loss to the tolerance; where rounding leaves doubt, look at the rows.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    model : Quadratic
    x : Iterate
        Where to start.
    look : callable, optional
        Evaluates a point on the rows.

    Returns
    -------
    x : Iterate
        The best point that was found.
    progress : Progress
    looks : int
        How often the rows were looked at.
    """
    x, _, progress = solve_quadratic(problem, info, model, x)
    best, looks = (x, progress), 0
    while look is not None and looks < ROUNDS and not best[1].certificate.satisfied:
        looks += 1
        model = replace(model, x=x, at=look(info, x))
        seen = evaluation.progress(problem, info, x, model.at)
        if seen.certificate.relative_gap <= best[1].certificate.relative_gap:
            best = x, seen
        x, _, _ = solve_quadratic(problem, info, model, x)
    return *best, looks
