"""A loss and a penalty as a user would write them, outside the package: what `test_from_outside` fits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class _PinballFields(NamedTuple):
    quantile: float = 0.5


class Pinball(_PinballFields):
    """Pinball loss ``max(q (y - z), (q - 1) (y - z))`` (Koenker & Bassett 1978): regression to a quantile."""

    __slots__ = ()

    name = "pinball"
    quadratic = False
    classifier = False
    smooth = False
    smoothness = math.inf

    def value(self, z: float, y: float) -> float:
        r = y - z
        return self.quantile * r if r >= 0.0 else (self.quantile - 1.0) * r

    def derivative(self, z: float, y: float) -> float:
        if z > y:
            return 1.0 - self.quantile
        if z < y:
            return -self.quantile
        return 0.0 * (z - y)

    def second_derivative(self, z: float, y: float) -> float:
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        if theta < -self.quantile - 1e-15 or theta > 1.0 - self.quantile + 1e-15:
            return math.inf
        return theta * y

    def dual_direction(self, z: float, y: float) -> float:
        return 0.0

    def dual_step(self, c: float, q: float, y: float) -> float:
        return min(max((c - y) / q, -self.quantile), 1.0 - self.quantile)

    def dual_piece(self, theta: float, y: float) -> tuple[float, float, float]:
        return -self.quantile, 1.0 - self.quantile, y

    def inverse_link(self, z: float) -> float:
        return z

    def link(self, mean: float) -> float:
        return mean

    def check(self) -> Pinball:
        if not 0.0 < self.quantile < 1.0:
            raise ValueError("the quantile of the pinball loss is between 0 and 1")
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        if not np.all(np.isfinite(y)):
            raise ValueError("the pinball loss takes finite targets")


class _GroupFields(NamedTuple):
    alpha: float = 1.0
    groups: tuple[int, ...] = ()
    weights: Any = None


class GroupLasso(_GroupFields):
    """Group lasso ``sum_g alpha sqrt(d_g) ||w_g||`` (Yuan & Lin 2006): whole groups of columns are zero or not.

    ``groups`` has the number of each column's group, and ``d_g`` is the sum of the weights in a group: its size.
    """

    __slots__ = ()

    name = "group-lasso"
    separable = False
    smooth = False

    def _limits(self, weight: Floats) -> Floats:
        """Return the largest norm of a group in the domain of the conjugate."""
        return self.alpha * np.sqrt(np.bincount(self.groups, weight))

    def _norms(self, w: Floats) -> Floats:
        return np.sqrt(np.bincount(self.groups, w * w))

    def value(self, w: Floats, weight: Floats) -> float:
        return float(self._limits(weight) @ self._norms(w))

    def prox(self, v: Floats, step: Floats, weight: Floats) -> Floats:
        norms = self._norms(v)
        steps = np.zeros_like(norms)
        steps[list(self.groups)] = step  # the same within a group
        kept = 1.0 - steps * self._limits(weight) / np.where(norms > 0.0, norms, 1.0)
        return np.maximum(kept, 0.0)[list(self.groups)] * v

    def conjugate(self, v: Floats, weight: Floats) -> float:
        inside = np.all(self._norms(v) <= self._limits(weight) * (1.0 + 1e-14))
        return 0.0 if inside else math.inf

    def dual_scale(self, v: Floats, weight: Floats) -> float:
        norms, limits = self._norms(v), self._limits(weight)
        out = norms > limits
        return float(np.min(limits[out] / norms[out], initial=1.0))

    def subgradient_distance(self, w: Floats, gradient: Floats, weight: Floats) -> Floats:
        groups = list(self.groups)
        norms, limits = self._norms(w), self._limits(weight)
        away = gradient + (limits / np.where(norms > 0.0, norms, 1.0))[groups] * w
        slopes = self._norms(gradient)
        short = np.maximum(1.0 - limits / np.where(slopes > 0.0, slopes, 1.0), 0.0)[groups] * gradient
        return np.where(norms[groups] > 0.0, away, short)

    def curvature(self, weight: Floats) -> Floats:
        return np.zeros(len(weight))

    def blocks(self, n_features: int) -> Any:
        return np.array(self.groups)

    def check(self, n_features: int) -> GroupLasso:
        if len(self.groups) != n_features:
            raise ValueError(f"the group lasso has {len(self.groups)} columns in groups, the data {n_features}")
        return self


class _StepsFields(NamedTuple):
    width: float = 1.0


class TwoSlopes(_StepsFields):
    """``abs(r) + max(abs(r) - width, 0)``, ``r = z - y``: its conjugate has three straight pieces."""

    __slots__ = ()

    name = "two-slopes"
    quadratic = False
    classifier = False
    smooth = False
    smoothness = math.inf

    def value(self, z: float, y: float) -> float:
        size = abs(z - y)
        return size + max(size - self.width, 0.0)

    def derivative(self, z: float, y: float) -> float:
        r = z - y
        if r == 0.0:
            return 0.0
        return math.copysign(2.0 if abs(r) > self.width else 1.0, r)

    def second_derivative(self, z: float, y: float) -> float:
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        if abs(theta) > 2.0 + 1e-15:
            return math.inf
        return theta * y + self.width * max(abs(theta) - 1.0, 0.0)

    def dual_direction(self, z: float, y: float) -> float:
        return 0.0

    def dual_piece(self, theta: float, y: float) -> tuple[float, float, float]:
        if theta > 1.0:
            return 1.0, 2.0, y + self.width
        if theta < -1.0:
            return -2.0, -1.0, y - self.width
        return -1.0, 1.0, y

    def inverse_link(self, z: float) -> float:
        return z

    def link(self, mean: float) -> float:
        return mean

    def check(self) -> TwoSlopes:
        return self

    def check_target(self, y: NDArray[Any]) -> None:
        pass
