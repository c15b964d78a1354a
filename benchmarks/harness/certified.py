"""The reference for data with too many columns for a Hessian: a point of ours, whose duality gap NumPy checks."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import objective
from benchmarks.harness.problem import Floats, Problem

ACCURATE = 1e-9  # relative duality gap that a reference must have
LOOSE = 1e-7  # of support vector machines: the least value that anybody reached counts, too


def solve(problem: Problem) -> tuple[Floats, Floats]:
    """Return coefficients (n_alphas, n_columns) and intercepts at the optimum, to a relative gap of `ACCURATE`.

    Parameters
    ----------
    problem : Problem
        Without intercept; the lasso with the logistic or squared loss, or the ridge with the logistic loss or a hinge.

    Raises
    ------
    ValueError
        If the problem is of another kind, or NumPy finds a larger gap.
    """
    import offbeat
    from benchmarks.solvers._offbeat import stated

    if not problem.fit_intercept and problem.l1_ratio == 0.0 and problem.loss in ("logistic", "hinge", "squared-hinge"):
        return _ridge(problem)
    if problem.fit_intercept or problem.l1_ratio != 1.0 or problem.loss not in ("logistic", "squared"):
        raise ValueError(
            f"{problem.name}: of many columns, only the lasso and the ridge, no intercept, have a reference"
        )
    path = offbeat.solve_path(
        stated(problem, float(problem.alphas[0])), problem.X, problem.y, alphas=problem.alphas, fit_intercept=False,
        tol=1e-11,
    )  # fmt: skip
    gaps = relative_gaps(problem, path.coefs)
    if not gaps.max() <= ACCURATE:
        raise ValueError(f"{problem.name}: the reference has a relative gap of {gaps.max():.1e}")
    return path.coefs, path.intercepts


def _ridge(problem: Problem) -> tuple[Floats, Floats]:
    """Return the coefficients of a ridge, to the gap of the fit's own certificate: `LOOSE` for the hinges.

    A hinge is not differentiable, so that no dual point follows from the coefficients.
    """
    import offbeat
    from benchmarks.solvers._offbeat import stated

    tol = ACCURATE if problem.loss == "logistic" else LOOSE
    fit = offbeat.solve(
        stated(problem, problem.alpha), problem.X, problem.y, fit_intercept=False, tol=tol, max_iter=5000,
        progress=False,
    )  # fmt: skip
    if not fit.certificate.satisfied:
        raise ValueError(f"{problem.name}: the reference has a relative gap of {fit.certificate.relative_gap:.1e}")
    return fit.coef[None, :], np.zeros(1)


def relative_gaps(problem: Problem, coef: Floats) -> Floats:
    """Return the duality gap of each lasso solution, relative to the objective at zero; shares no code with Offbeat."""
    primal = objective.objectives(problem, coef, np.zeros(len(coef)))
    z = problem.X @ coef.T
    y = problem.y[:, None]
    theta = (1.0 / (1.0 + np.exp(-z)) if problem.loss == "logistic" else z) - y
    slopes = np.abs(problem.X.T @ theta).max(axis=0) / problem.n
    theta *= np.minimum(1.0, problem.alphas / slopes)
    if problem.loss == "logistic":
        p = np.clip(theta + y, 1e-300, 1.0)
        q = np.clip(1.0 - theta - y, 1e-300, 1.0)
        dual = -(p * np.log(p) + q * np.log(q)).mean(axis=0)
    else:
        dual = -(theta * (0.5 * theta + y)).mean(axis=0)
    return np.asarray((primal - dual) / objective.scale(problem))
