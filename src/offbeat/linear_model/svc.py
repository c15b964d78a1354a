"""Linear support vector machines for classes."""

from __future__ import annotations

import warnings
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from offbeat.data.dataset import Data
from offbeat.diagnostics.trace import Trace
from offbeat.engines.base import Engine
from offbeat.engines.interrupt import interruptible, raise_if
from offbeat.errors import ConvergenceWarning
from offbeat.fit.settings import Allowance, Settings
from offbeat.fit.solution import Solution
from offbeat.linear_model._shared import translate
from offbeat.linear_model._shared.base import Limits, StartingPoint
from offbeat.linear_model._shared.classifier import LinearClassifier
from offbeat.linear_model._shared.labels import class_weights
from offbeat.linear_model._shared.parameters import number
from offbeat.linear_model._shared.types import Callbacks, ClassWeight, Features
from offbeat.problem import Certificate, Floats
from offbeat.sideways.protocol import Solver


class LinearSVC(LinearClassifier):
    """Linear support vector machine: hinge or squared hinge, ridge or lasso; one class against the rest.

    Minimises ``||coef||^2 / 2 + C sum_i weight_i loss_i`` (or ``||coef||_1`` with ``penalty="l1"``), where a row of
    sign ``s`` and prediction ``z`` has the loss ``max(0, 1 - s z)`` or its square.

    Parameters
    ----------
    penalty : "l2" or "l1", default="l2"
        "l1" goes with the squared hinge only, as in scikit-learn.
    loss : "squared_hinge" or "hinge", default="squared_hinge"
        Loss of a row.
    C : float, default=1.0
        Inverse of the strength of the penalty.
    fit_intercept : bool, default=True
        Whether to fit an intercept. It is never penalised.
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
    max_iter : float, default=10_000
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
    classes_ : ndarray, shape (n_classes,)
        Labels, sorted.
    coef_ : ndarray, shape (1, n_features) for two classes, (n_classes, n_features) for more
        Coefficients.
    intercept_ : ndarray, shape (1,) or (n_classes,)
        Intercepts, 0 without ``fit_intercept``.
    n_iter_ : int
        Passes over the data, rounded up; of the class that took most.
    certificates_ : tuple of Certificate
        One for each row of ``coef_``. ``certificate_`` and ``trace_`` are those of the class with the largest gap.
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
    over the data, of all classes together). The intercept is not penalised: in scikit-learn it is, as the coefficient
    of a column whose value is ``intercept_scaling``. ``dual`` is a matter of ``solver``, and
    ``multi_class="crammer_singer"`` is not offered. The certificate is about the objective above divided by ``C`` and
    the sum of the weights (and by 2 for the squared hinge).

    With more than two classes, ``class_weight`` weights the rows of a class where that class is fitted against the
    rest, and nowhere else. Where a limit leaves no time for a class, its coefficients are zero, and it is never
    predicted.

    Examples
    --------
    >>> from offbeat.linear_model import LinearSVC
    >>> model = LinearSVC(loss="hinge").fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"])
    >>> model.predict([[0.5], [2.5]]).tolist(), model.certificate_.satisfied
    (['no', 'yes'], True)
    """

    def __init__(
        self,
        *,
        penalty: Literal["l1", "l2"] = "l2",
        loss: Literal["hinge", "squared_hinge"] = "squared_hinge",
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: ClassWeight = None,
        solver: Solver | Literal["auto"] = "auto",
        engine: Engine | Literal["auto"] = "auto",
        settings: Settings | None = None,
        tol: float = 1e-4,
        max_iter: float = 10_000,
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
        self.penalty = penalty
        self.loss = loss
        self.C = C
        self.class_weight = class_weight

    def fit(self, X: Features, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, table or path, shape (n_rows, n_features)
            Not copied, unless it is a table with categories.
        y : array-like of shape (n_rows,), or column name
            Class labels: booleans, whole numbers or text.
        sample_weight : array-like of shape (n_rows,), or column name, optional
            Weights of the rows, from 0. Without them, all rows count the same.

        Returns
        -------
        self : LinearSVC

        Raises
        ------
        DataError, TargetError, ProblemError
            All are ``ValueError``: say what is wrong, where, and what to do.
        """
        translate.svc(self.penalty, self.loss, self.C, 1.0)
        dataset = self._class_numbers(X, y, sample_weight)
        n_classes = len(self.classes_)
        factors = np.ones(n_classes)
        if self.class_weight is not None:
            factors = class_weights(self.class_weight, self.classes_, dataset.counts(n_classes))
        start = self._warm(dataset.n_columns, 1 if n_classes == 2 else n_classes)
        with interruptible() as interrupted:
            try:
                allowed = Allowance(number("max_iter", self.max_iter), self.time_limit, interrupted.is_set)
                found = self._fit_classes(dataset, factors, start, allowed)
            finally:
                dataset.release()
        self._gather(found)
        raise_if(interrupted, *found)
        return self

    def _fit_classes(
        self, dataset: Data, factors: Floats, start: StartingPoint | None, allowed: Allowance
    ) -> list[Solution]:
        """Fit two classes, or each of several against the rest; there is one solution for each row of ``coef_``."""
        n_classes = len(factors)
        if n_classes == 2:
            return [self._fit_class(dataset, factors, start, allowed.part(1))]
        found: list[Solution] = []
        for c in range(n_classes):
            mine = np.arange(n_classes) == c
            chosen = None if start is None else (start[0][:, c : c + 1], start[1][c : c + 1])
            if (why := allowed.over) is not None:
                found.append(self._unfitted_class(dataset.n_columns, chosen, why))
                continue
            limits = allowed.part(n_classes - c)
            found.append(self._fit_class(dataset, np.where(mine, factors, 1.0), chosen, limits, c))
            allowed.spend(found[-1])
        _warn_of_unfitted(found)
        return found

    def _fit_class(
        self, dataset: Data, factors: Floats, start: StartingPoint | None, limits: Limits, number: int | None = None
    ) -> Solution:
        """Fit one class against the rest."""
        dataset, total = dataset.weighted(None if np.all(factors == 1.0) else factors)
        dataset = dataset if number is None else dataset.against_rest(number)
        return self._solve(translate.svc(self.penalty, self.loss, self.C, total), dataset, start, limits)

    def _unfitted_class(self, n_columns: int, start: StartingPoint | None, why: str) -> Solution:
        """Return the solution of a class that was not fitted: its starting point, or a model that predicts the rest."""
        proof = Certificate(np.inf, -np.inf, np.inf, np.inf, "duality gap", number("tol", self.tol))
        rest = -1.0 if self.fit_intercept else 0.0
        coef, intercept = (np.zeros(n_columns), rest) if start is None else (start[0][:, 0], float(start[1][0]))
        return Solution(coef, intercept, proof, Trace(), why, 0.0, 0.0)

    def _gather(self, found: list[Solution]) -> None:
        """Set the attributes of the fit from the solutions of all classes."""
        self.coef_ = np.array([solution.coef for solution in found])
        self.intercept_ = np.array([solution.intercept for solution in found])
        self.certificates_: tuple[Certificate, ...] = tuple(solution.certificate for solution in found)
        self._keep(max(found, key=lambda solution: solution.certificate.relative_gap))
        self.status_ = next((s.status for s in found if s.status != "converged"), "converged")
        self.n_iter_ = max(1, *(int(np.ceil(solution.passes)) for solution in found))


def _warn_of_unfitted(found: list[Solution]) -> None:
    """Warn of classes that were not fitted, unless Ctrl-C was the reason."""
    missing = [solution.status for solution in found if solution.passes == 0.0 and solution.status != "interrupted"]
    if missing:
        warnings.warn(
            f"{len(missing)} of {len(found)} classes were not fitted, and are never predicted: raise {missing[0]}",
            ConvergenceWarning,
            stacklevel=4,
        )
