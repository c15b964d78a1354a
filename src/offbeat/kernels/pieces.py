"""Losses made of straight lines, row by row: where their conjugates are straight, and with which slopes."""

from __future__ import annotations

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel

NEAR_ZERO = 1e-9  # on either side of which a piece is asked for


@kernel(error_model="numpy")
def pieces(loss, y, out):
    """Set, for the pieces of the conjugate left and right of zero, their ends and slopes.

    Parameters
    ----------
    loss : NamedTuple
        With a ``dual_piece``.
    y : ndarray, shape (n,)
    out : ndarray, shape (2, 3, n)
        Low end, high end, slope, for each side of zero; both sides are the same where there is a single piece.
    """
    for i in range(y.shape[0]):
        for side in range(2):
            low, high, slope = loss.dual_piece(NEAR_ZERO * (2.0 * side - 1.0), y[i])
            out[side, 0, i] = low
            out[side, 1, i] = high
            out[side, 2, i] = slope
