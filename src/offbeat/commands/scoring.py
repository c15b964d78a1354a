"""Predictions of a fitted model, their metrics, and the standardised effects of its features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Dataset
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.data.shards import Workspace, pooled_moments
from offbeat.errors import DataError
from offbeat.fit import choice
from offbeat.linear_model._shared.deviance import explained_deviance, mean_deviance
from offbeat.linear_model._shared.predict import linear_predictor
from offbeat.losses.questions import means, probabilistic, variance_power
from offbeat.models.fitted import FittedModel
from offbeat.problem import Floats, Loss

SAMPLE_ROWS = 200_000


class Effect(NamedTuple):
    """A coefficient in the units of its column, and per standard deviation of the column."""

    name: str
    coefficient: float
    effect: float


def predictor(model: FittedModel, dataset: Dataset) -> Floats:
    """Return the linear predictor of each row, offset included.

    Parameters
    ----------
    model : FittedModel
    dataset : Dataset

    Returns
    -------
    z : ndarray of float64, shape (n_rows,) or (n_rows, n_outputs)

    Raises
    ------
    DataError
        A feature is NaN or infinite.
    """
    z = linear_predictor(dataset.source, model.coef, model.intercept).astype(np.float64, copy=False)
    if dataset.offset.size:
        z += dataset.offset if z.ndim == 1 else dataset.offset[:, None]
    if not np.isfinite(z).all():
        message = diagnose_non_finite(dataset.source, dataset.feature_names)
        raise DataError(message or "a prediction is not finite: features are far larger than those of the fit")
    return z


def metrics(model: FittedModel, dataset: Dataset) -> dict[str, float]:
    """Return how well a model predicts the targets of a data set; rows of weight zero do not count.

    Parameters
    ----------
    model : FittedModel
    dataset : Dataset
        With targets; classes as numbers.

    Returns
    -------
    scores : dict of str to float
        Those that suit the loss; without those that the rows do not define, such as AUC for one class.
    """
    z, y, weight = predictor(model, dataset), dataset.y, dataset.weight
    rows = np.flatnonzero(weight) if weight.size else np.arange(len(y))
    z, y = z[rows], y[rows]
    v = weight[rows] if weight.size else None
    if model.loss.classifier:
        return _class_metrics(model.loss, z, y, v)
    return _number_metrics(model.loss, z, y, v)


def _class_metrics(loss: Loss, z: Floats, y: Floats, v: Floats | None) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    scores: dict[str, float] = {}
    if probabilistic(loss):
        mean = means(loss, z)
        labels = list(range(2 if mean.ndim == 1 else mean.shape[1]))
        scores["log-loss"] = log_loss(y, mean, sample_weight=v, labels=labels)
    if z.ndim == 1 and len(np.unique(y)) == 2:
        scores["AUC"] = roc_auc_score(y, z, sample_weight=v)
    scores["accuracy"] = accuracy_score(y, class_numbers(z), sample_weight=v)
    return {name: float(score) for name, score in scores.items()}


def _number_metrics(loss: Loss, z: Floats, y: Floats, v: Floats | None) -> dict[str, float]:
    from sklearn import metrics as m

    power = variance_power(loss)
    if power is not None:
        scores = {"mean deviance": mean_deviance(power, y, z, v)}
        if len(np.unique(y)) > 1:
            scores["explained deviance"] = explained_deviance(power, y, z, v)
    else:
        mean = means(loss, z)
        scores = {"RMSE": m.root_mean_squared_error(y, mean, sample_weight=v)}
        scores["mean absolute error"] = m.mean_absolute_error(y, mean, sample_weight=v)
        if len(np.unique(y)) > 1:
            scores["R2"] = m.r2_score(y, mean, sample_weight=v)
    return {name: float(score) for name, score in scores.items()}


def class_numbers(z: Floats) -> NDArray[np.intp]:
    """Return the number of the likeliest class of each row.

    Examples
    --------
    >>> class_numbers(np.array([-1.0, 2.0])).tolist()
    [0, 1]
    """
    return np.asarray(z > 0 if z.ndim == 1 else z.argmax(axis=1), dtype=np.intp)


def effects(model: FittedModel, dataset: Dataset) -> list[Effect]:
    """Return all coefficients, the largest standardised effect first.

    Parameters
    ----------
    model : FittedModel
    dataset : Dataset
        The training rows: their standard deviations count.

    Returns
    -------
    effects : list of Effect
        Named ``feature -> class`` where there are several predictors.
    """
    names, coef = model.names, model.coef
    deviation = _deviations(dataset)
    if coef.ndim == 2:
        classes = model.classes or tuple(range(coef.shape[1]))
        names = [f"{name} → {label}" for name in names for label in classes]
        deviation = np.repeat(deviation, coef.shape[1])
    values = coef.ravel()
    sizes = values * deviation
    order = np.argsort(-np.abs(sizes), kind="stable")
    return [Effect(names[j], float(values[j]), float(sizes[j])) for j in order]


def _deviations(dataset: Dataset) -> Floats:
    """Return the standard deviation of each column, from a sample of rows where reading them takes long."""
    engine = choice.engine(dataset, "auto")
    fraction = 1.0 if dataset.source.resident else min(1.0, SAMPLE_ROWS / dataset.n_rows)
    shards = dataset.shards(engine.n_workers)
    parts = engine.map(lambda shard: shard.moments(fraction, Workspace()), shards)
    return pooled_moments(parts)[1]
