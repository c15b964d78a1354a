"""The model that Newton's method minimises at each step: a quadratic plus the penalty."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from offbeat.problem import Floats, Separable

MAX_SWEEPS = 10_000
SHIFTS = 200


def newton_step(
    penalty: Separable, hessian: Floats, gradient: Floats, x: Floats, accuracy: float
) -> tuple[Floats, float]:
    """Return ``d`` that minimises ``gradient.d + d'Hd / 2 + R(x + d)``, and the model's first-order change.

    Parameters
    ----------
    penalty : Separable
        Of the first coordinates; the last one is the intercept.
    hessian : ndarray, shape (k + 1, k + 1)
    gradient : ndarray, shape (k + 1,)
        Of the loss alone.
    x : ndarray, shape (k + 1,)
        Coefficients and intercept.
    accuracy : float
        Coordinate descent stops when no coordinate moves further than this, in units of sqrt(curvature) * coefficient.

    Returns
    -------
    d : ndarray, shape (k + 1,)
    change : float
        ``gradient.d + R(x + d) - R(x)``; negative unless ``x`` is optimal.
    """
    u = x[:-1]
    if penalty.smooth:
        bend = np.append(penalty.curvature(), 0.0)
        slope = gradient + bend * x
        d = _cholesky_step(hessian, bend, slope)
        return d, float(slope @ d) + 0.5 * float(d @ (bend * d))
    from offbeat.kernels import separable

    new = x.copy()
    limits = (MAX_SWEEPS, accuracy)
    scaling = (penalty.factor, penalty.weight)
    damped = hessian + _jitter(hessian) * np.eye(len(x))
    separable.quadratic_descent(penalty.rule, damped, gradient.copy(), new, scaling, limits)
    d = new - x
    return d, float(gradient @ d) + penalty.value(new[:-1]) - penalty.value(u)


def _jitter(hessian: Floats) -> float:
    """Return a diagonal shift that rounding needs when columns are collinear."""
    return 1e-13 * float(np.max(np.diag(hessian), initial=0.0))


def _cholesky_step(hessian: Floats, bend: Floats, slope: Floats) -> Floats:
    """Solve ``(H + diag(bend)) d = -slope``, with the smallest diagonal shift that makes it positive definite."""
    matrix = hessian.copy()
    diagonal = np.einsum("ii->i", matrix)
    diagonal += bend
    shift, base = _jitter(hessian) + 1e-300, diagonal.copy()
    for _ in range(SHIFTS):
        np.copyto(diagonal, base + shift)
        try:
            factor = cho_factor(matrix, lower=True, check_finite=False)
            d: Floats = cho_solve(factor, -slope, check_finite=False)
        except np.linalg.LinAlgError:
            d = np.full_like(slope, np.nan)
        if np.all(np.isfinite(d)):
            return d
        shift *= 100.0
    return -slope  # the Hessian is not finite: the line search makes what it can of the gradient
