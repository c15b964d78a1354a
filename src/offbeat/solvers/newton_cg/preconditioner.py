"""The preconditioner of `NewtonCG`: a block of the Hessian for the most important columns, the diagonal for others.

Bags of words and indicator columns have a few hundred frequent columns, which are correlated, and many rare ones, whose
Hessian is nearly that of the penalty. So the frequent columns get a dense block and its Cholesky factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offbeat.problem import Floats

BLOCK_SIZE_BALANCE = 450.0  # block size = cube root of this times the non-zeros: a factor costs as much as 5 products
MAX_BLOCK_COLUMNS = 2000
MIN_RELATIVE_DIAGONAL = 1e-12  # added to the diagonal, over its largest entry, so that it can be inverted


@dataclass(frozen=True)
class Preconditioner:
    """An approximate inverse of the Hessian: ``factor`` for ``columns`` (intercept last), the diagonal for others."""

    diagonal: Floats
    columns: NDArray[np.int64]
    factor: Floats

    def solve(self, r: Floats) -> Floats:
        """Return the preconditioned residual."""
        z: Floats = r / self.diagonal
        if self.columns.size:
            from offbeat.kernels.triangular import cholesky_solve

            part = r[self.columns]
            cholesky_solve(self.factor, part)
            z[self.columns] = part
        return z


def hessian_diagonal(diagonal: Floats, penalty: Floats) -> Floats:
    """Return the diagonal of loss and penalty, slightly increased so that it can be inverted."""
    both: Floats = diagonal + penalty
    return both + max(MIN_RELATIVE_DIAGONAL * float(np.max(diagonal)), 1e-300)


def only_diagonal(diagonal: Floats) -> Preconditioner:
    """Return the Jacobi preconditioner."""
    return Preconditioner(diagonal, np.empty(0, np.int64), np.empty((0, 0)))


def with_block(diagonal: Floats, columns: NDArray[np.int64], block: Floats) -> Preconditioner:
    """Return the preconditioner with the Cholesky factor of a block, or Jacobi's if the block has none.

    Parameters
    ----------
    diagonal : ndarray, shape (k + 1,)
        Diagonal of the Hessian of loss and penalty, positive.
    columns : ndarray of int64, shape (m,)
    block : ndarray, shape (m, m)
        Hessian of loss and penalty for these columns; the lower triangle is used.
    """
    try:
        # A small increase of the diagonal keeps the block definite despite rounding and repeated rows.
        block[np.diag_indices_from(block)] *= 1.0 + 1e-10
        factor = np.linalg.cholesky(block)
    except np.linalg.LinAlgError:
        return only_diagonal(diagonal)
    if not np.all(np.isfinite(np.diag(factor))):
        return only_diagonal(diagonal)
    return Preconditioner(diagonal, columns, np.ascontiguousarray(factor))


def choose_columns(
    curvature: Floats, penalty: Floats, scale: Floats, stored: float, share: float = 1.0
) -> NDArray[np.int64]:
    """Return the columns of the block, and the intercept (index k) last.

    Parameters
    ----------
    curvature : ndarray, shape (k,)
        Diagonal of the Hessian of the loss.
    penalty : ndarray, shape (k,)
        Curvature of the penalty.
    scale : ndarray, shape (k,)
        Units of the internal coefficients.
    stored : float
        Number of stored entries of X, to which the cost of a product is proportional.
    share : float
        Size of the block, over the usual one.
    """
    k = curvature.size
    size = int(min(k, MAX_BLOCK_COLUMNS, share * np.cbrt(BLOCK_SIZE_BALANCE * stored) + 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = curvature / penalty if np.all(penalty > 0.0) else curvature * scale**2
    weight = np.where(np.isfinite(weight), weight, 0.0)
    first = np.sort(np.argpartition(-weight, size - 1)[:size]) if size < k else np.arange(k)
    first = first[weight[first] > 0.0]
    return np.append(first, k).astype(np.int64)
