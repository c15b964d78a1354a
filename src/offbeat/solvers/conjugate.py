"""Conjugate gradients within a trust region, one product a step, as a state that can wait for its product.

Sources: Steihaug 1983 (SIAM J. Numer. Anal. 20:626); Conn, Gould & Toint 2000, Trust-Region Methods, algorithm 7.5.1
for lengths in the norm of the preconditioner without products with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from offbeat.problem import Floats
from offbeat.solvers.preconditioner import Preconditioner

FLAT = 1e-14  # curvature along a direction, over its length, below which there is none


@dataclass(frozen=True)
class Conjugate:
    """Where conjugate gradients stand: step, residual, direction; inner products in the preconditioner's norm.

    ``goal`` is the residual, squared, at which to stop.
    """

    solver: Preconditioner
    radius: float
    goal: float
    slope: Floats
    step: Floats
    residual: Floats
    direction: Floats
    size: float
    step_step: float = 0.0
    step_direction: float = 0.0
    direction_direction: float = 0.0
    products: int = 0
    done: bool = False
    bounded: bool = False

    @property
    def change(self) -> float:
        """What the quadratic model changes by: ``slope.s + s'H s / 2``, and ``H s = -slope - residual``."""
        return 0.5 * float(self.step @ (self.slope - self.residual))

    @property
    def length(self) -> float:
        """Length of the step."""
        return math.sqrt(self.step_step)


def begin(solver: Preconditioner, slope: Floats, radius: float, accuracy: float) -> Conjugate:
    """Return the start: to reduce the residual to ``accuracy`` times the first."""
    residual = -slope
    direction = solver.solve(residual)
    size = float(residual @ direction)
    return Conjugate(
        solver, radius, accuracy * accuracy * size, slope, 0.0 * slope, residual, direction, size,
        direction_direction=size, done=not size > 0.0,
    )  # fmt: skip


def advance(state: Conjugate, product: Floats, most: int) -> Conjugate:
    """Return the state after a product of the Hessian with ``state.direction``."""
    s = state
    curvature = float(s.direction @ product)
    flat = not curvature > FLAT * s.direction_direction
    if flat and not math.isfinite(s.radius):
        # No end in sight along this direction: a step of its own length, if there is none yet.
        length = 0.0 if s.products else 1.0
        return replace(_moved(s, length, product), done=True)
    length = math.inf if flat else s.size / curvature
    if _reach(s, length) >= s.radius * s.radius:
        return replace(_moved(s, _boundary(s), product), done=True, bounded=True)
    new = _moved(s, length, product)
    z = s.solver.solve(new.residual)
    size = float(new.residual @ z)
    if size <= s.goal or new.products >= most or not math.isfinite(size):
        return replace(new, done=True, size=size)
    ratio = size / s.size
    return replace(
        new, direction=z + ratio * s.direction, size=size,
        step_direction=ratio * (s.step_direction + length * s.direction_direction),
        direction_direction=size + ratio * ratio * s.direction_direction,
    )  # fmt: skip


def _reach(s: Conjugate, length: float) -> float:
    if math.isinf(length):
        return math.inf
    return s.step_step + length * (2.0 * s.step_direction + length * s.direction_direction)


def _boundary(s: Conjugate) -> float:
    """Return how far along the direction the region ends."""
    a, b, c = s.direction_direction, s.step_direction, s.step_step - s.radius * s.radius
    root = math.sqrt(max(b * b - a * c, 0.0))
    return (root - b) / a if b <= 0.0 else -c / (b + root)


def _moved(s: Conjugate, length: float, product: Floats) -> Conjugate:
    return replace(
        s, step=s.step + length * s.direction, residual=s.residual - length * product,
        step_step=_reach(s, length), products=s.products + 1,
    )  # fmt: skip
