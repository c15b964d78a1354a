"""Scores of models for which only the linear predictor of the rows left out is known."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer, make_scorer

from offbeat.errors import ProblemError
from offbeat.linear_model._shared.probabilistic import ProbabilisticClassifier


class KnownPredictor(ProbabilisticClassifier):
    """A fitted classifier whose rows are numbers of rows of a matrix of predictors.

    Parameters
    ----------
    classes : ndarray, shape (n_classes,)
    z : ndarray, shape (n_rows,) or (n_rows, n_classes)
        Linear predictors.

    Examples
    --------
    >>> KnownPredictor(np.array(["no", "yes"]), np.array([-1.0, 2.0])).predict(np.array([[0], [1]])).tolist()
    ['no', 'yes']
    """

    def __init__(self, classes: NDArray[Any], z: NDArray[Any]) -> None:
        self.classes = classes
        self.z = z
        self.classes_ = classes

    def _predictor(self, X: Any) -> NDArray[Any]:
        z: NDArray[Any] = self.z[np.asarray(X)[:, 0]]
        return z


def as_text(classes: NDArray[Any]) -> NDArray[Any]:
    """Return classes that scikit-learn's scorers take: bytes as text, all others as they are.

    Examples
    --------
    >>> as_text(np.array([b"no", b"yes"])).tolist()
    ['no', 'yes']
    """
    labels = classes.tolist()
    if not any(isinstance(label, bytes) for label in labels):
        return classes
    return np.array([label.decode("latin-1") for label in labels])


def scorer(scoring: Any, classes: NDArray[Any]) -> Any:
    """Return a scorer for `KnownPredictor` models of these classes.

    Parameters
    ----------
    scoring : str, scorer or None
        Name of a scorer of scikit-learn, or what its ``make_scorer`` returns; None: accuracy.
    classes : ndarray, shape (n_classes,)
        A fold may lack some of them, so scorers that take labels are given these.

    Returns
    -------
    scorer : callable

    Raises
    ------
    ProblemError
        A function of one's own looks at the rows, which are not at hand.
    """
    chosen = get_scorer("accuracy" if scoring is None else scoring)
    function = getattr(chosen, "_score_func", None)
    if function is None:
        raise ProblemError("scoring must be a name or made by sklearn.metrics.make_scorer, from predictions alone")
    parameters = inspect.signature(function).parameters
    if "labels" not in parameters:
        return chosen
    known = dict(getattr(chosen, "_kwargs", {}), labels=classes)
    if len(classes) == 2 and "pos_label" in parameters:
        known.setdefault("pos_label", classes[-1])
    return make_scorer(function, greater_is_better=chosen._sign == 1, response_method=chosen._response_method, **known)
