"""Gamma regression: positive amounts."""

from __future__ import annotations

from typing import Any, Self

from offbeat.linear_model._shared import translate
from offbeat.linear_model._shared.docs import documented
from offbeat.linear_model._shared.log_link import LogLinkRegressor
from offbeat.linear_model._streams.regression import RegressionStream
from offbeat.losses import Gamma
from offbeat.problem import Problem


@documented
class GammaRegressor(RegressionStream, LogLinkRegressor):
    """Gamma regression with a logarithmic link and a ridge.

    Minimises ``sum_i weight_i loss_i / sum_i weight_i + alpha / 2 ||coef||^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the ridge, from 0.
    {fitting}
    {common}
    {warm}

    Attributes
    ----------
    {coefficients}
    {attributes}

    Examples
    --------
    >>> from offbeat.linear_model import GammaRegressor
    >>> model = GammaRegressor(alpha=0.0).fit([[0.0], [0.0], [1.0], [1.0]], [1.0, 3.0, 5.0, 7.0])
    >>> model.predict([[0.0], [1.0]]).round(3)
    array([2., 6.])
    """

    power = 2

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Positive numbers.
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : GammaRegressor

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        dataset, _ = self._dataset(X, y, sample_weight)
        return self._fit(self._stream_problem(1.0), dataset)

    def _stream_problem(self, total: float) -> Problem:
        return translate.glm(Gamma(), self.alpha)
