"""Generalised linear models with a logarithmic link: counts and positive amounts."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.vectors import target_vector
from offbeat.engines.placing import lies_elsewhere
from offbeat.fit.settings import Settings
from offbeat.linear_model._shared import translate
from offbeat.linear_model._shared.deviance import LOSSES, explained_deviance, half_deviances
from offbeat.linear_model._shared.docs import documented
from offbeat.linear_model._shared.placed import lazily, placed_score
from offbeat.linear_model._shared.regressor import LinearRegressor
from offbeat.linear_model._streams.batches import whole_or_not
from offbeat.linear_model._streams.glm import RunningStream
from offbeat.losses import Gamma, Poisson
from offbeat.problem import Floats, Problem


class GeneralizedLinearRegressor(RunningStream, LinearRegressor):
    """A linear predictor that is the logarithm of the prediction."""

    power: ClassVar[int]
    """Exponent of the variance function: 1 for Poisson, 2 for gamma."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_intercept: bool = True,
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

    @whole_or_not
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Add rows to those seen by ``partial_fit`` before, and fit the model to all of them, as far as that goes.

        Rows are held until there are 10,000, and then let go: what is left of them is a quadratic, expanded at the
        model of that moment. The model minimises the quadratics, the loss of the rows held, and the penalty, and
        ``certificate_`` is about exactly that. So it is about all rows until the first are let go; later it says
        nothing of how well the quadratics stand for them. Measured, the difference from a fit to all rows is a small
        share of the standard errors of the coefficients, unless rows come sorted by their target: see docs/streams.md.

        A call of ``fit`` starts afresh, and so does the first call of ``partial_fit`` after it.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            At most 2,000 columns, the same in every call.
        y : array-like of shape (n_rows,), or column name
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : estimator
            With ``n_samples_seen_``, the number of rows.

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``; the model is as it was before.
        """
        self._add(self._open_batch(X, y, sample_weight))
        return self

    def _keep_coef(self, coef: Floats, intercept: Floats) -> None:
        self.coef_, self.intercept_ = coef[:, 0], float(intercept[0])

    @lazily
    def predict(self, X: Any) -> NDArray[Any]:
        """Return the predicted mean of each row.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)

        Returns
        -------
        means : ndarray, shape (n_rows,)
        """
        means: NDArray[Any] = np.exp(self._predictor(X))
        return means

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of the deviance that the model explains.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
        y : array-like of shape (n_rows,), or column name
        sample_weight : array-like of shape (n_rows,), optional

        Returns
        -------
        d2 : float
            1 minus the deviance of the predictions over that of the mean; where all targets are equal, 0, or 1 for
            predictions without deviance.
        """
        if lies_elsewhere(X, self.engine):
            return placed_score(self, X, y, sample_weight)
        z = self._predictor(X)
        targets = target_vector(self._labels(X, y), len(z))
        LOSSES[self.power].check_target(targets)
        return explained_deviance(self.power, targets, z, self._weights(X, sample_weight, len(z)))

    def _judged(self, X: Any) -> NDArray[Any]:
        return self._predictor(X)

    def _losses(self, y: Any, predicted: Floats, mean: float) -> tuple[Floats, Floats]:
        """Return unit deviances, halved: of predicted logarithms of means, and of the mean target."""
        y = target_vector(y, len(predicted))
        LOSSES[self.power].check_target(y)
        plain = np.full(len(y), math.log(mean) if mean > 0.0 else -math.inf)
        return half_deviances(self.power, y, predicted), half_deviances(self.power, y, plain)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags


@documented
class PoissonRegressor(GeneralizedLinearRegressor):
    """Poisson regression with a logarithmic link and a ridge.

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
    >>> from offbeat.linear_model import PoissonRegressor
    >>> model = PoissonRegressor(alpha=0.0).fit([[0.0], [0.0], [1.0], [1.0]], [1, 3, 5, 7])
    >>> model.predict([[0.0], [1.0]]).round(3)
    array([2., 6.])
    """

    power = 1

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Counts or rates, from 0.
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : PoissonRegressor

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        dataset, total = self._dataset(X, y, sample_weight)
        return self._fit(self._stream_problem(total), dataset)

    def _stream_problem(self, total: float) -> Problem:
        return translate.glm(Poisson(), self.alpha)


@documented
class GammaRegressor(GeneralizedLinearRegressor):
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
