"""What all estimators share: from parameters to a fit, from a fit to attributes, and prediction."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from offbeat import solvers
from offbeat.data.arrays.vectors import check_not_lazy, weight_vector
from offbeat.data.dataset import Data, Dataset
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.load import as_dataset, libsvm_as_fitted, target_values
from offbeat.data.opening import Opened, open_data
from offbeat.data.tables.encoding import Encoder
from offbeat.engines.base import Engine
from offbeat.engines.interrupt import interruptible, raise_if
from offbeat.engines.placing import lies_elsewhere, placed
from offbeat.errors import DataError, ProblemError, TargetError
from offbeat.fit import choice
from offbeat.fit.inspection import Options
from offbeat.fit.settings import FitArguments, Settings, settings_of
from offbeat.fit.solution import Solution
from offbeat.fit.solve import fit
from offbeat.linear_model._shared.parameters import number, one_callback, seed
from offbeat.linear_model._shared.predict import linear_predictor
from offbeat.linear_model._shared.types import Callbacks
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Solver

StartingPoint = tuple[Floats, Floats]
"""Coefficients, shape (n_features, n_outputs), and intercepts, shape (n_outputs,)."""
Limits = tuple[float, float | None]
"""Most passes over the data, and most seconds."""


class LinearModel(BaseEstimator):
    """Parameters, fitting and prediction of every linear model; the estimators document them."""

    coef_: Floats
    intercept_: float | Floats
    n_features_in_: int
    encoder_: Encoder | None
    target_: str | None
    by_name_: bool = False
    read_options_: ReadOptions

    def __init__(
        self,
        *,
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
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.engine = engine
        self.settings = settings
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.memory_budget = memory_budget

    def _open(self, X: Any, y: Any, read_options: ReadOptions | None = None) -> Opened:
        """Recognise the data; raise the errors that scikit-learn's tools expect of a missing or odd target."""
        opened = open_data(X, self.memory_budget, read_options)
        if y is None and opened.labels is None:
            raise TargetError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        check_not_lazy(y, "y", TargetError)
        if getattr(y, "ndim", 1) == 2 and np.shape(y)[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change the shape of y to "
                "(n_samples, ), for example using ravel().",
                DataConversionWarning,
                stacklevel=3,
            )
        return opened

    def _dataset(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Data, float]:
        """Return the data set of a regression and the sum of its weights; remember names and number of features."""
        dataset: Data
        if lies_elsewhere(X, self.engine):
            dataset = placed(X, y, sample_weight=sample_weight, engine=self.engine)
        else:
            opened = self._open(X, y)
            dataset = as_dataset(opened, y, sample_weight=sample_weight, memory_budget=self.memory_budget)
        self._remember(X, dataset)
        return dataset.weighted()

    def _require_local(self, X: Any) -> Any:
        """Return X if it is in this process, where some estimators need it.

        Raises
        ------
        ProblemError
            It lies on a cluster.
        """
        if lies_elsewhere(X, self.engine):
            raise ProblemError(
                f"{type(self).__name__} takes data of this process only: give it arrays, as with X.compute()"
            )
        return X

    def _local(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Dataset, float]:
        """Return the data set of a regression in this process, and the sum of its weights."""
        return cast("tuple[Dataset, float]", self._dataset(self._require_local(X), y, sample_weight))

    def _remember(self, X: Any, dataset: Data) -> None:
        """Set ``n_features_in_``, ``feature_names_in_``, ``encoder_``, ``target_`` and ``read_options_``."""
        for name in ("stream_", "n_samples_seen_"):  # what was seen before is no part of what comes now
            self.__dict__.pop(name, None)
        self.encoder_ = dataset.encoder
        self.target_ = dataset.target
        self.by_name_, self.read_options_ = _has_other_columns(X, dataset), dataset.read_options
        if self._by_name(X) or dataset.cluster is not None:
            self.__dict__.pop("feature_names_in_", None)
            if dataset.encoder is not None:
                self.feature_names_in_ = np.array(dataset.encoder.names, dtype=object)
        elif type(X) is np.ndarray:  # has no names, as scikit-learn would find out in a tenth of a millisecond
            self.__dict__.pop("feature_names_in_", None)
        else:
            validate_data(self, X, reset=True, skip_check_array=True, ensure_2d=False)
        self.n_features_in_ = dataset.n_columns if dataset.encoder is None else len(dataset.encoder.names)

    def _by_name(self, X: Any) -> bool:
        """Whether the encoder finds columns by name: in files, and where the fit had a table of more than features."""
        return self.target_ is not None or self.by_name_ or _has_hidden_names(X)

    def _empty_prediction(self, method: str) -> NDArray[Any]:
        """Return what a method of prediction returns for no rows."""
        return np.empty(0)

    def _optimise(
        self, problem: Problem, dataset: Data, start: StartingPoint | None = None, limits: Limits | None = None
    ) -> None:
        """Solve the problem, set the attributes, and release the data. After Ctrl-C, the error is raised at the end.

        Raises
        ------
        KeyboardInterrupt
        """
        with interruptible() as interrupted:
            try:
                solution = self._solve(problem, dataset, start, limits)
            finally:
                dataset.release()
        self._keep(solution)
        self._set_coef(solution)
        raise_if(interrupted, solution)

    def _solve(
        self, problem: Problem, dataset: Data, start: StartingPoint | None = None, limits: Limits | None = None
    ) -> Solution:
        """Solve the problem, from coefficients of shape (n_features, n_outputs) where given.

        ``limits``, on passes and seconds, are those of this fit, where it is one of several.
        """
        arguments = self._arguments(problem, dataset, warm=start is not None)
        if limits is not None:
            arguments = replace(arguments, max_iter=limits[0], time_limit=limits[1])
        return fit(problem, dataset, self._options(start), arguments)

    def _set_coef(self, solution: Solution) -> None:
        """Set ``coef_`` and ``intercept_``."""
        raise NotImplementedError

    def _options(self, start: StartingPoint | None = None) -> Options:
        return Options(bool(self.fit_intercept), False, number("tol", self.tol), start)

    def _keep(self, solution: Solution) -> None:
        self.certificate_ = solution.certificate
        self.trace_ = solution.trace
        self.status_ = solution.status
        self.n_iter_: Any = max(1, math.ceil(solution.passes))

    def _arguments(self, problem: Problem, dataset: Data, *, warm: bool) -> FitArguments:
        return FitArguments(
            warm_solver(problem, dataset, self.solver) if warm else self.solver,
            self.engine,
            settings_of(self.settings),
            number("max_iter", self.max_iter),
            self.time_limit,
            one_callback(self.callbacks),
            seed(self.random_state),
            bool(self.verbose),
        )

    def _warm(self, n_columns: int, n_outputs: int) -> StartingPoint | None:
        """Return where to start: the fit before with ``warm_start``, else None."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        coef = np.atleast_2d(np.asarray(self.coef_, dtype=np.float64)).T
        if coef.shape != (n_columns, n_outputs):
            raise ProblemError(
                f"warm_start: the fit before has coefficients of shape {coef.shape}, the data needs "
                f"{(n_columns, n_outputs)}; set warm_start=False or make a new estimator"
            )
        return coef, np.atleast_1d(np.asarray(self.intercept_, dtype=np.float64))

    def _predictor(self, X: Any) -> NDArray[Any]:
        """Return ``X @ coef_.T + intercept_``, of shape (n_rows,) for one output."""
        check_is_fitted(self)
        dataset = self._features(X)
        coef = self.coef_ if self.coef_.ndim == 1 or len(self.coef_) > 1 else self.coef_[0]
        intercept = self.intercept_ if coef.ndim == 2 else np.ravel(self.intercept_)[0]
        with np.errstate(all="ignore"):  # what is not finite is looked for below
            z = linear_predictor(dataset.source, coef.T, intercept)
            finite = bool(np.isfinite(z.sum()))
        message = None if finite else diagnose_non_finite(dataset.source, dataset.feature_names)
        if message:
            raise DataError(message)
        return z

    def _features(self, X: Any) -> Dataset:
        """Return the features for prediction, encoded as they were for the fit."""
        if not self._by_name(X):
            validate_data(self, X, reset=False, skip_check_array=True, ensure_2d=False)
        dataset = as_dataset(self._reopened(X), encoder=self.encoder_, memory_budget=self.memory_budget)
        if self.encoder_ is None and dataset.encoder is not None and not dataset.encoder.plain:
            raise DataError("The model was fitted on numbers only, and X has columns of categories. Encode them first.")
        n_columns = dataset.n_columns
        if self.encoder_ is None and n_columns != self.n_features_in_:
            raise DataError(
                f"X has {n_columns} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input."
            )
        return dataset

    def _values_to_score(self, X: Any) -> NDArray[Any]:
        """Return the predictions that `_losses` compares with the targets."""
        return np.asarray(self.predict(X))

    def _weights(self, X: Any, weight: Any, n_rows: int) -> Floats | None:
        """Return weights for scoring from an array, a number or the name of a column; None if there are none."""
        if weight is None:
            return None
        return weight_vector(target_values(self._reopened(X), weight) if isinstance(weight, str) else weight, n_rows)

    def _labels(self, X: Any, y: Any) -> Any:
        """Return targets for scoring: the values of a column where its name was given."""
        return target_values(self._reopened(X, y), y) if isinstance(y, str) else y

    def _reopened(self, X: Any, target: Any = None) -> Opened:
        """Open data for a fitted model: text files are read in the same way as those of the fit."""
        read_options = self._prediction_read_options(target)
        opened = open_data(X, self.memory_budget, read_options)
        return opened if opened.labels is None else libsvm_as_fitted(opened, read_options)

    def _prediction_read_options(self, target: Any = None) -> ReadOptions:
        """Return how text files are read for this model: columns have the types that they had in the fit."""
        classes = self.__dict__.get("classes_")
        texts = [target] if isinstance(target, str) and classes is not None and classes.dtype.kind in "OUS" else []
        return self.read_options_.for_prediction(self.encoder_, self.n_features_in_, texts)


def warm_solver(problem: Problem, dataset: Data, wanted: Any) -> Any:
    """Return the solver for a start near the optimum: samples of the rows would lead away from it.

    Examples
    --------
    >>> from offbeat.data.arrays.in_memory import DenseSource
    >>> from offbeat.linear_model._shared import translate
    >>> dataset = Dataset(DenseSource(np.zeros((50, 2))), np.zeros(50))
    >>> warm_solver(translate.logistic(1.0, 0.0, 2, 50), dataset, "auto").first_sample
    50
    """
    if wanted != "auto":
        return wanted
    chosen, _ = choice.solver(problem, dataset, "auto")
    return replace(chosen, first_sample=max(dataset.n_rows, 1)) if isinstance(chosen, solvers.Newton) else chosen


def _has_hidden_names(X: Any) -> bool:
    """Whether X is a file, opened or not, or a lazy frame, whose names scikit-learn does not see."""
    paths = X if isinstance(X, list | tuple) else [X]
    hidden = type(X).__name__ == "LazyFrame" or isinstance(X, Opened)
    return hidden or any(isinstance(path, str | os.PathLike) for path in paths[:1])


def _has_other_columns(X: Any, dataset: Data) -> bool:
    """Whether X is a table with columns that are not features, such as weights."""
    shape = getattr(X, "shape", ())
    return dataset.cluster is None and dataset.encoder is not None and shape[1:] != (len(dataset.encoder.names),)
