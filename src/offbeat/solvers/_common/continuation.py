"""Continuation: a problem with a stronger ridge first, then weaker ones, until the given problem is solved.

With a weak ridge, Newton's steps go far beyond the minimum along them: the loss has no curvature where the predictions
of rows are saturated, rightly or wrongly. With a strong ridge a step or two come near the solution, and this solution
is a good start for the next, weaker ridge. All ridges are multiples of the given penalty; the multiple is the *factor*.

Sources: Marteau-Ferey, Bach & Rudi 2019 (NeurIPS: decreasing ridges for generalised self-concordant losses); Allgower &
Georg 1990, Numerical Continuation Methods.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offbeat.problem import Floats, ScaledPenalty

ROWS_PER_FREE_COEFFICIENT = 25.0  # with more rows for each effective degree of freedom, the problem is easy
FACTOR_RATIO = 5.0  # of one problem's ridge to the next one's
MAX_EASY_PRODUCTS = 3  # Hessian products of a step; after a step with no more, one problem is skipped
MIN_ROWS_FOR_CONTINUATION = 10_000.0  # with fewer, a fit is cheap; so rows with weights and repeated rows act alike
MAX_SAMPLED_COEFFICIENTS = 100_000  # used to estimate the degrees of freedom
MAX_FACTOR = 1e12


def first_factor(curvature: Floats, penalty: Floats, rows: float) -> float:
    """Return the first factor of the penalty: 1 if the problem is easy.

    The degrees of freedom, ``sum(curvature / (curvature + penalty))``, decide.

    Parameters
    ----------
    curvature : ndarray, shape (k, n_outputs)
        Diagonal of the Hessian of the loss.
    penalty : ndarray, shape (k, n_outputs)
        Curvature of the penalty for the same coefficients.
    rows : float
        Number of rows, times the number of independent outputs.
    """
    every = max(curvature.size // MAX_SAMPLED_COEFFICIENTS, 1)  # one column in so many is used, with all its outputs
    curvature, penalty = curvature[::every].astype(np.float64), penalty[::every].astype(np.float64)
    if rows < MIN_ROWS_FOR_CONTINUATION or not np.all(penalty > 0.0):
        return 1.0
    factor = 1.0
    while (
        factor < MAX_FACTOR
        and every * float(np.sum(curvature / (curvature + factor * penalty))) > rows / ROWS_PER_FREE_COEFFICIENT
    ):
        factor *= FACTOR_RATIO
    return factor


def strengthened(penalty: ScaledPenalty, times: float) -> ScaledPenalty:
    """Return a penalty multiplied by a factor."""
    return penalty if times == 1.0 else replace(penalty, weight=times * penalty.weight)


def next_factor(factor: float, products: int) -> float:
    """Return the next factor, after a step that took this number of Hessian products."""
    return max(factor / (FACTOR_RATIO * FACTOR_RATIO if products <= MAX_EASY_PRODUCTS else FACTOR_RATIO), 1.0)
