"""The estimators of ``dask_ml.linear_model`` with their parameters, fitted by Offbeat: change the import line.

dask-ml 2025.1 (with dask-glm 0.4) minimises ``sum_i loss_i + (1 / C) penalty(coef * std)``, where ``std`` are the
standard deviations of the columns, and the squared loss is ``(prediction - y)^2``. So do these classes, but for the
intercept, which dask-ml penalises (in the units of standardised columns) and Offbeat never does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy
from sklearn.utils.metaestimators import available_if

from offbeat import linear_model, losses
from offbeat.data.dataset import Data
from offbeat.engines.base import Engine
from offbeat.errors import ProblemError
from offbeat.fit.inspection import Options
from offbeat.fit.settings import FitArguments, Settings
from offbeat.fit.solution import Solution
from offbeat.linear_model._shared.base import LinearModel, StartingPoint, warm_solver
from offbeat.linear_model._shared.translate import mixed
from offbeat.linear_model._shared.types import ClassWeight, Features
from offbeat.problem import Loss, Penalty, Problem
from offbeat.sideways.protocol import Solver
from offbeat.solvers.registry import find_solver

SOLVERS = {
    "admm": "admm",
    "lbfgs": "lbfgs",
    "newton": "newton",
    "proximal_grad": "proximal-gradient",
    "gradient_descent": "gradient-descent",
}
"""Names of solvers in dask-ml, and here."""
UNPENALISED = ("newton", "gradient_descent")
"""Solvers for which dask-ml leaves the penalty out."""
L1_RATIOS = {"l1": 1.0, "l2": 0.0}
KNOWN_KWARGS = ("lamduh", "regularizer", "tol", "max_iter", "normalize")


class Regularizer(Protocol):
    """A penalty as dask-glm has it: only its name counts, and its share of lasso where it has a ``weight``."""

    @property
    def name(self) -> str: ...  # noqa: D102


class DaskML(LinearModel):
    """What the three estimators share: dask-ml's parameters, translated to a problem and to the arguments of a fit."""

    solver: Any  # names of dask-ml too
    loss: ClassVar[Loss]
    scale: ClassVar[float] = 1.0
    """dask-ml's loss divided by the loss here."""

    # Parameters of Offbeat's estimators that dask-ml's have not.
    time_limit = None
    callbacks = None
    memory_budget = None
    positive = False

    def __init__(
        self,
        penalty: str | Regularizer = "l2",
        dual: bool = False,
        tol: float = 1e-4,
        C: float = 1.0,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: ClassWeight = None,
        random_state: int | np.random.RandomState | None = None,
        solver: str | Solver = "auto",
        max_iter: float = 100,
        multi_class: str = "ovr",
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = 1,
        solver_kwargs: Mapping[str, Any] | None = None,
        *,
        engine: Engine | Literal["auto"] = "auto",
        settings: Settings | None = None,
    ) -> None:
        self.penalty = penalty
        self.dual = dual
        self.tol = tol
        self.C = C
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.multi_class = multi_class
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.solver_kwargs = solver_kwargs
        self.engine = engine
        self.settings = settings

    @available_if(lambda model: False)  # type: ignore[untyped-decorator]
    def partial_fit(self, *batch: Any) -> Any:
        """Not available, as in dask-ml."""

    def _stream_problem(self, total: float) -> Problem:
        """Return the problem for rows of so much weight: the mean of the losses instead of their sum."""
        return Problem(self._loss(), _penalty(self, self.scale * total))

    def _loss(self) -> Loss:
        return self.loss

    def _options(self, start: StartingPoint | None = None) -> Options:
        kwargs = _checked_kwargs(self)
        options = super()._options(start)
        return replace(
            options, standardize=bool(kwargs.get("normalize", True)), tol=float(kwargs.get("tol", options.tol))
        )

    def _arguments(self, problem: Problem, dataset: Data, *, warm: bool) -> FitArguments:
        arguments = super()._arguments(problem, dataset, warm=False)
        chosen = find_solver(SOLVERS.get(self.solver, "auto")) if isinstance(self.solver, str) else self.solver
        chosen = warm_solver(problem, dataset, chosen) if warm else chosen
        return replace(
            arguments, solver=chosen, max_iter=float(_checked_kwargs(self).get("max_iter", arguments.max_iter))
        )


def _checked_kwargs(model: Any) -> Mapping[str, Any]:
    """Return ``solver_kwargs``, after a check that all parameters and keys have a meaning here.

    Raises
    ------
    ProblemError
        A parameter or key has none here.
    """
    if isinstance(model.solver, str) and model.solver != "auto" and model.solver not in SOLVERS:
        raise ProblemError(f"solver is {model.solver!r}; give 'auto', {', '.join(map(repr, SOLVERS))}, or a Solver")
    if model.dual:
        raise ProblemError("dual=True has no counterpart: leave it out, the gap is a duality gap for every solver")
    if float(model.intercept_scaling) != 1.0:
        raise ProblemError(
            f"intercept_scaling={model.intercept_scaling!r} has no meaning: the intercept is not penalised"
        )
    if model.class_weight is not None and not isinstance(model, LogisticRegression):
        raise ProblemError(
            f"class_weight={model.class_weight!r} has no meaning for {type(model).__name__}: there are no classes"
        )
    kwargs = model.solver_kwargs or {}
    for name in kwargs:
        if name not in KNOWN_KWARGS:
            raise ProblemError(
                f"solver_kwargs has {name!r}, which steers an algorithm of dask-glm: leave it out (known are "
                f"{', '.join(KNOWN_KWARGS)}), or give solver= an object of offbeat.solvers"
            )
    return kwargs


def _penalty(model: Any, weight: float) -> Penalty:
    """Return the penalty divided by the weight of all losses."""
    kwargs = _checked_kwargs(model)
    if model.solver in UNPENALISED:
        return mixed(0.0, 0.0)
    regularizer = kwargs.get("regularizer", model.penalty)
    name = getattr(regularizer, "name", regularizer)
    share = getattr(regularizer, "weight", 0.5) if name == "elastic_net" else L1_RATIOS.get(name)
    if share is None:
        raise ProblemError(
            f"penalty is {regularizer!r}; give 'l1', 'l2' or 'elastic_net', or a regularizer of dask-glm"
        )
    strength = kwargs.get("lamduh")
    if strength is None:
        if not float(model.C) > 0.0:
            raise ProblemError(f"C is {model.C!r}; it must be positive (inf for no penalty)")
        strength = 1.0 / float(model.C)
    if not 0.0 <= float(strength) < math.inf:
        raise ProblemError(f"lamduh is {strength!r}; it must be a number from 0")
    return mixed(float(strength) / weight, float(share))


class LogisticRegression(DaskML, linear_model.LogisticRegression):
    """Logistic regression with dask-ml's parameters.

    Parameters
    ----------
    penalty : {"l2", "l1", "elastic_net"} or Regularizer of dask-glm, default="l2"
        Penalty of the coefficients of standardised columns. An elastic net is half ridge and half lasso, unless the
        regularizer has another ``weight``.
    dual : bool, default=False
        Only False is accepted.
    tol : float, default=1e-4
        Relative duality gap at which the fit stops: the gap divided by the objective at ``coef_ = 0``.
    C : float, default=1.0
        The penalty is multiplied by ``1 / C``.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
    intercept_scaling : float, default=1.0
        Only 1 is accepted: the intercept is not penalised.
    class_weight : dict, "balanced" or None, default=None
        Weights by label, for logistic regression only; dask-ml ignores them.
    random_state : int, RandomState or None, default=None
        Seed of the solvers that draw random numbers.
    solver : str or Solver, default="auto"
        "auto" chooses one by loss, penalty and shape. "admm", "lbfgs" and "proximal_grad" are methods. "newton" and
        "gradient_descent" are methods that ignore the penalty, as in dask-ml. Or an object of `offbeat.solvers`.
    max_iter : float, default=100
        Most passes over the data that the whole fit may take.
    multi_class : str, default="ovr"
        Ignored: more than two classes are multinomial.
    verbose : int, default=0
        Above 0, the fit shows its progress.
    warm_start : bool, default=False
        Whether to start from the coefficients of the previous fit.
    n_jobs : int or None, default=1
        Ignored: the threads of the engine are used.
    solver_kwargs : dict or None, default=None
        ``lamduh``, ``regularizer``, ``tol`` and ``max_iter`` take the place of the parameters; ``normalize=False``
        penalises the coefficients of the columns as they are. Options of one algorithm of dask-glm are refused.
    engine : Engine or "auto", default="auto"
        An object of `offbeat.engines`: what does the work. "auto" takes all cores for large data, one thread for small
        data, and the cluster where X lies on one.
    settings : Settings or None, default=None
        An object of `offbeat.Settings`: how the fit is run. None: all workers wait for each other at each update.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Labels, sorted.
    coef_ : ndarray, shape (n_features,) for two classes, (n_classes, n_features) for more
        Coefficients.
    intercept_ : float, or ndarray of shape (n_classes,)
        Intercepts, 0 without ``fit_intercept``.
    n_iter_ : ndarray of int, shape (1,)
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
    ``predict`` returns labels, where dask-ml returns whether a label is 1.

    Examples
    --------
    >>> from offbeat.compat.dask_ml import LogisticRegression
    >>> model = LogisticRegression(C=10.0, solver="admm").fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    >>> model.coef_.shape, model.certificate_.satisfied
    ((1,), True)
    """

    def _loss(self) -> Loss:
        return losses.Logistic() if len(self.classes_) == 2 else losses.Multinomial(len(self.classes_))

    def _set_coef(self, solution: Solution) -> None:
        super()._set_coef(solution)
        if len(self.classes_) == 2:
            self.coef_, self.intercept_ = solution.coef.copy(), float(solution.intercept)


class LinearRegression(DaskML, linear_model.LinearRegression):
    """Least squares with dask-ml's parameters: penalised, unless the solver is "newton" or "gradient_descent".

    Parameters
    ----------
    penalty : {"l2", "l1", "elastic_net"} or Regularizer of dask-glm, default="l2"
        Penalty of the coefficients of standardised columns. An elastic net is half ridge and half lasso, unless the
        regularizer has another ``weight``.
    dual : bool, default=False
        Only False is accepted.
    tol : float, default=1e-4
        Relative duality gap at which the fit stops: the gap divided by the objective at ``coef_ = 0``.
    C : float, default=1.0
        The penalty is multiplied by ``1 / C``.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
    intercept_scaling : float, default=1.0
        Only 1 is accepted: the intercept is not penalised.
    class_weight : dict, "balanced" or None, default=None
        Weights by label, for logistic regression only; dask-ml ignores them.
    random_state : int, RandomState or None, default=None
        Seed of the solvers that draw random numbers.
    solver : str or Solver, default="auto"
        "auto" chooses one by loss, penalty and shape. "admm", "lbfgs" and "proximal_grad" are methods. "newton" and
        "gradient_descent" are methods that ignore the penalty, as in dask-ml. Or an object of `offbeat.solvers`.
    max_iter : float, default=100
        Most passes over the data that the whole fit may take.
    multi_class : str, default="ovr"
        Ignored: more than two classes are multinomial.
    verbose : int, default=0
        Above 0, the fit shows its progress.
    warm_start : bool, default=False
        Whether to start from the coefficients of the previous fit.
    n_jobs : int or None, default=1
        Ignored: the threads of the engine are used.
    solver_kwargs : dict or None, default=None
        ``lamduh``, ``regularizer``, ``tol`` and ``max_iter`` take the place of the parameters; ``normalize=False``
        penalises the coefficients of the columns as they are. Options of one algorithm of dask-glm are refused.
    engine : Engine or "auto", default="auto"
        An object of `offbeat.engines`: what does the work. "auto" takes all cores for large data, one thread for small
        data, and the cluster where X lies on one.
    settings : Settings or None, default=None
        An object of `offbeat.Settings`: how the fit is run. None: all workers wait for each other at each update.

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
    >>> from offbeat.compat.dask_ml import LinearRegression
    >>> model = LinearRegression(solver="newton").fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), round(model.intercept_, 6)
    (array([2.]), 1.0)
    """

    loss = losses.Squared()
    scale = 2.0


class PoissonRegression(DaskML, linear_model.PoissonRegressor):
    """Poisson regression with dask-ml's parameters.

    Parameters
    ----------
    penalty : {"l2", "l1", "elastic_net"} or Regularizer of dask-glm, default="l2"
        Penalty of the coefficients of standardised columns. An elastic net is half ridge and half lasso, unless the
        regularizer has another ``weight``.
    dual : bool, default=False
        Only False is accepted.
    tol : float, default=1e-4
        Relative duality gap at which the fit stops: the gap divided by the objective at ``coef_ = 0``.
    C : float, default=1.0
        The penalty is multiplied by ``1 / C``.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
    intercept_scaling : float, default=1.0
        Only 1 is accepted: the intercept is not penalised.
    class_weight : dict, "balanced" or None, default=None
        Weights by label, for logistic regression only; dask-ml ignores them.
    random_state : int, RandomState or None, default=None
        Seed of the solvers that draw random numbers.
    solver : str or Solver, default="auto"
        "auto" chooses one by loss, penalty and shape. "admm", "lbfgs" and "proximal_grad" are methods. "newton" and
        "gradient_descent" are methods that ignore the penalty, as in dask-ml. Or an object of `offbeat.solvers`.
    max_iter : float, default=100
        Most passes over the data that the whole fit may take.
    multi_class : str, default="ovr"
        Ignored: more than two classes are multinomial.
    verbose : int, default=0
        Above 0, the fit shows its progress.
    warm_start : bool, default=False
        Whether to start from the coefficients of the previous fit.
    n_jobs : int or None, default=1
        Ignored: the threads of the engine are used.
    solver_kwargs : dict or None, default=None
        ``lamduh``, ``regularizer``, ``tol`` and ``max_iter`` take the place of the parameters; ``normalize=False``
        penalises the coefficients of the columns as they are. Options of one algorithm of dask-glm are refused.
    engine : Engine or "auto", default="auto"
        An object of `offbeat.engines`: what does the work. "auto" takes all cores for large data, one thread for small
        data, and the cluster where X lies on one.
    settings : Settings or None, default=None
        An object of `offbeat.Settings`: how the fit is run. None: all workers wait for each other at each update.

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
    >>> from offbeat.compat.dask_ml import PoissonRegression
    >>> model = PoissonRegression(C=1e6).fit([[0.0], [0.0], [1.0], [1.0]], [1.0, 3.0, 5.0, 7.0])
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([2., 6.])
    """

    loss = losses.Poisson()

    def get_deviance(self, X: Features, y: ArrayLike) -> Any:
        """Return the deviance of the predictions.

        Parameters
        ----------
        X : array or Dask collection, shape (n_rows, n_features)
        y : array of the same kind, shape (n_rows,)

        Returns
        -------
        deviance : float, or Dask scalar
            Twice the sum of ``y log(y / mean) - y + mean``. (dask-glm has ``log(1 + y / mean)`` there.)
        """
        means = self.predict(X)
        targets: Any = y if hasattr(y, "dask") else np.asarray(y, np.float64)
        return (
            2.0 * (xlogy(targets, targets) - xlogy(targets, means) - targets + means).sum()
        )  # a mean may underflow where y is 0
