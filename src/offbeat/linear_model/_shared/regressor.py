"""What all regressors share: one output, prediction through the inverse link."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from offbeat.data.dataset import Data
from offbeat.engines.placing import lies_elsewhere
from offbeat.fit.solution import Solution
from offbeat.linear_model._shared.base import LinearModel
from offbeat.linear_model._shared.placed import by_partition, placed_score
from offbeat.linear_model._shared.types import Features
from offbeat.problem import Floats, Problem


class LinearRegressor(RegressorMixin, LinearModel):
    """A linear predictor that is the prediction itself."""

    def _fit(self, problem: Problem, dataset: Data) -> Self:
        """Fit one problem and keep its solution."""
        self._optimise(problem, dataset, self._warm(dataset.n_columns, 1))
        return self

    def _set_coef(self, solution: Solution) -> None:
        self.coef_ = solution.coef.copy()
        self.intercept_ = solution.intercept

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
        return self._predictor(X)

    def score(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
        y : array-like of shape (n_rows,), or column name
        sample_weight : array-like of shape (n_rows,), column name or number, optional

        Returns
        -------
        r2 : float
            1 minus the (weighted) residual sum of squares over that of the mean.
        """
        if lies_elsewhere(X, self.engine):
            return placed_score(self, X, y, sample_weight)
        labels = self._labels(X, y)
        return float(super().score(X, labels, self._weights(X, sample_weight, len(labels))))

    def _losses(self, y: Any, predicted: Floats, mean: float) -> tuple[Floats, Floats]:
        """Return the losses that make the score: of predictions, and of the mean target."""
        y = np.asarray(y, np.float64)
        return (y - predicted) ** 2, (y - mean) ** 2

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
