"""Quadratic losses: once the Gram matrix is known, everything follows from it, the certificate included."""

from __future__ import annotations

import numpy as np

from offbeat.problem import Evaluation, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, Progress
from offbeat.solvers.subproblem import newton_step

ACCURACIES = (1e-6, 1e-10, 1e-14)  # of the descent on the Gram matrix, times the root of the objective at zero


def solve_quadratic(
    problem: Problem, info: DataInfo, x: Iterate, at: Evaluation, hessian: Floats
) -> tuple[Iterate, Evaluation, Progress]:
    """Solve a quadratic loss to the tolerance, without another look at the data.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    x : Iterate
        Where to start.
    at : Evaluation
        Of the loss at ``x``.
    hessian : ndarray, shape (k + 1, k + 1)
        Of the loss, intercept last: the same everywhere.

    Returns
    -------
    x : Iterate
    at : Evaluation
        At the solution.
    progress : Progress
    """
    scale = np.sqrt(max(info.reference.objective, 1e-300))
    for accuracy in ACCURACIES:
        gradient = np.concatenate([at.gradient, at.intercept_gradient])
        d, _ = newton_step(info.penalty, hessian, gradient, x.flat(), accuracy * scale)
        x, at = x.plus(d), moved(info, at, hessian, d)
        progress = evaluation.progress(problem, info, x, at)
        if progress.certificate.satisfied:
            break
    return x, at, progress


def moved(info: DataInfo, at: Evaluation, hessian: Floats, d: Floats) -> Evaluation:
    """Return the evaluation of a quadratic loss a step ``d`` from where it was evaluated."""
    bent = hessian @ d
    gradient = np.concatenate([at.gradient, at.intercept_gradient])
    loss = at.loss + float(gradient @ d) + 0.5 * float(d @ bent)
    after = gradient + bent
    return Evaluation(loss, after[: info.size], after[info.size :], at.repair, at.repair_sum)
