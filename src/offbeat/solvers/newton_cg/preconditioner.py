"""What makes conjugate gradients short: the Hessian of the columns that matter most, the diagonal of the others.

Bags of words and indicator columns have a few hundred frequent columns, which are correlated with each other, and a
long tail of rare ones, whose part of the Hessian is nearly the penalty alone. So the frequent ones are worth a dense
Hessian and its Cholesky factor, the others a division.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offbeat.problem import Floats

BALANCE = 450.0  # the factor costs as much as five products when its size is the cube root of this times the non-zeros
LARGEST = 2000
LEAST = 1e-12  # of the largest diagonal of the loss, so that flat columns have an inverse


@dataclass(frozen=True)
class Preconditioner:
    """An approximate inverse of the Hessian: ``columns`` (intercept last) have a factor, all have a diagonal."""

    diagonal: Floats
    columns: NDArray[np.int64]
    factor: Floats

    def solve(self, r: Floats) -> Floats:
        """Return the solution for a residual."""
        z: Floats = r / self.diagonal
        if self.columns.size:
            from offbeat.kernels.triangular import cholesky_solve

            part = r[self.columns]
            cholesky_solve(self.factor, part)
            z[self.columns] = part
        return z


def whole(diagonal: Floats, penalty: Floats) -> Floats:
    """Return the diagonal of the Hessian with the penalty's, and a little, so that flat columns have an inverse."""
    both: Floats = diagonal + penalty
    return both + max(LEAST * float(np.max(diagonal)), 1e-300)


def only_diagonal(diagonal: Floats) -> Preconditioner:
    """Return the preconditioner of Jacobi."""
    return Preconditioner(diagonal, np.empty(0, np.int64), np.empty((0, 0)))


def with_block(diagonal: Floats, columns: NDArray[np.int64], block: Floats) -> Preconditioner:
    """Return the preconditioner with a factor of the block, or without where it has none.

    Parameters
    ----------
    diagonal : ndarray, shape (k + 1,)
        Of the Hessian with the penalty, positive.
    columns : ndarray of int64, shape (m,)
    block : ndarray, shape (m, m)
        Hessian of these columns with the penalty; its lower triangle.
    """
    try:
        # Rounding, or rows seen twice, must not make it indefinite: a little of the diagonal on top.
        block[np.diag_indices_from(block)] *= 1.0 + 1e-10
        factor = np.linalg.cholesky(block)
    except np.linalg.LinAlgError:
        return only_diagonal(diagonal)
    if not np.all(np.isfinite(np.diag(factor))):
        return only_diagonal(diagonal)
    return Preconditioner(diagonal, columns, np.ascontiguousarray(factor))


def choose(bend: Floats, penalty: Floats, scale: Floats, stored: float, share: float = 1.0) -> NDArray[np.int64]:
    """Return the columns worth a factor, most important first, the intercept (index k) last.

    Parameters
    ----------
    bend : ndarray, shape (k,)
        Diagonal of the Hessian of the loss.
    penalty : ndarray, shape (k,)
        Curvature of the penalty.
    scale : ndarray, shape (k,)
        Units of the internal coefficients.
    stored : float
        Number of entries of X: what a product costs.
    share : float
        Of the usual number of columns.
    """
    k = bend.size
    size = int(min(k, LARGEST, share * np.cbrt(BALANCE * stored) + 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = bend / penalty if np.all(penalty > 0.0) else bend * scale**2
    weight = np.where(np.isfinite(weight), weight, 0.0)
    first = np.sort(np.argpartition(-weight, size - 1)[:size]) if size < k else np.arange(k)
    first = first[weight[first] > 0.0]
    return np.append(first, k).astype(np.int64)
