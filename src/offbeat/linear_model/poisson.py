"""Poisson regression: counts and rates."""

from __future__ import annotations

from typing import Self

from numpy.typing import ArrayLike

from offbeat.linear_model._shared import translate
from offbeat.linear_model._shared.log_link import LogLinkRegressor
from offbeat.linear_model._shared.types import Features
from offbeat.linear_model._streams.regression import RegressionStream
from offbeat.losses import Poisson
from offbeat.problem import Problem


class PoissonRegressor(RegressionStream, LogLinkRegressor):
    """Poisson regression with a logarithmic link and a ridge.

    Minimises ``sum_i weight_i loss_i / sum_i weight_i + alpha / 2 ||coef||^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the ridge, from 0.
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

    Examples
    --------
    >>> from offbeat.linear_model import PoissonRegressor
    >>> model = PoissonRegressor(alpha=0.0).fit([[0.0], [0.0], [1.0], [1.0]], [1, 3, 5, 7])
    >>> model.predict([[0.0], [1.0]]).round(3)
    array([2., 6.])
    """

    power = 1

    def fit(self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Counts or rates, from 0.
        sample_weight : array-like of shape (n_rows,), or column name, optional
            Weights of the rows, from 0. Without them, all rows count the same.

        Returns
        -------
        self : PoissonRegressor

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        dataset, total = self._dataset(X, y, sample_weight)
        return self._fit(self._stream_problem(total), dataset)

    def _stream_problem(self, total: float) -> Problem:
        return translate.glm(Poisson(), self.alpha)
