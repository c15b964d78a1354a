"""Losses and penalties in extended precision, with kinks rounded off by a logarithmic barrier.

``c |r|`` is ``min c t`` over ``t >= |r|``. With the barrier ``-mu log(t^2 - r^2)`` the best ``t`` is
``m + hypot(m, r)``, ``m = mu / c``: a smooth function of ``r`` that tends to ``c |r|``, and that Newton's method
minimises in few steps (Boyd & Vandenberghe 2004, section 11.3). ``mu = 0`` is the function itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Long = np.longdouble
Longs = NDArray[np.longdouble]


class Curve(NamedTuple):
    """A function of one number: value, slope and bend at each entry."""

    value: Longs
    slope: Longs
    bend: Longs


def absolute(r: Longs, c: Longs, mu: float) -> Curve:
    """Return ``c |r|``, rounded off."""
    if mu == 0.0:
        return Curve(c * np.abs(r), c * np.sign(r), np.zeros_like(r))
    used = c > 0
    m = Long(mu) / np.where(used, c, 1)
    q = np.hypot(m, r)
    t = m + q
    value = np.where(used, c * t - Long(mu) * np.log(2 * m * t), 0)
    return Curve(value, np.where(used, c * r / t, 0), np.where(used, Long(mu) / (t * q), 0))


def within(w: Longs, lower: Longs, upper: Longs, mu: float) -> Curve:
    """Return the barrier of bounds; without ``mu``, zero inside and infinite outside."""
    zero = np.zeros_like(w)
    if mu == 0.0:
        return Curve(np.where((w < lower) | (w > upper), np.inf, zero), zero, zero)
    value, slope, bend = zero.copy(), zero.copy(), zero.copy()
    for room, sign in ((w - lower, -1), (upper - w, 1)):
        bounded = np.isfinite(room)
        room = np.where(bounded, room, 1)
        if np.any(room <= 0):
            return Curve(np.full_like(w, np.inf), zero, zero)
        value -= np.where(bounded, Long(mu) * np.log(room), 0)
        slope += np.where(bounded, sign * Long(mu) / room, 0)
        bend += np.where(bounded, Long(mu) / room**2, 0)
    return Curve(value, slope, bend)


def row_loss(loss: Any, z: Longs, y: Longs, v: Longs, mu: float) -> Curve:
    """Return weight times loss of every row, for losses of one predictor."""
    sign = 2 * y - 1
    name = loss.name
    if name == "squared":
        return Curve(v * (z - y) ** 2 / 2, v * (z - y), v.copy())
    if name == "logistic":
        p = _sigmoid(z)
        return Curve(v * (np.logaddexp(Long(0), z) - y * z), v * (p - y), v * p * (1 - p))
    if name == "poisson":
        mean = np.exp(z)
        return Curve(v * (mean - y * z), v * (mean - y), v * mean)
    if name == "gamma":
        rest = y * np.exp(-z)
        return Curve(v * (z + rest), v * (1 - rest), v * rest)
    if name == "huber":
        r, d = z - y, Long(loss.delta)
        inside = np.abs(r) <= d
        return Curve(
            v * np.where(inside, r**2 / 2, d * (np.abs(r) - d / 2)), v * np.clip(r, -d, d), v * inside.astype(Long)
        )
    if name == "squared-hinge":
        margin = np.maximum(1 - sign * z, 0)
        return Curve(v * margin**2 / 2, -v * sign * margin, v * (margin > 0))
    if name == "squared-epsilon-insensitive":
        r = z - y
        beyond = np.maximum(np.abs(r) - Long(loss.epsilon), 0)
        return Curve(v * beyond**2 / 2, v * beyond * np.sign(r), v * (beyond > 0))
    if name == "hinge":
        kink = absolute(1 - sign * z, v / 2, mu)
        return Curve(kink.value + v / 2 * (1 - sign * z), -sign * (kink.slope + v / 2), kink.bend)
    if name == "epsilon-insensitive":
        epsilon = Long(loss.epsilon)
        a, b = absolute(z - y - epsilon, v / 2, mu), absolute(z - y + epsilon, v / 2, mu)
        return Curve(a.value + b.value - v * epsilon, a.slope + b.slope, a.bend + b.bend)
    raise NotImplementedError(f"no independent formula for the loss {name!r}: add it to {__name__}")


def _sigmoid(z: Longs) -> Longs:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


class Weights(NamedTuple):
    """A penalty in the units of the columns: ``l1 |w| + l2 w^2 / 2`` within bounds, per column."""

    l1: Longs
    l2: Longs
    lower: Longs
    upper: Longs

    @property
    def kinked(self) -> bool:
        """Whether a barrier is needed."""
        return bool(np.any(self.l1 > 0) or np.any(np.isfinite(self.lower)) or np.any(np.isfinite(self.upper)))


def column_weights(penalty: Any, k: int, unit: Longs) -> Weights:
    """Take a penalty apart. ``unit`` is what it multiplies each coefficient by first: ones, or deviations."""
    weight = np.ones(k, Long) if penalty.weights is None else np.asarray(penalty.weights, Long)
    a, none = Long(penalty.alpha) * weight, np.zeros(k, Long)
    ratio = Long(getattr(penalty, "l1_ratio", 1.0 if penalty.name == "l1" else 0.0))
    if penalty.name not in ("none", "l1", "l2", "elastic-net", "box"):
        raise NotImplementedError(f"no independent formula for the penalty {penalty.name!r}: add it to {__name__}")
    lower = np.full(k, Long(getattr(penalty, "lower", -np.inf)))
    upper = np.full(k, Long(getattr(penalty, "upper", np.inf)))
    return Weights(a * ratio * unit + none, a * (1 - ratio) * unit**2, lower / unit, upper / unit)
