"""Solving with a Cholesky factor."""

from __future__ import annotations

from offbeat.kernels.compiled import kernel


@kernel(fastmath={"reassoc", "contract"}, error_model="numpy")
def cholesky_solve(factor, x):
    """Solve ``L L'x = b``, where ``x`` holds ``b``.

    NumPy has the factor but no triangular solve; SciPy has it, and takes longer to load than most first fits.

    Parameters
    ----------
    factor : ndarray, shape (m, m)
        Lower triangle L in C order; what is above the diagonal is not looked at.
    x : ndarray, shape (m,)
        Overwritten by the solution.
    """
    m = x.shape[0]
    for i in range(m):
        rest = x[i]
        for j in range(i):
            rest -= factor[i, j] * x[j]
        x[i] = rest / factor[i, i]
    for i in range(m - 1, -1, -1):
        x[i] /= factor[i, i]
        for j in range(i):
            x[j] -= factor[i, j] * x[i]
