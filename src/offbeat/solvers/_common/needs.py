"""Conditions on problems. A solver declares those it needs; one function checks them and names a solver to use instead.

A solver lists its needs, ``needs = (SMOOTH_LOSS, ONE_OUTPUT)``, in terms of what losses and penalties say of themselves
(`offbeat.losses.questions`, `offbeat.penalties.questions`). So it takes whatever class answers well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from offbeat.errors import ProblemError
from offbeat.losses import questions as of_loss
from offbeat.penalties import questions as of_penalty
from offbeat.problem import Problem


class Need(NamedTuple):
    """A condition on a problem, and what to say where it does not hold.

    ``message`` may name the ``{solver}``, the ``{loss}`` and the ``{penalty}``.
    """

    met: Callable[[Problem], bool]
    message: str


def check_needs(solver: str, needs: Iterable[Need], problem: Problem) -> None:
    """Raise `ProblemError` for the first need that a problem does not meet.

    Parameters
    ----------
    solver : str
        Name in the message.
    needs : iterable of Need
    problem : Problem

    Examples
    --------
    >>> from offbeat import losses, penalties
    >>> check_needs("LBFGS", (SMOOTH_LOSS, SMOOTH_PENALTY), Problem(losses.Logistic(), penalties.L1(0.1)))
    Traceback (most recent call last):
    offbeat.errors.ProblemError: LBFGS needs a smooth penalty, which l1 is not; use ProximalGradient
    """
    for need in needs:
        if not need.met(problem):
            names = {"solver": solver, "loss": problem.loss.name, "penalty": problem.penalty.name}
            raise ProblemError(need.message.format(**names))


def _has_step(problem: Problem) -> bool:
    """Whether the loss has a dual coordinate step."""
    return of_loss.dual_step_known(problem.loss)


def _ridge(problem: Problem) -> bool:
    """Whether every coefficient has a ridge, besides nothing but a lasso."""
    penalty = problem.penalty
    known = of_penalty.l1(penalty) is not None and of_penalty.curvature(penalty) > 0.0
    return known and of_penalty.on_every_column(penalty)


def _pure_ridge(problem: Problem) -> bool:
    """Whether every coefficient has a ridge, and nothing else."""
    penalty = problem.penalty
    curved = of_penalty.smooth(penalty) and of_penalty.curvature(penalty) > 0.0
    return curved and of_penalty.on_every_column(penalty)


def _ridge_or_lasso(problem: Problem) -> bool:
    """Whether every coefficient has a ridge or a lasso."""
    penalty, l1 = problem.penalty, of_penalty.l1(problem.penalty)
    known = l1 is not None and l1 + of_penalty.curvature(penalty) > 0.0
    return known and of_penalty.on_every_column(penalty)


ONE_OUTPUT = Need(
    lambda problem: problem.n_outputs == 1,
    "{solver} does not solve the {loss} loss; use LBFGS or ProximalGradient",
)
SMOOTH_LOSS = Need(
    lambda problem: of_loss.smooth(problem.loss),
    "{solver} needs a smooth loss, which {loss} is not; use ADMM or SDCA",
)
SMOOTH_OR_DUAL_STEP = Need(
    lambda problem: of_loss.smooth(problem.loss) or _has_step(problem),
    "{solver} needs a smooth loss, or dual_step of the {loss} loss; use a smooth loss with ProximalGradient",
)
BOUNDED_OR_DUAL_STEP = Need(
    lambda problem: of_loss.bounded_curvature(problem.loss) or _has_step(problem),
    "{solver} needs a loss with a bounded second derivative, or dual_step of the {loss} loss; use ADMM or LBFGS",
)
PIECEWISE_LINEAR = Need(
    lambda problem: of_loss.piecewise_linear(problem.loss),
    "{solver} needs dual_piece of the {loss} loss; use ProximalGradient, Newton or ADMM",
)
SEPARABLE = Need(
    lambda problem: of_penalty.separable(problem.penalty),
    "{solver} needs a separable penalty, which {penalty} is not; use ProximalGradient or ADMM",
)
SMOOTH_PENALTY = Need(
    lambda problem: of_penalty.smooth(problem.penalty),
    "{solver} needs a smooth penalty, which {penalty} is not; use ProximalGradient",
)
RIDGE = Need(
    _ridge,
    "{solver} needs a ridge on every coefficient, which {penalty} has not; "
    "use ADMM, or ProximalGradient for a smooth loss",
)
RIDGE_OR_LASSO = Need(
    _ridge_or_lasso,
    "{solver} needs a ridge or lasso on every coefficient, which {penalty} has not; use ADMM",
)
PURE_RIDGE = Need(
    _pure_ridge,
    "{solver} needs an L2 penalty on every column; use ProximalGradient, or ADMM for a loss with kinks",
)
