"""Classifiers that give probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, log_softmax

from offbeat.data.dataset import Data
from offbeat.fit.solution import Solution
from offbeat.linear_model._shared.classifier import LinearClassifier, check_classes
from offbeat.linear_model._shared.labels import class_weights
from offbeat.linear_model._shared.placed import by_partition
from offbeat.linear_model._shared.types import Features
from offbeat.losses import Logistic, Multinomial
from offbeat.losses.questions import means


class ProbabilisticClassifier(LinearClassifier):
    """Class weights and probabilities: what logistic regression shares with its cross-validated form."""

    def _classes(self, X: Any, y: Any, sample_weight: Any) -> tuple[Data, float]:
        """Return the data set of class numbers, weighted by class, and the sum of its weights; set ``classes_``."""
        return self._by_class(self._class_numbers(X, y, sample_weight))

    def _by_class(self, dataset: Data) -> tuple[Data, float]:
        """Return the data set with weights by class, and their sum."""
        if self.class_weight is None:
            return dataset.weighted()
        factors = class_weights(self.class_weight, self.classes_, dataset.counts(len(self.classes_)))
        check_classes(self.classes_, dataset, factors)
        return dataset.weighted(factors)

    def _set_coef(self, solution: Solution) -> None:
        """Set ``coef_`` and ``intercept_`` in scikit-learn's shapes."""
        if len(self.classes_) == 2:
            self.coef_ = solution.coef[None, :].copy()
            self.intercept_ = np.array([solution.intercept])
            return
        self.coef_ = np.ascontiguousarray(solution.coef.T)
        # A shift of all intercepts changes no probability; scikit-learn's add up to zero too.
        self.intercept_ = solution.intercept - np.mean(solution.intercept)

    @by_partition
    def predict_proba(self, X: Features) -> NDArray[Any]:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)

        Returns
        -------
        probabilities : ndarray, shape (n_rows, n_classes)
        """
        z = self._predictor(X)
        if z.ndim == 1:
            return np.stack([means(Logistic(), -z), means(Logistic(), z)], axis=1)
        return means(Multinomial(z.shape[1]), z)

    @by_partition
    def predict_log_proba(self, X: Features) -> NDArray[Any]:
        """Return the logarithm of the probability of each class, exact far into the tails.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)

        Returns
        -------
        logarithms : ndarray, shape (n_rows, n_classes)
        """
        z = self._predictor(X)
        if z.ndim == 1:
            return np.stack([log_expit(-z), log_expit(z)], axis=1)
        return np.asarray(log_softmax(z, axis=1))
