"""Separable penalties on vectors.

The penalty of coordinate ``j`` is ``r(factor[j] * u; weight[j])``: ``u`` is the internal, scaled coefficient,
``factor[j] * u`` the one the user's penalty is about. ``penalty`` is a ``NamedTuple`` without its own weights.
"""

from __future__ import annotations

import numpy as np

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of penalties)
from offbeat.kernels.compiled import kernel


@kernel(error_model="numpy")
def original(penalty, u, factor, weight):
    """Return the coefficient that the penalty is about, put back on a bound that rounding took it across."""
    w = factor * u
    inside = penalty.prox(w, 0.0, weight)
    return inside if abs(inside - w) <= 1e-12 * abs(w) else w


@kernel(error_model="numpy")
def value(penalty, u, factor, weight):
    """Return the penalty at ``u``."""
    total = 0.0
    for j in range(u.shape[0]):
        total += penalty.value(original(penalty, u[j], factor[j], weight[j]), weight[j])
    return total


@kernel(error_model="numpy")
def conjugate(penalty, slope, scale, factor, weight):
    """Return the conjugate at ``scale * slope``."""
    total = 0.0
    for j in range(slope.shape[0]):
        total += penalty.conjugate(scale * slope[j] / factor[j], weight[j])
    return total


@kernel(error_model="numpy")
def dual_scale(penalty, slope, factor, weight):
    """Return the largest scale in [0, 1] at which the conjugate of ``scale * slope`` is finite."""
    scale = 1.0
    for j in range(slope.shape[0]):
        scale = min(scale, penalty.dual_scale(slope[j] / factor[j], weight[j]))
    return scale


@kernel(error_model="numpy")
def prox(penalty, v, step, factor, weight):
    """Return the proximal point of ``v``: ``argmin_u ||u - v||^2 / 2 + step * r(factor u)``."""
    u = np.empty_like(v)
    for j in range(v.shape[0]):
        c = factor[j]
        u[j] = penalty.prox(c * v[j], step * c * c, weight[j]) / c
    return u


@kernel(error_model="numpy")
def optimality(penalty, u, gradient, factor, weight):
    """Return the Euclidean distance of ``-gradient`` from the subdifferential at ``u``."""
    total = 0.0
    for j in range(u.shape[0]):
        c = factor[j]
        w = original(penalty, u[j], c, weight[j])
        d = c * penalty.subgradient_distance(w, gradient[j] / c, weight[j])
        total += d * d
    return np.sqrt(total)


@kernel(error_model="numpy")
def curvature(penalty, factor, weight):
    """Return the coefficients of ``u_j^2 / 2`` in the penalty."""
    out = np.empty(factor.shape[0])
    for j in range(factor.shape[0]):
        out[j] = factor[j] * (factor[j] * penalty.curvature(weight[j]))  # zero whatever the factor
    return out
