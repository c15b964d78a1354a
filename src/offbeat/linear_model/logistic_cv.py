"""Logistic regression whose penalty is chosen by cross-validation, all models over shared passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import get_scorer
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from offbeat.data.dataset import Dataset
from offbeat.engines.base import Engine
from offbeat.errors import DataError, ProblemError
from offbeat.fit.settings import Allowance, Settings
from offbeat.fit.solution import Solution
from offbeat.linear_model._cv import folds as _folds
from offbeat.linear_model._cv import grid
from offbeat.linear_model._cv.folds import Fold
from offbeat.linear_model._cv.grid import FittedGrid
from offbeat.linear_model._cv.routing import check_routed, routing_is_on
from offbeat.linear_model._cv.scoring import KnownPredictor, as_text, scorer
from offbeat.linear_model._shared import parameters, translate
from offbeat.linear_model._shared.base import StartingPoint
from offbeat.linear_model._shared.probabilistic import ProbabilisticClassifier
from offbeat.linear_model._shared.types import Callbacks, ClassWeight, CrossValidation, Features
from offbeat.problem import Floats
from offbeat.sideways.protocol import Solver


class LogisticRegressionCV(ProbabilisticClassifier):
    """Logistic regression that chooses ``C`` and ``l1_ratio`` by cross-validation.

    The models of all folds are fitted together: each pass over the data serves all of them. In each fold, fits go from
    the strongest penalty to the weakest, and each starts from the solution before. The scores take one more pass. Then
    the model with the best scores is fitted to all rows.

    Parameters
    ----------
    Cs : int or array-like, default=10
        Values of ``C`` to try, or how many of them: evenly spaced from 1e-4 to 1e4 on a log scale.
    l1_ratios : array-like, default=(0.0,)
        Values of ``l1_ratio`` to try.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
    cv : int, splitter, iterable or None, default=None
        Number of folds, or what makes them. None: 5 folds, stratified for classes.
    scoring : str, scorer or None, default=None
        What is to be high on the rows that are left out. None: accuracy.
    refit : bool, default=True
        Whether to fit the best model to all rows. Otherwise coefficients are means over the best models of the folds.
    class_weight : dict, "balanced" or None, default=None
        Weights by label; the weights of the rows are multiplied with them. "balanced" makes all classes count the same.
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
    callbacks : callable, sequence of callable or None, default=None
        Each is called as ``callback(progress, row)`` after each certified update. The fit stops when one returns true.
    memory_budget : int, str or None, default=None
        Most bytes that reading data from files may hold at once: a number, or a string such as "1GiB".

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Labels, sorted.
    coef_ : ndarray, shape (1, n_features) for two classes, (n_classes, n_features) for more
        Coefficients.
    intercept_ : ndarray, shape (1,) or (n_classes,)
        Intercepts, 0 without ``fit_intercept``.
    C_ : float
        The value of ``C`` that was chosen: the best mean score.
    l1_ratio_ : float
        The value of ``l1_ratio`` that was chosen.
    Cs_ : ndarray, shape (n_Cs,)
        Values of ``C`` that were tried.
    l1_ratios_ : ndarray, shape (n_l1_ratios,)
        Values of ``l1_ratio`` that were tried.
    coefs_paths_ : ndarray, shape (n_folds, n_l1_ratios, n_Cs, 1 or n_classes, n_features + 1)
        Coefficients, the intercept last where there is one.
    scores_ : ndarray, shape (n_folds, n_l1_ratios, n_Cs)
        Scores on the rows that are left out. NaN in folds where the score is not defined, or these rows have no weight:
        such folds do not count.
    n_iter_ : ndarray of int, shape (n_folds, n_l1_ratios, n_Cs)
        Passes that each model took part in, rounded up.
    passes_ : float
        Passes over the data of all models together.
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
    >>> from offbeat.linear_model import LogisticRegressionCV
    >>> from sklearn.datasets import load_iris
    >>> model = LogisticRegressionCV(cv=3).fit(*load_iris(return_X_y=True))
    >>> model.scores_.shape, model.score(*load_iris(return_X_y=True)) > 0.9
    ((3, 1, 10), True)
    """

    def __init__(
        self,
        *,
        Cs: int | ArrayLike = 10,
        l1_ratios: ArrayLike = (0.0,),
        fit_intercept: bool = True,
        cv: CrossValidation = None,
        scoring: str | Callable[..., float] | None = None,
        refit: bool = True,
        class_weight: ClassWeight = None,
        solver: Solver | Literal["auto"] = "auto",
        engine: Engine | Literal["auto"] = "auto",
        settings: Settings | None = None,
        tol: float = 1e-4,
        max_iter: float = 1000,
        time_limit: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Callbacks = None,
        memory_budget: int | str | None = None,
    ) -> None:
        super().__init__(
            fit_intercept=fit_intercept, solver=solver, engine=engine, settings=settings,
            tol=tol, max_iter=max_iter, time_limit=time_limit, random_state=random_state, verbose=verbose,
            callbacks=callbacks, memory_budget=memory_budget,
        )  # fmt: skip
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.class_weight = class_weight

    def fit(
        self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, **params: Any
    ) -> Self:
        """Fit all models, and the best on all rows.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Class labels: booleans, whole numbers or text.
        sample_weight : array-like of shape (n_rows,), or column name, optional
            Weights of the rows, from 0. Without them, all rows count the same.
        **params
            Of splitter and scorer, with scikit-learn's metadata routing.

        Returns
        -------
        self : LogisticRegressionCV

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        check_routed(params, self, "fit")
        allowed = Allowance(parameters.number("max_iter", self.max_iter), self.time_limit)
        given, dataset, total = self._weights_and_classes(X, y, sample_weight)
        routed = process_routing(self, "fit", sample_weight=sample_weight, **params) if routing_is_on() else None
        self.Cs_, self.l1_ratios_ = _grid(self.Cs), _ratios(self.l1_ratios)
        splitting = {} if routed is None else routed.splitter.split
        folds = _folds.split(self.cv, X, dataset.y.astype(np.int64), dataset, total, **splitting)
        fitted = self._fit_folds(folds, dataset, allowed)
        grid.warn_if_not_converged(list(fitted.certificates.ravel()), self.tol)
        scoring = given if routed is None or "sample_weight" in routed.scorer.score else np.empty(0)
        self._score_folds(folds, fitted, dataset, scoring)
        self.passes_ = fitted.passes + 1.0
        allowed.passes += self.passes_
        self.n_iter_ = np.maximum(1, np.ceil(fitted.own_passes)).astype(np.int32)
        self._choose(dataset, total, fitted, allowed)
        return self

    def _weights_and_classes(self, X: Any, y: Any, sample_weight: Any) -> tuple[Floats, Dataset, float]:
        """Return the weights as given, the data set and the sum of its weights."""
        dataset = cast(Dataset, self._class_numbers(self._require_local(X), y, sample_weight))
        return dataset.weight, *cast("tuple[Dataset, float]", self._by_class(dataset))

    def _fit_folds(self, folds: list[Fold], dataset: Dataset, allowed: Allowance) -> FittedGrid:
        """Fit every fold with every penalty within their share of the limits; set ``coefs_paths_``."""
        order = np.argsort(self.Cs_, kind="stable")
        problems = [
            [
                [translate.logistic(C, ratio, len(self.classes_), fold.total) for C in self.Cs_[order]]
                for ratio in self.l1_ratios_
            ]
            for fold in folds
        ]
        budget = grid.Budget(
            self.solver, self.engine, bool(self.fit_intercept), self.tol,
            *allowed.part((len(folds) + 1) / len(folds) if self.refit else 1),
        )  # fmt: skip
        fitted = grid.fit_folds(problems, folds, dataset, budget).reordered(np.argsort(order, kind="stable"))
        parts = [_with_intercept(c, b, self.fit_intercept) for c, b in zip(*fitted.flat(), strict=True)]
        self.coefs_paths_ = np.reshape(parts, (*fitted.coefs.shape, *parts[0].shape))
        return fitted

    def _score_folds(self, folds: list[Fold], fitted: FittedGrid, dataset: Dataset, weight: Floats) -> None:
        """Set ``scores_``: of each model, on the rows that its fold left out."""
        classes = as_text(self.classes_)
        score = scorer(self.scoring, classes)
        self.scores_: NDArray[np.float64] = np.empty(fitted.coefs.shape)
        for f, z in enumerate(_folds.left_out(dataset.source, folds, fitted.coefs, fitted.intercepts)):
            if weight.size and not np.any(weight[folds[f].test]):
                self.scores_[f] = np.nan
                continue
            rows = np.arange(len(z))[:, None]
            labels = classes[dataset.y[folds[f].test].astype(np.intp)]
            options = {"sample_weight": weight[folds[f].test]} if weight.size else {}
            for place in np.ndindex(self.scores_.shape[1:]):
                one = z[(slice(None), *place)]
                model = KnownPredictor(classes, one if one.shape[1] > 1 else one[:, 0])
                self.scores_[(f, *place)] = score(model, rows, labels, **options)

    def _choose(self, dataset: Dataset, total: float, fitted: FittedGrid, allowed: Allowance) -> None:
        """Set the best ``C_`` and ``l1_ratio_``, and the coefficients that go with them."""
        known = np.flatnonzero(~np.isnan(self.scores_).any(axis=(1, 2)))
        if not known.size:
            raise DataError(f"scoring={self.scoring!r} gives no number in any fold: choose others, or another score")
        if self.refit:
            # As scikit-learn does: of equal scores the first C counts, then the first l1_ratio.
            c, r = np.unravel_index(np.argmax(self.scores_[known].sum(axis=0).T), self.scores_.shape[:0:-1])
            self.C_, self.l1_ratio_ = float(self.Cs_[c]), float(self.l1_ratios_[r])
            problem = translate.logistic(self.C_, self.l1_ratio_, len(self.classes_), total)
            self._optimise(problem, dataset, self._mean_start(fitted, int(r), int(c)), allowed.part(1))
            return
        best = [np.unravel_index(np.argmax(self.scores_[f].T), self.scores_.shape[:0:-1]) for f in known]
        self.C_ = float(np.mean([self.Cs_[c] for c, _ in best]))
        self.l1_ratio_ = float(np.mean([self.l1_ratios_[r] for _, r in best]))
        places = [(int(f), int(r), int(c)) for f, (c, r) in zip(known, best, strict=True)]
        coef = np.mean([fitted.coefs[place] for place in places], axis=0)
        intercept = np.mean([fitted.intercepts[place] for place in places], axis=0)
        self.coef_, self.intercept_ = np.ascontiguousarray(coef.T), intercept
        self.certificate_ = grid.worst([fitted.certificates[place] for place in places])
        self.trace_, self.status_ = fitted.trace, "converged" if self.certificate_.satisfied else "stalled"

    def _keep(self, solution: Solution) -> None:
        own = self.n_iter_  # of the models of the folds
        super()._keep(solution)
        self.n_iter_ = own
        self.passes_ += solution.passes

    def _mean_start(self, fitted: FittedGrid, group: int, strength: int) -> StartingPoint:
        coef = np.mean(list(fitted.coefs[:, group, strength]), axis=0)
        return coef, np.mean(list(fitted.intercepts[:, group, strength]), axis=0)

    def score(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any) -> float:
        """Return the score that the penalty was chosen by.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
        y : array-like of shape (n_rows,), or column name
        sample_weight : array-like of shape (n_rows,), optional
        **params
            Of the scorer, with scikit-learn's metadata routing.

        Returns
        -------
        score : float
        """
        check_routed(params, self, "score")
        labels = self._labels(X, y)
        weight = self._weights(X, sample_weight, len(labels))
        options = {} if weight is None else {"sample_weight": weight}
        if routing_is_on():
            options = process_routing(self, "score", **options, **params).scorer.score
        if self.scoring is None:
            return super().score(X, labels, **options)
        return float(get_scorer(self.scoring or "accuracy")(self, X, labels, **options))

    def get_metadata_routing(self) -> MetadataRouter:
        """Return which metadata the splitter and the scorer ask for."""
        scoring = MethodMapping().add(caller="fit", callee="score").add(caller="score", callee="score")
        splitting = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        router = router.add(splitter=self.cv, method_mapping=splitting)
        return router.add(scorer=get_scorer(self.scoring or "accuracy"), method_mapping=scoring)


def _grid(Cs: Any) -> Floats:
    """Return the values of ``C``."""
    if isinstance(Cs, int | np.integer) and not isinstance(Cs, bool):
        if Cs < 1:
            raise ProblemError(f"Cs is {Cs}; give at least one value")
        return np.logspace(-4, 4, int(Cs))
    values = [parameters.number("Cs", C) for C in np.ravel(Cs).tolist()]
    if not values or min(values) <= 0.0:
        raise ProblemError(f"Cs is {Cs!r}; give positive numbers, or how many")
    return np.array(values)


def _ratios(l1_ratios: Any) -> Floats:
    values = [parameters.ratio(value) for value in np.ravel(l1_ratios).tolist()]
    if not values:
        raise ProblemError("l1_ratios is empty; give at least one value")
    return np.array(values)


def _with_intercept(coef: Floats, intercept: Floats, fit_intercept: bool) -> Floats:
    """Return coefficients (n_outputs, k) with the intercepts as last column where they were fitted."""
    return np.column_stack([coef.T, intercept]) if fit_intercept else np.ascontiguousarray(coef.T)
