"""The model that Newton's method minimises at each step: a quadratic plus the penalty."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np

from offbeat.kernels.arguments import PenaltyScaling, SweepLimits
from offbeat.problem import Floats, Separable

LARGE = 256  # unknowns from which SciPy's Cholesky gains more than loading SciPy's linear algebra takes
MAX_SWEEPS = 10_000
SINGULAR = 1e-13  # smallest pivot, relative to the largest, that is not taken for rounding
STIFFEST = 1e300  # curvature of a penalty: beyond it a coefficient is 0 to rounding, and its square overflows


def newton_step(
    penalty: Separable, hessian: Floats, gradient: Floats, x: Floats, accuracy: float
) -> tuple[Floats, float]:
    """Return ``d`` that minimises ``gradient.d + d'Hd / 2 + R(x + d)``, and the model's first-order change.

    Parameters
    ----------
    penalty : Separable
        Of the first coordinates; the last ones are intercepts.
    hessian : ndarray, shape (m, m)
    gradient : ndarray, shape (m,)
        Of the loss alone.
    x : ndarray, shape (m,)
        Coefficients and intercepts.
    accuracy : float
        Coordinate descent stops when no coordinate moves further than this, in units of sqrt(curvature) * coefficient.

    Returns
    -------
    d : ndarray, shape (m,)
    change : float
        ``gradient.d + R(x + d) - R(x)``; negative unless ``x`` is optimal.
    """
    k = len(penalty.factor)
    if penalty.smooth:
        bend = np.zeros(len(x))
        bend[:k] = np.minimum(penalty.curvature(), STIFFEST)
        slope = gradient + bend * x
        d = _cholesky_step(hessian, bend, slope)
        return d, float(slope @ d) + 0.5 * float(d @ (bend * d))
    from offbeat.kernels import gram

    new = x.copy()
    limits = SweepLimits(MAX_SWEEPS, 0.0, accuracy)
    scaling = PenaltyScaling(penalty.factor, penalty.weight)
    damped = hessian + _jitter(hessian) * np.eye(len(x))
    gram.descend(penalty.rule, damped, gradient.copy(), new, scaling, limits)
    d = new - x
    return d, float(gradient @ d) + penalty.value(new[:k]) - penalty.value(x[:k])


def _jitter(hessian: Floats) -> float:
    """Return a diagonal shift that rounding needs when columns are collinear."""
    return 1e-13 * float(np.max(np.diag(hessian), initial=0.0))


def _cholesky_step(hessian: Floats, bend: Floats, slope: Floats) -> Floats:
    """Solve ``(H + diag(bend)) d = -slope``; the shortest ``d`` when the matrix is singular to rounding."""
    unit = _units(hessian, bend)
    matrix = hessian * unit
    matrix *= unit[:, None]
    np.einsum("ii->i", matrix)[:] += bend * unit * unit
    d = _solved(matrix, -slope * unit)
    d *= unit
    return d


def _units(hessian: Floats, bend: Floats) -> Floats:
    """Return units of the unknowns in which no penalty is far above the others and the loss: powers of two.

    A ridge on a column in tiny units is huge in internal coordinates. What is small next to it is not singular. The
    loss has no part in this beyond its largest curvature: a column whose own curvature is rounding must stay small.
    """
    level = float(np.max(np.diag(hessian), initial=0.0))
    if not math.isfinite(level):
        return np.ones(len(bend))
    whole = bend + level
    lowest = float(np.min(whole, initial=STIFFEST, where=whole > 0.0))
    exponent = np.rint(0.5 * np.log2(np.maximum(whole, lowest) / lowest))
    return np.exp2(-exponent)


def _solved(matrix: Floats, right: Floats) -> Floats:
    """Solve a symmetric system; the least-norm solution when the matrix is singular to rounding."""
    factor = _cholesky(matrix)
    pivots = np.einsum("ii->i", factor) ** 2
    if not pivots.min() > SINGULAR * pivots.max():
        return _shortest(matrix, right)
    if len(matrix) >= LARGE:
        from scipy.linalg.lapack import dpotrs

        d: Floats = dpotrs(factor, right, lower=1)[0]
        return d
    from offbeat.kernels.triangular import cholesky_solve

    cholesky_solve(factor, right)
    return right


def _cholesky(matrix: Floats) -> Floats:
    """Return the lower triangle, with zeros on the diagonal when the matrix is not positive definite."""
    if len(matrix) >= LARGE:
        from scipy.linalg.lapack import dpotrf

        found, failed = dpotrf(matrix, lower=1)
        return np.zeros_like(matrix) if failed else found
    factor = np.zeros_like(matrix)
    with suppress(np.linalg.LinAlgError):
        factor[...] = np.linalg.cholesky(matrix)
    return factor


def _shortest(matrix: Floats, right: Floats) -> Floats:
    """Return the least-norm solution: collinear columns share what they explain, and repeated fits agree."""
    if not np.all(np.isfinite(matrix)):
        return right  # the next evaluation turns the step down, or makes what it can of the gradient
    values, vectors = np.linalg.eigh(matrix)
    kept = values > SINGULAR * max(float(values[-1]), 0.0)
    d: Floats = vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept])
    return d
