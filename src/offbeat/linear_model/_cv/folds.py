"""Folds: which rows a model is fitted on and which it is judged by, and predictions for the latter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv

from offbeat.data.arrays.in_memory import CSRSource, DenseSource
from offbeat.data.dataset import Dataset
from offbeat.data.source import CSR, Source, rows_per_block
from offbeat.errors import DataError
from offbeat.linear_model._shared.predict import linear_predictor
from offbeat.problem import Floats
from offbeat.solvers._common.selection import Selection, take


@dataclass(frozen=True)
class Fold:
    """Which rows a model is fitted on and which it is judged by.

    Parameters
    ----------
    train, test : ndarray of int
        Numbers of rows.
    total : float
        Sum of the weights of the rows to fit on.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    total: float

    def selection(self, dataset: Dataset) -> Selection:
        """Return the rows to fit on, with weights of mean one."""
        mask = np.zeros(dataset.n_rows, dtype=np.bool_)
        mask[self.train] = True
        if not dataset.weight.size:
            return Selection(mask)
        return Selection(mask, float(mask.sum() / dataset.weight[mask].sum()))

    def judges(self, dataset: Dataset) -> bool:
        """Whether any row to judge by has a weight above zero."""
        return not dataset.weight.size or bool(np.any(dataset.weight[self.test]))


def split(cv: Any, X: Any, targets: Floats, dataset: Dataset, total: float, **parameters: Any) -> list[Fold]:
    """Return the folds that a splitter makes.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        As in scikit-learn; folds of classes are stratified.
    X : array-like or path
        Passed to the splitter unless it is a path.
    targets : ndarray, shape (n_rows,)
        Class numbers (integers) or numbers (floats).
    dataset : Dataset
        With weights of mean one.
    total : float
        Sum of the weights as given.
    **parameters
        Of the splitter's ``split``: groups.

    Returns
    -------
    folds : list of Fold

    Raises
    ------
    DataError
        A fold has no rows, or rows that do not exist; or no fold has rows with weight to judge by.
    """
    n = dataset.n_rows
    given = X if hasattr(X, "shape") and len(X.shape) == 2 and X.shape[0] == n else np.zeros((n, 1))
    folds = []
    splitter = check_cv(cv, targets, classifier=targets.dtype.kind == "i")
    for train, test in splitter.split(given, targets, **parameters):
        parts = [np.flatnonzero(rows) if np.asarray(rows).dtype == np.bool_ else rows for rows in (train, test)]
        rows = [np.asarray(part, dtype=np.int64) for part in parts]
        if any(not part.size or part.min() < 0 or part.max() >= n for part in rows):
            raise DataError(f"cv gave a fold without rows, or with rows that do not exist: X has {n:,}")
        share = dataset.weight[rows[0]].sum() if dataset.weight.size else len(rows[0])
        if not share > 0.0:
            raise DataError("cv gave a fold whose rows to fit on all have weight zero")
        folds.append(Fold(rows[0], rows[1], float(total * share / n)))
    if not any(fold.judges(dataset) for fold in folds):
        raise DataError("cv gave no fold with rows left out that have weight: there is nothing to judge models by")
    return folds


def left_out(
    source: Source, folds: Sequence[Fold], coefs: NDArray[Any], intercepts: NDArray[Any]
) -> list[NDArray[Any]]:
    """Return the predictors of every model for the rows that its fold left out, in one pass over the data.

    Parameters
    ----------
    source : Source
    folds : list of Fold
    coefs : ndarray of object, shape (n_folds, n_groups, n_strengths)
        Each of shape (n_columns, n_outputs).
    intercepts : ndarray of object, shape (n_folds, n_groups, n_strengths)
        Each of shape (n_outputs,).

    Returns
    -------
    predictors : list of ndarray, shape (n_test, n_groups, n_strengths, n_outputs)
        One a fold.
    """
    shape = (*coefs.shape[1:], len(intercepts[0, 0, 0]))
    columns = [np.concatenate(list(each.ravel()), axis=1) for each in coefs]
    constants = [np.concatenate(list(each.ravel())) for each in intercepts]
    out = [np.empty((len(fold.test), *shape), dtype=source.dtype) for fold in folds]
    orders = [np.argsort(fold.test, kind="stable") for fold in folds]
    step = rows_per_block(source)
    for start in range(0, source.shape[0], step):
        stop = min(start + step, source.shape[0])
        block = source.read(start, stop)
        for f, fold in enumerate(folds):
            bounds = np.searchsorted(fold.test, (start, stop), sorter=orders[f])
            rows = orders[f][bounds[0] : bounds[1]]
            if rows.size:
                part = take(block, fold.test[rows] - start)
                small = CSRSource(part, source.shape[1]) if isinstance(part, CSR) else DenseSource(part)
                out[f][rows] = linear_predictor(small, columns[f], constants[f]).reshape(-1, *shape)
    return out
