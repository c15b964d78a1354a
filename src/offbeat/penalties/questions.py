"""What the library asks of a penalty, and the answers of a penalty that does not give its own.

A penalty answers with a class attribute, a property or a method of the same name. docs/architecture.md has the table
of all questions and of who asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def separable(penalty: Any) -> bool:
    """Whether the penalty is a sum over coefficients with methods that take numbers: yes, unless it says no.

    Examples
    --------
    >>> from offbeat import penalties
    >>> separable(penalties.L1(0.1))
    True
    """
    return bool(getattr(penalty, "separable", True))


def smooth(penalty: Any) -> bool:
    """Whether the penalty is a quadratic, ``curvature w^2 / 2`` for each coefficient: no, unless it says yes.

    Examples
    --------
    >>> from offbeat import penalties
    >>> smooth(penalties.L2(0.1)), smooth(penalties.L1(0.1))
    (True, False)
    """
    return separable(penalty) and bool(getattr(penalty, "smooth", False))


def selects(penalty: Any) -> bool:
    """Whether the penalty leaves single coefficients at zero, so that few columns matter: no, unless it says yes.

    Examples
    --------
    >>> from offbeat import penalties
    >>> selects(penalties.ElasticNet(0.1, 0.5)), selects(penalties.ElasticNet(0.1, 0.0))
    (True, False)
    """
    return separable(penalty) and bool(getattr(penalty, "selects", False))


def scaled_by_alpha(penalty: Any) -> bool:
    """Whether the field ``alpha`` multiplies all of the penalty, which a path can vary: no, unless it says yes.

    Examples
    --------
    >>> from offbeat import penalties
    >>> scaled_by_alpha(penalties.L1(0.1)), scaled_by_alpha(penalties.NonNegative())
    (True, False)
    """
    return bool(getattr(penalty, "scaled_by_alpha", False))


def l1(penalty: Any, weight: float = 1.0) -> float | None:
    """Return the coefficient of ``abs(w)`` in a penalty ``l1 abs(w) + curvature w^2 / 2``; None for any other.

    Examples
    --------
    >>> from offbeat import penalties
    >>> l1(penalties.ElasticNet(1.0, 0.5)), l1(penalties.L2(1.0)), l1(penalties.NonNegative())
    (0.5, 0.0, None)
    """
    return float(penalty.l1(weight)) if separable(penalty) and hasattr(penalty, "l1") else None


def curvature(penalty: Any) -> float:
    """Return the coefficient of ``w^2 / 2`` where the weight is 1; 0 for penalties that are not separable.

    Examples
    --------
    >>> from offbeat import penalties
    >>> curvature(penalties.ElasticNet(1.0, 0.5))
    0.5
    """
    return float(penalty.curvature(1.0)) if separable(penalty) else 0.0


def on_every_column(penalty: Any) -> bool:
    """Whether no column is free of the penalty: there are no weights, or all are above 0.

    Examples
    --------
    >>> from offbeat import penalties
    >>> on_every_column(penalties.L2(0.1)), on_every_column(penalties.L2(0.1, weights=[0.0, 1.0]))
    (True, False)
    """
    return penalty.weights is None or bool(np.all(np.asarray(penalty.weights, np.float64) > 0.0))
