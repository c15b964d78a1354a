"""Linear support vector regression."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from offbeat.engines.base import Engine
from offbeat.fit.settings import Settings
from offbeat.linear_model._shared import translate
from offbeat.linear_model._shared.regressor import LinearRegressor
from offbeat.linear_model._shared.types import Callbacks, Features
from offbeat.sideways.protocol import Solver


class LinearSVR(LinearRegressor):
    """Linear support vector regression: no loss within a tube about the target; with a ridge.

    Minimises ``||coef||^2 / 2 + C sum_i weight_i loss_i``, where a row of residual ``r`` has the loss
    ``max(0, abs(r) - epsilon)`` or its square.

    Parameters
    ----------
    epsilon : float, default=0.0
        Residual up to which there is no loss, in units of y; from 0.
    loss : "epsilon_insensitive" or "squared_epsilon_insensitive", default="epsilon_insensitive"
        Loss of a row.
    C : float, default=1.0
        Inverse of the strength of the ridge.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
    solver : Solver or "auto", default="auto"
        An object of `offbeat.solvers`. "auto" chooses one by loss, penalty and shape, and ``trace_`` says why.
    engine : Engine or "auto", default="auto"
        An object of `offbeat.engines`: what does the work. "auto" takes all cores for large data, one thread for small
        data, and the cluster where X lies on one.
    settings : Settings or None, default=None
        An object of `offbeat.Settings`: how the fit is run. None: all workers wait for each other at each update.
    tol : float, default=1e-4
        Relative duality gap at which the fit stops: the gap divided by the objective at ``coef_ = 0``.
    max_iter : float, default=1000
        Most passes over the data that the whole fit may take.
    time_limit : float or None, default=None
        Most seconds that the whole fit may take, not counting the time to open the data.
    random_state : int, RandomState or None, default=None
        Seed of the solvers that draw random numbers.
    verbose : int, default=0
        Above 0, the fit shows its progress.
    warm_start : bool, default=False
        Whether to start from the coefficients of the previous fit.
    callbacks : callable, sequence of callable or None, default=None
        Each is called as ``callback(progress, row)`` after each certified update. The fit stops when one returns true.
    memory_budget : int, str or None, default=None
        Most bytes that reading data from files may hold at once: a number, or a string such as "1GiB".

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Coefficients.
    intercept_ : float
        Intercept, 0 without ``fit_intercept``.
    n_iter_ : int
        Passes over the data, rounded up.
    n_features_in_ : int
        Number of features, or of columns where X is a table.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns, where X has names.
    encoder_ : Encoder or None
        How the columns of a table became the features that ``coef_`` belongs to.
    target_ : str or None
        Name of the column that was the target, where it is known.
    read_options_ : ReadOptions
        How X was read, where it was a text file. Files for prediction are read in the same way.
    certificate_ : Certificate
        Proof of how near the model is to the optimum: ``primal``, ``dual``, ``gap``, ``relative_gap``, ``kind`` and
        ``satisfied``.
    status_ : str
        "converged", or why the fit stopped earlier.
    trace_ : Trace
        Record of the fit: ``to_frame()``, ``plot()``, ``report("fit.html")``.

    Notes
    -----
    Parameters mean what they do in scikit-learn 1.9, but for ``tol`` (a relative duality gap) and ``max_iter`` (passes
    over the data). The intercept is not penalised: in scikit-learn it is, as the coefficient of a column whose value is
    ``intercept_scaling``. The certificate is about the objective above divided by ``C`` and the sum of the weights (and
    by 2 for the squared loss).

    Examples
    --------
    >>> from offbeat.linear_model import LinearSVR
    >>> model = LinearSVR(epsilon=0.5, C=100.0).fit([[0.0], [1.0], [2.0], [3.0]], [1.0, 2.0, 3.0, 4.0])
    >>> abs(float(model.predict([[1.5]])[0]) - 2.5) <= 0.6, model.certificate_.satisfied
    (True, True)
    """

    def __init__(
        self,
        *,
        epsilon: float = 0.0,
        loss: Literal["epsilon_insensitive", "squared_epsilon_insensitive"] = "epsilon_insensitive",
        C: float = 1.0,
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
        self.epsilon = epsilon
        self.loss = loss
        self.C = C

    def fit(self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Numbers.
        sample_weight : array-like of shape (n_rows,), or column name, optional
            Weights of the rows, from 0. Without them, all rows count the same.

        Returns
        -------
        self : LinearSVR

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        translate.svr(self.loss, self.epsilon, self.C, 1.0)
        dataset, total = self._dataset(X, y, sample_weight)
        return self._fit(translate.svr(self.loss, self.epsilon, self.C, total), dataset)
