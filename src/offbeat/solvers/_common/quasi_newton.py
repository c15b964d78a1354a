"""Directions of descent from the last steps and the changes of the gradient along them."""

from __future__ import annotations

from collections.abc import Sequence

from offbeat.problem import Floats


def lbfgs_direction(gradient: Floats, pairs: Sequence[tuple[Floats, Floats]], diagonal: Floats | float) -> Floats:
    """Return minus the inverse of the L-BFGS matrix times a gradient.

    The two-loop recursion: Nocedal & Wright 2006, Numerical Optimization, algorithm 7.4.

    Parameters
    ----------
    gradient : ndarray, shape (m,)
    pairs : sequence of pairs of ndarray, shape (m,)
        Steps and changes of the gradient, oldest first; their inner products are positive.
    diagonal : ndarray of shape (m,), or float
        The matrix before the first pair; positive.

    Returns
    -------
    direction : ndarray, shape (m,)

    Examples
    --------
    >>> import numpy as np
    >>> step = np.array([1.0, 0.0])
    >>> lbfgs_direction(np.array([3.0, 4.0]), [(step, 2.0 * step)], 1.0)
    array([-1.5, -4. ])
    """
    q = -gradient
    shares = []
    for s, y in reversed(pairs):
        share = float(s @ q) / float(s @ y)
        shares.append(share)
        q = q - share * y
    q = q / diagonal
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        q = q + (share - float(y @ q) / float(s @ y)) * s
    return q
