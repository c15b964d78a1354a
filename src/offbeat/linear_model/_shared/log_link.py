"""Regressors with a logarithmic link: of counts and of positive amounts."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from offbeat.data.arrays.vectors import target_vector
from offbeat.engines.base import Engine
from offbeat.engines.placing import lies_elsewhere
from offbeat.fit.settings import Settings
from offbeat.linear_model._shared.deviance import LOSSES, explained_deviance, half_deviances
from offbeat.linear_model._shared.placed import by_partition, placed_score
from offbeat.linear_model._shared.regressor import LinearRegressor
from offbeat.linear_model._shared.types import Callbacks, Features
from offbeat.losses.questions import means
from offbeat.problem import Floats
from offbeat.sideways.protocol import Solver


class LogLinkRegressor(LinearRegressor):
    """A regressor whose linear predictor is the logarithm of the prediction."""

    power: ClassVar[int]
    """Exponent of the variance function: 1 for Poisson, 2 for gamma."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        solver: Solver | Literal["auto"] = "auto",
        engine: Engine | Literal["auto"] = "auto",
        settings: Settings | None = None,
        tol: float = 1e-4,
        max_iter: float = 1000,
        time_limit: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        callbacks: Callbacks = None,
        memory_budget: int | str | None = None,
    ) -> None:
        super().__init__(
            fit_intercept=fit_intercept, solver=solver, engine=engine, settings=settings,
            tol=tol, max_iter=max_iter, time_limit=time_limit, random_state=random_state, verbose=verbose,
            warm_start=warm_start, callbacks=callbacks, memory_budget=memory_budget,
        )  # fmt: skip
        self.alpha = alpha

    @by_partition
    def predict(self, X: Features) -> NDArray[Any]:
        """Return the predicted mean of each row.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)

        Returns
        -------
        means : ndarray, shape (n_rows,)
        """
        return means(LOSSES[self.power], self._predictor(X))

    def score(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
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

    def _values_to_score(self, X: Any) -> NDArray[Any]:
        return self._predictor(X)

    def _losses(self, y: Any, predicted: Floats, mean: float) -> tuple[Floats, Floats]:
        """Return unit deviances, halved: of predicted logarithms of means, and of the mean target."""
        y = target_vector(y, len(predicted))
        LOSSES[self.power].check_target(y)
        plain = np.full(len(y), math.log(mean) if mean > 0.0 else -math.inf)
        return half_deviances(self.power, y, predicted), half_deviances(self.power, y, plain)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
