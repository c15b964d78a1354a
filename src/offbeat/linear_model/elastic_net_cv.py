"""Elastic net whose penalty is chosen by cross-validation, in one pass over the data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from offbeat.data.dataset import Dataset
from offbeat.diagnostics.trace import Trace
from offbeat.engines.base import Engine
from offbeat.errors import ProblemError
from offbeat.fit import choice, paths
from offbeat.fit.paths import Path, Start, start
from offbeat.fit.settings import Allowance
from offbeat.linear_model._cv import folds as _folds
from offbeat.linear_model._cv import grid as _grid_fit
from offbeat.linear_model._cv.folds import Fold
from offbeat.linear_model._cv.gram import FoldGrams, fold_grams, mean_squared_errors, row_errors
from offbeat.linear_model._cv.routing import check_routed, routing_is_on
from offbeat.linear_model._shared import parameters, translate
from offbeat.linear_model._shared.sparse import SparseRegressor
from offbeat.linear_model._shared.types import CrossValidation, Features
from offbeat.problem import Certificate, Floats
from offbeat.sideways.messages import Row

MAX_GRAM_BYTES = 1 << 30
"""Memory for the Gram matrices of all folds."""
MAX_RELATIVE_ROUNDING = 1e-6
"""Share of a squared error that may be rounding; with more, the error is computed from the rows."""


class ElasticNetCV(SparseRegressor):
    """Elastic net that chooses ``alpha`` and ``l1_ratio`` by cross-validation.

    One pass over the data computes one Gram matrix for each fold. The models of all folds, strengths and ratios, their
    errors on the rows that are left out, and the best model on all rows are computed from these matrices. Data with
    more than about 5,000 columns is too wide for that: its models are fitted by gradient methods, which share passes.

    Parameters
    ----------
    l1_ratio : float or list of float, default=0.5
        Share of the lasso in the penalty, or shares to try.
    eps : float, default=1e-3
        Ratio of the smallest to the largest ``alpha`` to try.
    alphas : int or array-like, default=100
        Values of ``alpha`` to try, or how many of them. The largest is then the least one for which all coefficients
        are zero.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
    cv : int, splitter, iterable or None, default=None
        Number of folds, or what makes them. None: 5 folds, stratified for classes.
    positive : bool, default=False
        Whether coefficients must not be negative.
    engine : Engine or "auto", default="auto"
        An object of `offbeat.engines`: what does the work. "auto" takes all cores for large data, one thread for small
        data, and the cluster where X lies on one.
    tol : float, default=1e-4
        Relative duality gap at which the fit stops: the gap divided by the objective at ``coef_ = 0``.
    max_iter : float, default=1000
        Most passes over the data that the whole fit may take.
    time_limit : float or None, default=None
        Most seconds that the whole fit may take, not counting the time to open the data.
    memory_budget : int, str or None, default=None
        Most bytes that reading data from files may hold at once: a number, or a string such as "1GiB".

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Coefficients.
    intercept_ : float
        Intercept, 0 without ``fit_intercept``.
    alpha_ : float
        The value of ``alpha`` that was chosen: the least mean error.
    l1_ratio_ : float
        The value of ``l1_ratio`` that was chosen.
    alphas_ : ndarray, shape (n_alphas,) or (n_l1_ratios, n_alphas)
        Values of ``alpha`` that were tried, largest first.
    mse_path_ : ndarray, shape (n_alphas, n_folds) or (n_l1_ratios, n_alphas, n_folds)
        Mean squared errors on the rows that are left out. NaN in folds where these rows have no weight.
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
    The limits ``max_iter`` and ``time_limit`` do not cut short the pass that adds up the Gram matrices.

    Examples
    --------
    >>> import numpy as np
    >>> from offbeat.linear_model import ElasticNetCV
    >>> X = np.random.default_rng(0).standard_normal((60, 3))
    >>> model = ElasticNetCV(cv=3).fit(X, 2.0 * X[:, 0])
    >>> model.coef_.round(1), model.n_iter_
    (array([2., 0., 0.]), 1)
    """

    def __init__(
        self,
        *,
        l1_ratio: float | Sequence[float] = 0.5,
        eps: float = 1e-3,
        alphas: int | ArrayLike = 100,
        fit_intercept: bool = True,
        cv: CrossValidation = None,
        positive: bool = False,
        engine: Engine | Literal["auto"] = "auto",
        tol: float = 1e-4,
        max_iter: float = 1000,
        time_limit: float | None = None,
        memory_budget: int | str | None = None,
    ) -> None:
        super().__init__(
            fit_intercept=fit_intercept, engine=engine, tol=tol, max_iter=max_iter, time_limit=time_limit,
            memory_budget=memory_budget,
        )  # fmt: skip
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.alphas = alphas
        self.cv = cv
        self.positive = positive

    def fit(
        self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, **params: Any
    ) -> Self:
        """Fit all models, and the best on all rows.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Numbers.
        sample_weight : array-like of shape (n_rows,), or column name, optional
            Weights of the rows, from 0. Without them, all rows count the same.
        **params
            Of the splitter, with scikit-learn's metadata routing.

        Returns
        -------
        self : ElasticNetCV

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        started = time.perf_counter()
        check_routed(params, self, "fit")
        allowed = Allowance(parameters.number("max_iter", self.max_iter), self.time_limit)
        dataset, total = self._local(X, y, sample_weight)
        splitting = process_routing(self, "fit", **params).splitter.split if routing_is_on() else {}
        folds = _folds.split(self.cv, X, dataset.y, dataset, total, **splitting)
        ratios = [parameters.ratio(value) for value in np.ravel(self.l1_ratio).tolist()]
        if not ratios:
            raise ProblemError("l1_ratio is empty; give at least one value")
        with np.errstate(divide="ignore", invalid="ignore"):  # of folds that have no weight to judge by
            grams = self._grams(dataset, folds)
        whole = self._null(dataset) if grams is None else grams.whole
        alphas = [self._strengths(whole, ratio) for ratio in ratios]
        if grams is None:
            errors = self._errors_by_batch(dataset, folds, ratios, alphas, allowed)
        else:
            errors = self._errors_by_gram(grams, dataset, folds, ratios, alphas, allowed)
        judging = np.array([fold.judges(dataset) for fold in folds])
        self._choose(ratios, alphas, errors, judging)
        if grams is None:
            problem = translate.elastic_net(self.alpha_, self.l1_ratio_, self.positive)
            self._optimise(problem, dataset, limits=allowed.part(1))
            return self
        self._finish(grams.whole, started)
        if np.isnan(errors[:, :, judging]).any():
            self.status_ = "time_limit"
        return self

    def _grams(self, dataset: Dataset, folds: Sequence[Fold]) -> FoldGrams | None:
        """Return the Gram matrices of the folds, None where they would be too large."""
        size = 8 * (dataset.n_columns + 1) ** 2 * (2 * len(folds) + 1)
        if dataset.n_columns > choice.MAX_GRAM_COLUMNS or size > MAX_GRAM_BYTES:
            return None
        engine = choice.engine(dataset, self.engine)
        return fold_grams(translate.elastic_net(1.0, 0.5, self.positive), dataset, folds, engine, self._options())

    def _null(self, dataset: Dataset) -> Start:
        engine = choice.engine(dataset, self.engine)
        problem = translate.elastic_net(1.0, 0.5, self.positive)
        return start(problem, dataset, self._options(), engine, gram=False)

    def _strengths(self, whole: Start, ratio: float) -> Floats:
        """Return the values of ``alpha`` to try for one ratio, largest first."""
        if not isinstance(self.alphas, int | np.integer) or isinstance(self.alphas, bool):
            values = sorted(
                (parameters.at_least_zero("alphas", v) for v in np.ravel(self.alphas).tolist()), reverse=True
            )
            if not values:
                raise ProblemError("alphas is empty; give at least one value, or how many")
            return np.array(values)
        eps = parameters.number("eps", self.eps)
        if self.alphas < 1 or not 0.0 < eps < 1.0:
            raise ProblemError(f"alphas is {self.alphas} and eps is {eps:g}; give at least 1, and eps between 0 and 1")
        if ratio == 0.0:
            raise ProblemError("l1_ratio=0 has no largest alpha to start from: give the values of alphas")
        slopes = -whole.at.gradient * whole.info.scale
        largest = float(np.max(slopes if self.positive else np.abs(slopes), initial=0.0)) / ratio
        return paths.grid(largest, int(self.alphas), eps)

    def _errors_by_gram(
        self, grams: FoldGrams, dataset: Dataset, folds: Sequence[Fold], ratios: Sequence[float],
        alphas: Sequence[Floats], allowed: Allowance,
    ) -> Floats:  # fmt: skip
        """Return mean squared errors, shape (n_l1_ratios, n_alphas, n_folds), from Gram matrices.

        An error that rounding may have changed is computed from the rows. Each path has an even share of the time that
        is left; errors are NaN for the strengths that it does not reach.
        """
        errors = np.full((len(ratios), len(alphas[0]), len(grams.test)), np.nan)
        certificates: list[Certificate | None] = []
        todo = len(ratios) * len(grams.test)
        for r, ratio in enumerate(ratios):
            for f, (train, test) in enumerate(zip(grams.train, grams.test, strict=True)):
                mine = Allowance(np.inf, allowed.part(todo + 1)[1])
                models = self._path(train, ratio, alphas[r], mine)
                found, rounding = mean_squared_errors(models, test)
                doubtful = np.any(rounding > MAX_RELATIVE_ROUNDING * found)
                errors[r, : len(models.alphas), f] = row_errors(dataset, folds[f], models) if doubtful else found
                certificates += [*models.certificates, *[None] * (len(alphas[r]) - len(models.alphas))]
                todo -= 1
        _grid_fit.warn_if_not_converged(certificates, self.tol)
        return errors

    def _path(self, start: Start, ratio: float, alphas: Floats, allowed: Allowance | None = None) -> Path:
        """Return the models of one ratio, from a Gram matrix."""
        problem = translate.elastic_net(1.0, ratio, self.positive)
        info = replace(start.info, penalty=problem.scaled_penalty(start.info.n_columns, start.info.scale))
        return paths.quadratic_path(problem, replace(start, info=info), alphas, allowed)

    def _errors_by_batch(
        self, dataset: Dataset, folds: Sequence[Fold], ratios: Sequence[float], alphas: Sequence[Floats],
        allowed: Allowance,
    ) -> Floats:  # fmt: skip
        """Return mean squared errors, shape (n_l1_ratios, n_alphas, n_folds), from batches of fits."""
        grid = [
            [translate.elastic_net(alpha, ratio, self.positive) for alpha in alphas[r]]
            for r, ratio in enumerate(ratios)
        ]
        budget = _grid_fit.Budget(
            "auto", self.engine, bool(self.fit_intercept), self.tol, *allowed.part((len(folds) + 1) / len(folds))
        )
        fitted = _grid_fit.fit_folds([grid] * len(folds), folds, dataset, budget)
        allowed.passes += fitted.passes
        _grid_fit.warn_if_not_converged(list(fitted.certificates.ravel()), self.tol)
        errors = np.empty((len(ratios), len(alphas[0]), len(folds)))
        for f, z in enumerate(_folds.left_out(dataset.source, folds, fitted.coefs, fitted.intercepts)):
            rows = folds[f].test
            if not folds[f].judges(dataset):
                continue
            squares = (z[..., 0] - dataset.y[rows][:, None, None]) ** 2
            errors[:, :, f] = np.average(squares, axis=0, weights=dataset.weight[rows] if dataset.weight.size else None)
        return errors

    def _choose(
        self, ratios: Sequence[float], alphas: Sequence[Floats], errors: Floats, judging: NDArray[np.bool_]
    ) -> None:
        """Set the best ``alpha_`` and ``l1_ratio_``: of equal ones the largest ``alpha`` of the first ratio.

        Folds whose rows that are left out have no weight do not count.
        """
        errors[:, :, ~judging] = np.nan
        means = errors[:, :, judging].mean(axis=2)
        r, a = np.unravel_index(np.argmin(np.where(np.isnan(means), np.inf, means)), means.shape)
        self.alpha_, self.l1_ratio_ = float(alphas[int(r)][int(a)]), float(ratios[int(r)])
        self.mse_path_ = errors if len(ratios) > 1 else errors[0]
        given = not isinstance(self.alphas, int | np.integer)
        self.alphas_ = np.asarray(alphas) if len(ratios) > 1 and not given else alphas[0]

    def _finish(self, whole: Start, started: float) -> None:
        """Fit the best model to all rows from their Gram matrix, and set the attributes of the fit."""
        best = self._path(whole, self.l1_ratio_, np.array([self.alpha_]))
        self.coef_, self.intercept_ = best.coefs[0], float(best.intercepts[0])
        self.certificate_ = c = best.certificates[0]
        self.status_ = "converged" if c.satisfied else "stalled"
        self.n_iter_ = 1
        self.trace_ = Trace()
        self.trace_.metadata.update(solver="gram", reason="squared loss: one pass for the Gram matrices of all folds")
        self.trace_.append(Row(time.perf_counter() - started, passes=1.0, primal=c.primal, dual=c.dual, gap=c.gap))

    def get_metadata_routing(self) -> MetadataRouter:
        """Return which metadata the splitter asks for."""
        splitting = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(splitter=check_cv(self.cv), method_mapping=splitting)
