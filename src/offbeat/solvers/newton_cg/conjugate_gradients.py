"""Preconditioned conjugate gradients, as a state that is advanced by one Hessian product at a time.

Source: Hestenes & Stiefel 1952 (J. Res. Natl. Bur. Stand. 49:409), with a preconditioner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offbeat.problem import Floats
from offbeat.sideways.protocol import DataInfo
from offbeat.solvers.newton_cg.preconditioner import Preconditioner

MIN_CURVATURE = 1e-14  # along a direction, over its squared length; below, the iteration stops
MIN_SIZE_FOR_FLOAT32 = 1 << 17  # coefficients; with fewer, single precision saves no time
MAX_CENTER_FOR_FLOAT32 = 100.0  # mean of a sparse column over its deviation; above, too many digits would be lost
MAX_UNIT_FOR_FLOAT32 = 1e15  # unit of a column; above, sums would overflow
MIN_SLOPE_FOR_FLOAT32 = 1e-12  # largest entry of a gradient; below, squares would underflow


@dataclass(frozen=True)
class ConjugateGradients:
    """State of conjugate gradients: step, residual, direction. Norms are those of the preconditioner.

    ``slope`` is the gradient. ``size`` is the squared norm of the residual, ``goal`` the value at which to stop, and
    ``length`` the squared norm of the direction.
    """

    solver: Preconditioner
    goal: float
    slope: Floats
    step: Floats
    residual: Floats
    direction: Floats
    size: float
    length: float
    products: int = 0
    done: bool = False

    @property
    def change(self) -> float:
        """Change of the quadratic model: ``slope.s + s'H s / 2``, with ``H s = -slope - residual``."""
        return 0.5 * float(self.step @ (self.slope - self.residual))


def precision(info: DataInfo) -> type:
    """Return float32 for long vectors of several outputs on sparse rows, if the units of the columns allow it."""
    if not (info.sparse and info.n_outputs > 1 and info.size >= MIN_SIZE_FOR_FLOAT32):
        return np.float64
    near, usual = (
        np.abs(info.center) <= MAX_CENTER_FOR_FLOAT32 * info.scale,
        (info.scale > 1.0 / MAX_UNIT_FOR_FLOAT32) & (info.scale < MAX_UNIT_FOR_FLOAT32),
    )
    return np.float32 if np.all(near & usual) else np.float64


def first_state(solver: Preconditioner, slope: Floats, accuracy: float, kind: Any = np.float64) -> ConjugateGradients:
    """Return the first state. It stops when the residual is reduced by ``accuracy``. ``kind`` is the precision."""
    if np.max(np.abs(slope)) > MIN_SLOPE_FOR_FLOAT32:
        slope = slope.astype(kind, copy=False)
    residual = -slope
    direction = solver.solve(residual)
    size = float(residual @ direction)
    return ConjugateGradients(
        solver, accuracy * accuracy * size, slope, 0.0 * slope, residual, direction, size, size, done=not size > 0.0
    )


def advance(state: ConjugateGradients, product: Floats, most: int) -> ConjugateGradients:
    """Return the state after a product of the Hessian with ``state.direction``."""
    s = state
    curvature = float(s.direction @ product)
    if not curvature > MIN_CURVATURE * s.length:
        # The model has no minimum along this direction. If there is no step yet, take the direction itself.
        return replace(_take_step(s, 0.0 if s.products else 1.0, product), done=True)
    new = _take_step(s, s.size / curvature, product)
    z = s.solver.solve(new.residual)
    size = float(new.residual @ z)
    if size <= s.goal or new.products >= most or not math.isfinite(size):
        return replace(new, done=True, size=size)
    ratio = size / s.size
    z += ratio * s.direction
    return replace(new, direction=z, size=size, length=size + ratio * ratio * s.length)


def _take_step(s: ConjugateGradients, length: float, product: Floats) -> ConjugateGradients:
    """Return the state after a step along its direction."""
    return replace(
        s, step=s.step + length * s.direction, residual=s.residual - length * product, products=s.products + 1
    )
