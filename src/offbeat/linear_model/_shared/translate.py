"""From scikit-learn's parameters to the mean objective: the only place that knows both.

Offbeat minimises ``mean_i v_i l_i + R(w)``. The estimators divide weights by their mean, so that the first term is the
weighted mean of the loss; with ``W`` the sum of the weights as given (the number of rows without any):

====================  =========================================================  ================================
estimator             objective of scikit-learn 1.9                              ``R``
====================  =========================================================  ================================
LogisticRegression    ``C sum v l + l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2``  both parts divided by ``C W``
Ridge                 ``sum v (z - y)^2 + alpha |w|^2``                          ``alpha / W |w|^2 / 2``
Lasso, ElasticNet     ``sum v (z - y)^2 / (2 W) + alpha (...)``                  ``alpha (...)``
Poisson, Gamma        ``sum v l / W + alpha |w|^2 / 2``                          ``alpha |w|^2 / 2``
LinearSVC, LinearSVR  ``C sum v l + |w|^2 / 2``, or ``|w|_1``                     divided by ``C W``
same, squared losses  ``C sum v 2 l + |w|^2 / 2``, or ``|w|_1``                   divided by ``2 C W``
HuberRegressor        ``sum v (s + s H(r / s)) + alpha |w|^2``                   ``alpha s / W |w|^2 / 2``
====================  =========================================================  ================================
"""

from __future__ import annotations

import math
from typing import Any

from offbeat.errors import ProblemError
from offbeat.linear_model._shared.parameters import at_least_zero, number, ratio
from offbeat.linear_model._shared.positive import PositiveElasticNet
from offbeat.losses import (
    EpsilonInsensitive,
    Hinge,
    Huber,
    Logistic,
    Multinomial,
    Squared,
    SquaredEpsilonInsensitive,
    SquaredHinge,
)
from offbeat.penalties import L1, L2, Box, ElasticNet, Zero
from offbeat.problem import Loss, Penalty, Problem


def mixed(alpha: float, l1_ratio: float) -> Penalty:
    """Return the plainest penalty that is ``alpha (l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2)``.

    Examples
    --------
    >>> mixed(0.5, 1.0)
    L1(alpha=0.5, weights=None)
    """
    if alpha == 0.0:
        return Zero()
    if l1_ratio == 0.0:
        return L2(alpha)
    return L1(alpha) if l1_ratio == 1.0 else ElasticNet(alpha, l1_ratio)


def logistic(C: float, l1_ratio: float, n_classes: int, total: float) -> Problem:
    """Return the problem of a logistic regression; ``C=inf`` means no penalty.

    Raises
    ------
    ProblemError
        ``C`` is not positive, or ``l1_ratio`` not from 0 to 1.

    Examples
    --------
    >>> logistic(1.0, 0.0, 2, 100).penalty
    L2(alpha=0.01, weights=None)
    """
    C = number("C", C)
    if not C > 0.0:
        raise ProblemError(f"C is {C!r}; it must be positive (inf for no penalty)")
    loss = Logistic() if n_classes == 2 else Multinomial(n_classes)
    return Problem(loss, mixed(0.0 if math.isinf(C) else 1.0 / (C * total), ratio(l1_ratio)))


def ridge(alpha: float, positive: bool, total: float) -> Problem:
    """Return the problem of least squares with a ridge on the sum of squares.

    Examples
    --------
    >>> ridge(1.0, False, 100).penalty
    L2(alpha=0.01, weights=None)
    """
    strength = at_least_zero("alpha", alpha) / total
    if positive:
        return Problem(Squared(), Box(0.0, math.inf, strength))
    return Problem(Squared(), mixed(strength, 0.0))


def elastic_net(alpha: float, l1_ratio: float, positive: bool) -> Problem:
    """Return the problem of an elastic net or lasso on the mean of squares.

    Examples
    --------
    >>> elastic_net(1.0, 0.5, False).penalty
    ElasticNet(alpha=1.0, l1_ratio=0.5, weights=None)
    """
    strength = at_least_zero("alpha", alpha)
    if positive:
        return Problem(Squared(), PositiveElasticNet(strength, ratio(l1_ratio)))
    return Problem(Squared(), mixed(strength, ratio(l1_ratio)))


def glm(loss: Loss, alpha: float) -> Problem:
    """Return the problem of a generalised linear model with a ridge.

    Examples
    --------
    >>> from offbeat.losses import Poisson
    >>> glm(Poisson(), 2.0).penalty
    L2(alpha=2.0, weights=None)
    """
    return Problem(loss, mixed(at_least_zero("alpha", alpha), 0.0))


def huber(epsilon: float, alpha: float, scale: float, total: float) -> Problem:
    """Return the problem of a Huber regression at a given scale ``s``, multiplied by ``s / (2 W)``.

    ``s H(r / s)`` is twice the Huber loss with threshold ``delta = epsilon s``, divided by ``s``.

    Examples
    --------
    >>> huber(1.5, 0.5, 2.0, 100).loss
    Huber(delta=3.0)
    """
    return Problem(Huber(epsilon * scale), mixed(at_least_zero("alpha", alpha) * scale / total, 0.0))


def svc(penalty: str, loss: str, C: float, total: float) -> Problem:
    """Return the problem of a support vector machine for two classes.

    Raises
    ------
    ProblemError
        ``C`` is not positive and finite, or there is no such loss or penalty, or not together.

    Examples
    --------
    >>> svc("l2", "squared_hinge", 0.5, 100).penalty
    L2(alpha=0.01, weights=None)
    """
    _named("loss", loss, ("hinge", "squared_hinge"))
    _named("penalty", penalty, ("l1", "l2"))
    if penalty == "l1" and loss == "hinge":
        raise ProblemError('penalty="l1" does not go with loss="hinge"; use loss="squared_hinge"')
    strength = _per_row(C, total) / (1.0 if loss == "hinge" else 2.0)
    return Problem(Hinge() if loss == "hinge" else SquaredHinge(), L1(strength) if penalty == "l1" else L2(strength))


def svr(loss: str, epsilon: float, C: float, total: float) -> Problem:
    """Return the problem of a support vector regression.

    Raises
    ------
    ProblemError
        ``C`` is not positive and finite, ``epsilon`` negative or not finite, or there is no such loss.

    Examples
    --------
    >>> svr("epsilon_insensitive", 0.1, 1.0, 100).loss
    EpsilonInsensitive(epsilon=0.1)
    """
    _named("loss", loss, ("epsilon_insensitive", "squared_epsilon_insensitive"))
    width, strength = at_least_zero("epsilon", epsilon), _per_row(C, total)
    if loss == "epsilon_insensitive":
        return Problem(EpsilonInsensitive(width), L2(strength))
    return Problem(SquaredEpsilonInsensitive(width), L2(strength / 2.0))


def _named(parameter: str, given: Any, names: tuple[str, ...]) -> None:
    if given not in names:
        raise ProblemError(f"{parameter} is {given!r}; give {' or '.join(map(repr, names))}")


def _per_row(C: Any, total: float) -> float:
    """Return the strength of a penalty of weight 1 beside a sum of losses of weight ``C``."""
    value = number("C", C)
    if not 0.0 < value < math.inf:
        raise ProblemError(f"C is {C!r}; it must be positive and finite")
    return 1.0 / (value * total)
