"""Estimators on data that lies on a cluster: predictions and scores are computed where the rows are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from offbeat.data.arrays.vectors import raw_vector
from offbeat.data.load import target_values
from offbeat.data.opening import open_data
from offbeat.data.placed.partitions import DataPartition, partition_weights
from offbeat.engines.placing import lies_elsewhere, map_rows, placed
from offbeat.errors import DataError
from offbeat.linear_model._shared.deviance import explained
from offbeat.problem import Floats

if TYPE_CHECKING:
    from offbeat.linear_model._shared.base import LinearModel

F = TypeVar("F", bound=Callable[..., Any])
NOT_FOR_PREDICTION = ("trace_", "callbacks", "engine", "stream_", "outliers_")
"""Attributes that prediction does not need, so that they are not sent to workers."""


def by_partition(method: F) -> F:
    """Make a method of prediction return a lazy collection where X is one, computed partition by partition.

    Parameters
    ----------
    method : callable
        ``method(self, X)``, of which rows depend on rows of X alone.
    """

    @wraps(method)
    def predict(self: Any, X: Any) -> Any:
        if not lies_elsewhere(X):
            return method(self, X)
        return map_rows(partial(method, without_fit_records(self)), X, self._empty_prediction(method.__name__))

    return predict  # type: ignore[return-value]


def without_fit_records(model: Any) -> Any:
    """Return a copy of a model without the attributes that prediction does not need."""
    copied = copy.copy(model)
    for name in NOT_FOR_PREDICTION:
        copied.__dict__.pop(name, None)
    return copied


def placed_score(model: LinearModel, X: Any, y: Any, sample_weight: Any) -> float:
    """Return 1 minus the loss of the predictions over that of the best constant, summed where the rows are.

    Parameters
    ----------
    model : LinearModel
    X, y, sample_weight : Dask collections or column names
    """
    data = placed(X, y, sample_weight=sample_weight, engine=model.engine)
    try:
        if not data.has_target:
            raise DataError("no target was given: pass y, or the name of the target column")
        first = np.sum(data.cluster.each(partial(_targets, without_fit_records(model)), data.partitions), axis=0)
        mean = float(first[1] / first[0])
        losses = np.sum(data.cluster.each(partial(_losses, without_fit_records(model), mean), data.partitions), axis=0)
    finally:
        data.release()
    return explained(float(losses[0]), float(losses[1]))


def _weighted_targets(partition: DataPartition) -> tuple[Any, Floats]:
    opened = open_data(partition.X)
    y = raw_vector(target_values(opened, partition.y), "y", DataError)
    weight = partition_weights(partition, opened)
    return y, weight if weight.size else np.ones(len(y))


def _targets(model: Any, partition: DataPartition) -> Floats:
    """Return the sums of weights and of weighted targets, where those are numbers."""
    y, weight = _weighted_targets(partition)
    return np.array([weight.sum(), 0.0 if hasattr(model, "classes_") else weight @ np.asarray(y, np.float64)])


def _losses(model: Any, mean: float, partition: DataPartition) -> Floats:
    """Return the weighted losses of the predictions and of the mean."""
    y, weight = _weighted_targets(partition)
    mine, plain = model._losses(y, model._values_to_score(partition.X), mean)
    return np.array([weight @ mine, weight @ plain])
