"""Labels, class weights, scores and predictions: what all classifiers share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags

from offbeat.data.dataset import Data
from offbeat.data.load import as_dataset, target_values
from offbeat.engines.placing import lies_elsewhere, placed
from offbeat.errors import TargetError
from offbeat.linear_model._shared.base import LinearModel
from offbeat.linear_model._shared.labels import encode_labels, hits
from offbeat.linear_model._shared.placed import by_partition, placed_score
from offbeat.linear_model._shared.types import ClassWeight, Features
from offbeat.problem import Floats


class LinearClassifier(ClassifierMixin, LinearModel):
    """A classifier: labels, class weights, decision values, predicted classes."""

    class_weight: ClassWeight
    classes_: NDArray[Any]

    def _class_numbers(self, X: Any, y: Any, sample_weight: Any) -> Data:
        """Return the data set with class numbers for targets; set ``classes_``, names and number of features."""
        if lies_elsewhere(X, self.engine):
            where = placed(X, y, sample_weight=sample_weight, engine=self.engine, labels=encode_labels)
            assert where.classes is not None
            check_classes(where.classes, where)
            self._remember(X, where)
            self.classes_ = where.classes
            return where
        opened = self._open(X, y)
        classes, codes = encode_labels(target_values(opened, y))
        name = y if isinstance(y, str) else None
        dataset = as_dataset(opened, codes, sample_weight=sample_weight, memory_budget=self.memory_budget, target=name)
        check_classes(classes, dataset)
        self._remember(X, dataset)
        self.classes_ = classes
        return dataset

    def _empty_prediction(self, method: str) -> NDArray[Any]:
        """Return what a method of prediction returns for no rows."""
        if method == "predict":
            return np.empty(0, self.classes_.dtype)
        wide = method.startswith("predict_") or len(self.classes_) > 2
        return np.empty((0, len(self.classes_)) if wide else 0)

    def _losses(self, y: Any, predicted: Any, mean: float) -> tuple[Floats, Floats]:
        """Return the losses that make the score: wrong predictions, of all rows."""
        return (~hits(y, predicted)).astype(np.float64), np.ones(len(predicted))

    @by_partition
    def decision_function(self, X: Features) -> NDArray[Any]:
        """Return the linear predictor.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)

        Returns
        -------
        scores : ndarray, shape (n_rows,) for two classes, (n_rows, n_classes) for more
            For two classes, above 0 means ``classes_[1]``.
        """
        return self._predictor(X)

    @by_partition
    def predict(self, X: Features) -> NDArray[Any]:
        """Return the predicted class of each row.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)

        Returns
        -------
        labels : ndarray, shape (n_rows,)
        """
        z = self._predictor(X)
        labels: NDArray[Any] = self.classes_[z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(np.intp)]
        return labels

    def score(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of rows whose class is predicted correctly.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
        y : array-like of shape (n_rows,), or column name
        sample_weight : array-like of shape (n_rows,), optional

        Returns
        -------
        accuracy : float
        """
        if lies_elsewhere(X, self.engine):
            return placed_score(self, X, y, sample_weight)
        right = hits(self._labels(X, y), np.asarray(self.predict(X)))
        return float(np.average(right, weights=self._weights(X, sample_weight, len(right))))

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def check_classes(classes: NDArray[Any], dataset: Data, factors: Floats | None = None) -> None:
    """Raise `TargetError` unless rows with weight have at least two classes."""
    counts = dataset.counts(len(classes)) * (1.0 if factors is None else factors)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        only = classes.tolist()[int(present[0]) if len(present) else 0]
        raise TargetError(f"y has only one class, {only!r}, among the rows with weight: a classifier needs two")
