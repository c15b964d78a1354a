"""Conjugate gradients, one product a step, as a state that can wait for its product.

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

FLAT = 1e-14  # curvature along a direction, over its length, below which there is none
LONG = 1 << 17  # coefficients from which single precision pays
SHIFTED = 100.0  # means over deviations of sparse columns, from which single precision would lose too much
FAR = 1e15  # units of columns, from which sums would overflow in it
TINY = 1e-12  # slopes below which their squares would vanish in it


@dataclass(frozen=True)
class Conjugate:
    """Where conjugate gradients stand: step, residual, direction; inner products in the preconditioner's norm.

    ``goal`` is the residual, squared, at which to stop; ``length`` that of the direction, squared.
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
        """What the quadratic model changes by: ``slope.s + s'H s / 2``, and ``H s = -slope - residual``."""
        return 0.5 * float(self.step @ (self.slope - self.residual))


def precision(info: DataInfo) -> type:
    """Return single precision where vectors are long: sparse rows of several outputs, columns about their means."""
    if not (info.sparse and info.n_outputs > 1 and info.size >= LONG):
        return np.float64
    near, usual = np.abs(info.center) <= SHIFTED * info.scale, (info.scale > 1.0 / FAR) & (info.scale < FAR)
    return np.float32 if np.all(near & usual) else np.float64


def begin(solver: Preconditioner, slope: Floats, accuracy: float, kind: Any = np.float64) -> Conjugate:
    """Return the start: to reduce the residual to ``accuracy`` times the first, in this precision if it can be."""
    if np.max(np.abs(slope)) > TINY:
        slope = slope.astype(kind, copy=False)
    residual = -slope
    direction = solver.solve(residual)
    size = float(residual @ direction)
    return Conjugate(
        solver, accuracy * accuracy * size, slope, 0.0 * slope, residual, direction, size, size, done=not size > 0.0
    )


def advance(state: Conjugate, product: Floats, most: int) -> Conjugate:
    """Return the state after a product of the Hessian with ``state.direction``."""
    s = state
    curvature = float(s.direction @ product)
    if not curvature > FLAT * s.length:
        # No end in sight along this direction: a step of its own length, if there is none yet.
        return replace(_moved(s, 0.0 if s.products else 1.0, product), done=True)
    new = _moved(s, s.size / curvature, product)
    z = s.solver.solve(new.residual)
    size = float(new.residual @ z)
    if size <= s.goal or new.products >= most or not math.isfinite(size):
        return replace(new, done=True, size=size)
    ratio = size / s.size
    z += ratio * s.direction
    return replace(new, direction=z, size=size, length=size + ratio * ratio * s.length)


def _moved(s: Conjugate, length: float, product: Floats) -> Conjugate:
    return replace(
        s, step=s.step + length * s.direction, residual=s.residual - length * product, products=s.products + 1
    )
