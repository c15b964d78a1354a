"""The subproblem of a Newton step: minimise a quadratic model of the loss plus the penalty."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np

from offbeat.kernels.arguments import PenaltyScaling, SweepLimits
from offbeat.problem import Floats, ScaledPenalty

MIN_UNKNOWNS_FOR_SCIPY = 256  # with fewer, SciPy's faster Cholesky does not make up for the import of scipy.linalg
MAX_SWEEPS = 10_000  # of coordinate descent
MIN_RELATIVE_PIVOT = 1e-13  # squared pivot over the largest; below, the matrix counts as singular
MAX_PENALTY_CURVATURE = 1e300  # above, the coefficient is 0 to rounding, and squares would overflow


def newton_step(
    penalty: ScaledPenalty, hessian: Floats, gradient: Floats, x: Floats, accuracy: float
) -> tuple[Floats, float]:
    """Return ``d`` that minimises ``gradient.d + d'Hd / 2 + R(x + d)``, and the model's first-order change.

    Parameters
    ----------
    penalty : ScaledPenalty
        Penalty of the first coordinates; the last ones are intercepts.
    hessian : ndarray, shape (m, m)
    gradient : ndarray, shape (m,)
        Gradient of the loss alone.
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
        curvature = np.zeros(len(x))
        curvature[:k] = np.minimum(penalty.curvature(), MAX_PENALTY_CURVATURE)
        slope = gradient + curvature * x
        d = _cholesky_step(hessian, curvature, slope)
        return d, float(slope @ d) + 0.5 * float(d @ (curvature * d))
    from offbeat.kernels import gram

    new = x.copy()
    limits = SweepLimits(MAX_SWEEPS, 0.0, accuracy)
    scaling = PenaltyScaling(penalty.factor, penalty.weight)
    damped = hessian + _jitter(hessian) * np.eye(len(x))
    gram.descend(penalty.rule, damped, gradient.copy(), new, scaling, limits)
    d = new - x
    return d, float(gradient @ d) + penalty.value(new[:k]) - penalty.value(x[:k])


def _jitter(hessian: Floats) -> float:
    """Return a diagonal shift that keeps the matrix definite despite rounding, when columns are collinear."""
    return 1e-13 * float(np.max(np.diag(hessian), initial=0.0))


def _cholesky_step(hessian: Floats, curvature: Floats, slope: Floats) -> Floats:
    """Solve ``(H + diag(curvature)) d = -slope``. If the matrix is singular to rounding, ``d`` has the least norm."""
    unit = _scaling_units(hessian, curvature)
    matrix = hessian * unit
    matrix *= unit[:, None]
    np.einsum("ii->i", matrix)[:] += curvature * unit * unit
    d = _solve(matrix, -slope * unit)
    d *= unit
    return d


def _scaling_units(hessian: Floats, curvature: Floats) -> Floats:
    """Return units of the unknowns, powers of two, that bring the curvatures of the penalties near that of the loss.

    A ridge on a column in tiny units is huge in internal coordinates, and the other columns would seem singular next to
    it. The loss enters with its largest curvature only: a column whose own curvature is rounding must not be scaled up.
    """
    level = float(np.max(np.diag(hessian), initial=0.0))
    if not math.isfinite(level):
        return np.ones(len(curvature))
    whole = curvature + level
    lowest = float(np.min(whole, initial=MAX_PENALTY_CURVATURE, where=whole > 0.0))
    exponent = np.rint(0.5 * np.log2(np.maximum(whole, lowest) / lowest))
    return np.exp2(-exponent)


def _solve(matrix: Floats, right: Floats) -> Floats:
    """Solve a symmetric system. If the matrix is singular to rounding, return the least-norm solution."""
    factor = _cholesky(matrix)
    pivots = np.einsum("ii->i", factor) ** 2
    if not pivots.min() > MIN_RELATIVE_PIVOT * pivots.max():
        return _least_norm(matrix, right)
    if len(matrix) >= MIN_UNKNOWNS_FOR_SCIPY:
        from scipy.linalg.lapack import dpotrs

        d: Floats = dpotrs(factor, right, lower=1)[0]
        return d
    from offbeat.kernels.triangular import cholesky_solve

    cholesky_solve(factor, right)
    return right


def _cholesky(matrix: Floats) -> Floats:
    """Return the lower Cholesky factor, or zeros if the matrix is not positive definite."""
    if len(matrix) >= MIN_UNKNOWNS_FOR_SCIPY:
        from scipy.linalg.lapack import dpotrf

        found, failed = dpotrf(matrix, lower=1)
        return np.zeros_like(matrix) if failed else found
    factor = np.zeros_like(matrix)
    with suppress(np.linalg.LinAlgError):
        factor[...] = np.linalg.cholesky(matrix)
    return factor


def _least_norm(matrix: Floats, right: Floats) -> Floats:
    """Return the least-norm solution. Collinear columns get equal shares, so repeated fits agree."""
    if not np.all(np.isfinite(matrix)):
        return right  # the next evaluation rejects the step
    values, vectors = np.linalg.eigh(matrix)
    kept = values > MIN_RELATIVE_PIVOT * max(float(values[-1]), 0.0)
    d: Floats = vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept])
    return d
