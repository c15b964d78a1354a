"""Estimated seconds of a fit of dense rows by each method, from the shape of the data: ``solver="auto"`` compares them.

Seconds are a sum of terms of the shape, whose coefficients ``python -m benchmarks.solver_costs`` measures and prints:
logistic ridges to 1e-6, one thread, the geometric mean over easy and correlated columns, strong and weak penalties.
Only ratios matter, so that one machine may stand for others.
"""

from __future__ import annotations

COSTS = {
    "newton": (7.5e-3, 9e-9, 7.2e-11, 5.8e-10),
    "lbfgs": (2.2e-2, 9.4e-8),
    "newton-cg": (8.5e-3, 3.1e-8, 0.0, 5.2e-10),
    "row-space": (6.5e-3, 0.0, 2.9e-8, 2.4e-7, 8.7e-11),
}
CLASS_COSTS = {
    "lbfgs": (8.8e-2, 8.1e-8),
    "newton-cg": (4.5e-2, 1.1e-7),
    "row-space": (2.7e-2, 0.0, 0.0, 2.1e-8, 1.4e-9),
}


def terms(method: str, n: float, k: float, n_outputs: int = 1) -> tuple[float, ...]:
    """Return the terms of the cost of a method: a constant, passes, matrices, factors.

    Parameters
    ----------
    method : str
        Name of a solver in `COSTS`.
    n, k : float
        Rows and columns.
    n_outputs : int

    Examples
    --------
    >>> terms("lbfgs", 10.0, 20.0, 3)
    (1.0, 600.0)
    """
    passes = n * k * n_outputs
    if method == "newton":
        return 1.0, passes, n * k**2, k**3
    if method == "row-space":
        return 1.0, n**2 * k, passes, n**2 * n_outputs, n**3
    if method == "lbfgs" or n_outputs > 1:
        return 1.0, passes
    block = min(k, (450.0 * n * k) ** (1.0 / 3.0))  # the columns of the preconditioner that have a factor
    return 1.0, passes, n * block**2, block**3


def seconds(method: str, n: float, k: float, n_outputs: int = 1) -> float:
    """Return what a fit costs, in seconds of the machine that the table was measured on.

    Examples
    --------
    >>> seconds("lbfgs", 100, 100) < seconds("lbfgs", 1000, 1000)
    True
    """
    table = COSTS if n_outputs == 1 else CLASS_COSTS
    return sum(c * x for c, x in zip(table[method], terms(method, n, k, n_outputs), strict=True))
