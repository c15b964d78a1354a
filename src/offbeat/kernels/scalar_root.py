"""The root of ``at - c + q l'(at)``: the step along one row, of dual coordinate ascent and of implicit SAGA."""

from __future__ import annotations

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel

MAX_STEPS = 120  # of Newton's method or bisection: a bracket of 1e9 shrinks to the last bit within them


@kernel(error_model="numpy")
def root(loss, at, c, q, y, low, high, relative, near_zero):
    """Return the root, by Newton's method with bisection.

    The function increases, with a slope of at least 1, but its slope may rise and fall: within a bracket alone,
    Newton's method may go from end to end for ever. So a step that is not at most half as long as the one before
    gives way to a bisection (Press et al. 2007, Numerical Recipes, section 9.4).

    Parameters
    ----------
    loss : NamedTuple
    at : float
        Where to begin, within the bracket.
    c, q, y : float
        ``q >= 0``; ``y`` is the target.
    low, high : float
        The function is not positive at the first and not negative at the second.
    relative, near_zero : float
        A step of Newton's method of at most ``relative * (abs(at) + near_zero)`` ends the search.

    Returns
    -------
    at : float
    """
    last = high - low
    for _ in range(MAX_STEPS):
        rest = at - c + q * loss.derivative(at, y)
        if rest == 0.0:
            break
        if rest > 0.0:
            high = at
        else:
            low = at
        step = rest / (1.0 + q * loss.second_derivative(at, y))
        newton = abs(step) <= 0.5 * last and low <= at - step <= high
        new = at - step if newton else 0.5 * (low + high)
        last = abs(new - at)
        at = new
        if (newton and last <= relative * (abs(at) + near_zero)) or not low < high:
            break
    return at
