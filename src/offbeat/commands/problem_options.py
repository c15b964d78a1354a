"""From the options of a command to a problem: its loss and its penalty."""

from __future__ import annotations

from typing import Any

from offbeat import losses, penalties
from offbeat.commands.options import DEFAULT_ALPHA, LossName, ModelRequest, PenaltyName
from offbeat.errors import ProblemError
from offbeat.problem import Problem


def make_problem(request: ModelRequest, n_classes: int | None) -> Problem:
    """Return the problem that the options describe.

    Raises
    ------
    ProblemError
        An option is out of range, or does not belong to the loss or penalty.

    Examples
    --------
    >>> make_problem(ModelRequest(LossName.SQUARED, PenaltyName.L1, alpha=0.1), None).penalty
    L1(alpha=0.1, weights=None)
    """
    if request.delta is not None and request.loss != LossName.HUBER:
        raise ProblemError(f"--delta belongs to the huber loss, not to {request.loss}")
    if request.epsilon is not None and not request.loss.tube:
        raise ProblemError(f"--epsilon belongs to the epsilon-insensitive losses, not to {request.loss}")
    if request.l1_ratio is not None and request.penalty != PenaltyName.ELASTIC_NET:
        raise ProblemError(f"--l1-ratio belongs to the elastic-net penalty, not to {request.penalty}")
    if request.loss == LossName.MULTINOMIAL:
        loss: Any = losses.Multinomial(n_classes or 2)
    elif request.loss == LossName.HUBER and request.delta is not None:
        loss = losses.Huber(request.delta)
    elif request.loss.tube:
        kind = (
            losses.EpsilonInsensitive
            if request.loss == LossName.EPSILON_INSENSITIVE
            else losses.SquaredEpsilonInsensitive
        )
        loss = kind() if request.epsilon is None else kind(request.epsilon)
    else:
        loss = {
            "squared": losses.Squared, "logistic": losses.Logistic, "poisson": losses.Poisson, "gamma": losses.Gamma,
            "huber": losses.Huber, "hinge": losses.Hinge, "squared-hinge": losses.SquaredHinge,
        }[request.loss]()  # fmt: skip
    return Problem(loss, _penalty(request))


def _penalty(request: ModelRequest) -> Any:
    alpha = DEFAULT_ALPHA if request.alpha is None else request.alpha
    if request.penalty == PenaltyName.NONE:
        if request.alpha:
            raise ProblemError(f"--alpha {request.alpha:g} needs a penalty: --penalty l2, l1 or elastic-net")
        return penalties.Zero()
    if request.penalty == PenaltyName.NONNEGATIVE:
        return penalties.NonNegative(request.alpha or 0.0)
    if request.penalty == PenaltyName.ELASTIC_NET:
        return penalties.ElasticNet(alpha, 0.5 if request.l1_ratio is None else request.l1_ratio)
    return penalties.L1(alpha) if request.penalty == PenaltyName.L1 else penalties.L2(alpha)
