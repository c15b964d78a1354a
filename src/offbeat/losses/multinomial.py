"""Multinomial loss: the probabilities of several classes."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import ProblemError
from offbeat.losses.base import finite_target, reject_rows


class _Fields(NamedTuple):
    n_classes: int


class Multinomial(_Fields):
    """Multinomial loss ``log(sum_c e^(z_c)) - z_y``: one predictor a class, ``y`` in ``0 .. n_classes - 1``.

    With ``p = softmax(z)`` its gradient is ``p - onehot(y)`` and its Hessian ``diag(p) - p p'``, with
    eigenvalues from 0 to 1/2. Adding a constant to all predictors of a row changes nothing, so coefficients
    are unique only with a penalty that is. It is vector valued and therefore has none of the scalar methods:
    kernels hold its mathematics.

    Parameters
    ----------
    n_classes : int
        Number of classes, from 2.

    Examples
    --------
    >>> Multinomial(3).n_classes
    3
    """

    __slots__ = ()

    name = "multinomial"
    quadratic = False
    classifier = True
    smooth = True
    link_name = "logit"
    probabilistic = True

    @property
    def smoothness(self) -> float:
        """Largest eigenvalue that the Hessian can have: 1/2."""
        return 0.5

    @property
    def n_outputs(self) -> int:
        """Predictors a row: one a class."""
        return self.n_classes

    def check(self) -> Self:
        """Return the loss with a plain int; raise `ProblemError` unless it is a whole number from 2."""
        n: object = self.n_classes
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 2:
            raise ProblemError(f"n_classes of the multinomial loss is {n!r}; give a whole number from 2")
        return self._replace(n_classes=int(n))

    def check_target(self, y: NDArray[Any]) -> None:
        """Raise `TargetError` unless every target, shape (n,), is one of ``0 .. n_classes - 1``."""
        y = finite_target(y)
        last = self.n_classes - 1
        remedy = f"the multinomial loss takes classes coded as 0 to {last}"
        reject_rows(y, (y < 0) | (y > last) | (y != np.floor(y)), f"is not a whole number from 0 to {last}", remedy)
