"""The root of ``at - c + q l'(at)`` in a bracket: implicit steps along one row, in the dual and in the primal."""

from __future__ import annotations

from offbeat.kernels import protocol  # noqa: F401  (teaches Numba the methods of losses)
from offbeat.kernels.compiled import kernel

STEPS = 120  # of Newton's method or bisection: a bracket of 1e9 shrinks to the last bit within them


@kernel(error_model="numpy")
def root(loss, at, c, q, y, bracket, close):
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
    bracket : tuple of float
        The function is not positive at the first and not negative at the second.
    close : tuple of float
        A step of Newton's method of at most ``close[0] * (abs(at) + close[1])`` ends the search.
    """
    low, high = bracket
    share, floor = close
    last = high - low
    for _ in range(STEPS):
        rest = at - c + q * loss.derivative(at, y)
        if rest == 0.0:
            break
        if rest > 0.0:
            high = at
        else:
            low = at
        step = rest / (1.0 + q * loss.second_derivative(at, y))
        near = abs(step) <= 0.5 * last and low <= at - step <= high
        new = at - step if near else 0.5 * (low + high)
        last = abs(new - at)
        at = new
        if (near and last <= share * (abs(at) + floor)) or not low < high:
            break
    return at
