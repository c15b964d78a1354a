"""Least squares with a ridge."""

from __future__ import annotations

from typing import Any, Self

from offbeat.fit.settings import Settings
from offbeat.linear_model._shared import translate
from offbeat.linear_model._shared.docs import documented
from offbeat.linear_model._shared.regressor import LinearRegressor
from offbeat.linear_model._streams.least_squares import SquaredStream
from offbeat.problem import Problem


@documented
class Ridge(SquaredStream, LinearRegressor):
    """Least squares with a ridge, in one pass over the data.

    Minimises ``sum_i weight_i (prediction_i - y_i)^2 + alpha ||coef||^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the ridge, from 0.
    {fitting}
    positive : bool, default=False
        Whether coefficients must not be negative.
    {common}
    {warm}

    Attributes
    ----------
    {coefficients}
    {attributes}

    Examples
    --------
    >>> from offbeat.linear_model import Ridge
    >>> model = Ridge(alpha=1.0).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), model.certificate_.satisfied
    (array([1.333333]), True)
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        positive: bool = False,
        solver: Any = "auto",
        engine: Any = "auto",
        settings: Settings | None = None,
        tol: float = 1e-4,
        max_iter: float = 1000,
        time_limit: float | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        callbacks: Any = None,
        memory_budget: int | str | None = None,
    ) -> None:
        super().__init__(
            fit_intercept=fit_intercept, solver=solver, engine=engine, settings=settings,
            tol=tol, max_iter=max_iter, time_limit=time_limit, random_state=random_state, verbose=verbose,
            warm_start=warm_start, callbacks=callbacks, memory_budget=memory_budget,
        )  # fmt: skip
        self.alpha = alpha
        self.positive = positive

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Numbers.
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : Ridge

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        dataset, total = self._dataset(X, y, sample_weight)
        return self._fit(self._stream_problem(total), dataset)

    def _stream_problem(self, total: float) -> Problem:
        return translate.ridge(self.alpha, self.positive, total)
