"""Logistic regression, of two classes or several."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from offbeat.fit.settings import Settings
from offbeat.fit.solution import Solution
from offbeat.linear_model._shared import translate
from offbeat.linear_model._shared.docs import documented
from offbeat.linear_model._shared.probabilistic import ProbabilisticClassifier
from offbeat.linear_model._streams.classes import ClassStream
from offbeat.problem import Problem


@documented
class LogisticRegression(ClassStream, ProbabilisticClassifier):
    """Logistic regression with ridge, lasso or elastic net penalty; multinomial for more than two classes.

    Minimises ``C sum_i weight_i loss_i + l1_ratio ||coef||_1 + (1 - l1_ratio) / 2 ||coef||^2``.

    Parameters
    ----------
    C : float, default=1.0
        Inverse of the strength of the penalty; ``inf`` for none.
    l1_ratio : float, default=0.0
        Share of the lasso in the penalty, 0 (ridge) to 1 (lasso).
    {fitting}
    class_weight : dict, "balanced" or None, default=None
        Weights by label, multiplied with those of the rows; "balanced" makes all classes count the same.
    {common}
    {warm}

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Labels, sorted.
    coef_ : ndarray, shape (1, n_features) for two classes, (n_classes, n_features) for more
    intercept_ : ndarray, shape (1,) or (n_classes,)
    n_iter_ : ndarray of int, shape (1,)
        Passes over the data, rounded up.
    {attributes}

    Notes
    -----
    Parameters mean what they do in scikit-learn 1.9, but for ``tol`` (a relative duality gap) and ``max_iter``
    (passes over the data).

    Examples
    --------
    >>> from offbeat.linear_model import LogisticRegression
    >>> model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"])
    >>> model.predict([[0.5], [2.5]]).tolist(), model.certificate_.satisfied
    (['no', 'yes'], True)
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
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
        self.C = C
        self.l1_ratio = l1_ratio
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Class labels: booleans, whole numbers or text.
        sample_weight : array-like of shape (n_rows,), or column name, optional

        Returns
        -------
        self : LogisticRegression

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        dataset, total = self._classes(X, y, sample_weight)
        problem = self._stream_problem(total)
        self._optimise(problem, dataset, self._warm(dataset.n_columns, problem.n_outputs))
        return self

    def _keep(self, solution: Solution) -> None:
        super()._keep(solution)
        self.n_iter_ = np.array([self.n_iter_], dtype=np.int32)

    def _stream_problem(self, total: float) -> Problem:
        return translate.logistic(self.C, self.l1_ratio, len(self.classes_), total)
