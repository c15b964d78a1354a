"""`solve`: one problem, one data set, one certificate."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from offbeat import choice
from offbeat.data.dataset import Dataset
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.data.load import as_dataset
from offbeat.diagnostics.progress import Progress as Display
from offbeat.diagnostics.trace import Trace
from offbeat.engines.base import Engine, Steps
from offbeat.engines.interrupt import interruptible
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from offbeat.inspection import Options, inspect
from offbeat.problem import Certificate, Floats, Problem
from offbeat.sideways.loop import Outcome, Policy, hub_loop
from offbeat.sideways.messages import Row
from offbeat.sideways.protocol import DataInfo, Hub, Progress, Solver, internal_to_original

log = logging.getLogger("offbeat")
ADVICE = {
    "max_iter": "raise max_iter",
    "time_limit": "raise time_limit",
    "interrupted": "it was interrupted",
    "callback": "the callback stopped it",
    "stalled": "rounding allows no further progress: raise tol, scale the columns, or use float64",
    "separable": "the classes are separated, so without a penalty there is no optimum: add a penalty",
}
"""What to do about each way of stopping short of the tolerance."""


@dataclass(frozen=True)
class Solution:
    """A fitted model and the proof of how good it is.

    Parameters
    ----------
    coef : ndarray, shape (n_columns,) or (n_columns, n_outputs)
    intercept : float or ndarray, shape (n_outputs,)
    certificate : Certificate
    trace : Trace
    status : str
        "converged", or why the fit stopped: "max_iter", "time_limit", "interrupted", "callback", "stalled",
        "separable".
    passes : float
        Passes over the data.
    seconds : float
        Wall time of the fit.
    """

    coef: Floats
    intercept: Any
    certificate: Certificate
    trace: Trace
    status: str
    passes: float
    seconds: float


@dataclass(frozen=True)
class Settings:
    """Everything about a fit but the data: what `solve` collects from its arguments."""

    solver: Solver | Literal["auto"] = "auto"
    engine: Engine | Literal["auto"] = "auto"
    staleness: float = 0.0
    topology: Hub = field(default_factory=Hub)
    max_iter: float = 1000.0
    time_limit: float | None = None
    callback: Callable[[Progress, Row], Any] | None = None
    random_state: int | None = None
    progress: bool | None = None


def solve(
    problem: Problem,
    X: Any,
    y: Any = None,
    *,
    solver: Solver | Literal["auto"] = "auto",
    engine: Engine | Literal["auto"] = "auto",
    staleness: float = 0.0,
    topology: Hub | None = None,
    tol: float = 1e-6,
    max_iter: float = 1000.0,
    time_limit: float | None = None,
    callback: Callable[[Progress, Row], Any] | None = None,
    sample_weight: Any = None,
    offset: Any = None,
    fit_intercept: bool = True,
    standardize: bool = False,
    memory_budget: int | str | None = None,
    start: tuple[Any, Any] | None = None,
    random_state: int | None = None,
    progress: bool | None = None,
) -> Solution:
    """Minimise ``mean_i weight_i * loss(x_i'w + b + offset_i, y_i) + penalty(w)`` to a certified relative gap.

    Parameters
    ----------
    problem : Problem
        Loss and penalty.
    X : array, sparse matrix, table or path, shape (n_rows, n_columns)
        NumPy, SciPy, pandas, polars, pyarrow; ``.npy``, Parquet (file or folder), CSV, libsvm. Not copied.
    y : array of shape (n_rows,), or column name
        Targets; in {0, 1} for logistic and squared hinge, class indices for multinomial.
    solver : Solver or "auto"
    engine : Engine or "auto"
        "auto" takes all cores for large data and the calling thread for small.
    staleness : float
        0 waits for every shard at each update.
    topology : Hub, optional
    tol : float
        Relative duality gap: gap over the objective at ``w = 0``.
    max_iter : float
        Passes over the data.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        ``callback(progress, row)`` after each certified update; true stops the fit.
    sample_weight, offset : array of shape (n_rows,), or column name, optional
    fit_intercept : bool
        The intercept is never penalised.
    standardize : bool
        Penalise the coefficients of columns scaled to unit variance; nothing is densified, and coefficients are
        returned in the columns' own units.
    memory_budget : int or str, optional
        Bytes, or "1GiB": bound on what reading data from disk holds at once.
    start : tuple, optional
        Coefficients and intercept to start from.
    random_state : int, optional
        Seed of solvers that draw.
    progress : bool, optional
        Show progress: by default after two seconds on a terminal.

    Returns
    -------
    solution : Solution

    Raises
    ------
    DataError, TargetError, ProblemError
        All are ``ValueError``: say what is wrong, where, and what to do.

    Warns
    -----
    ConvergenceWarning
        When the fit stopped before ``tol``, with the gap it reached.

    Examples
    --------
    >>> import offbeat
    >>> from offbeat import Problem, losses, penalties
    >>> from offbeat.datasets import make_regression
    >>> X, y = make_regression(200, 3, seed=0)
    >>> offbeat.solve(Problem(losses.Squared(), penalties.L2(1e-3)), X, y).certificate.satisfied
    True
    """
    dataset = as_dataset(X, y, sample_weight=sample_weight, offset=offset, memory_budget=memory_budget)
    settings = Settings(
        solver, engine, staleness, topology or Hub(), max_iter, time_limit, callback, random_state, progress
    )
    return fit(problem, dataset, Options(fit_intercept, standardize, tol, _start(start, problem, dataset)), settings)


def _start(start: tuple[Any, Any] | None, problem: Problem, dataset: Dataset) -> tuple[Floats, Floats] | None:
    if start is None:
        return None
    coef, intercept = np.asarray(start[0], np.float64), np.atleast_1d(np.asarray(start[1], np.float64))
    if coef.size != dataset.n_columns * problem.n_outputs or intercept.size != problem.n_outputs:
        raise ProblemError(
            f"start has {coef.size} coefficients; the data needs {dataset.n_columns * problem.n_outputs}"
        )
    return coef, intercept


def fit(problem: Problem, dataset: Dataset, options: Options, settings: Settings) -> Solution:
    """Solve a problem on a data set that is ready: what `solve` and the estimators share.

    Parameters
    ----------
    problem : Problem
    dataset : Dataset
    options : Options
    settings : Settings

    Returns
    -------
    solution : Solution
    """
    started = time.perf_counter()
    _check(problem, dataset, options, settings)
    solver, reason = choice.solver(problem, dataset, settings.solver)
    solver.check(problem)
    choice.check_staleness(solver, settings.staleness)
    engine = choice.engine(dataset, settings.engine)
    limit = math.inf if settings.time_limit is None else settings.time_limit
    trace = Trace()
    trace.metadata.update(solver=solver.name, reason=reason, engine=engine.name, workers=str(engine.n_workers))
    with interruptible() as interrupted, _display(solver, dataset, options, settings) as display:
        cancelled = _canceller(interrupted.is_set, started, limit)
        shards = dataset.shards(engine.n_workers, cancelled)
        info = inspect(problem, dataset, shards, engine, options)
        display.scale = info.reference.objective
        policy = Policy(
            len(shards), settings.staleness, settings.topology, settings.max_iter, limit,
            _in_original(settings.callback, info),
        )  # fmt: skip
        loop = hub_loop(solver, problem, info, policy)
        steps = Steps(solver, problem, shards, started, cancelled)

        def record(row: Row) -> None:
            trace.append(row)
            display.update(row)

        with np.errstate(over="ignore", invalid="ignore"):  # trial points may overflow: solvers look at what they get
            outcome = engine.run(loop, steps, record)
    return _solution(problem, dataset, info, outcome, trace, time.perf_counter() - started)


def _display(solver: Solver, dataset: Dataset, options: Options, settings: Settings) -> Display:
    return Display(solver.name, options.tol, dataset.n_rows, verbose=settings.progress)


def _canceller(interrupted: Callable[[], bool], started: float, limit: float) -> Callable[[], bool]:
    if math.isinf(limit):
        return interrupted
    return lambda: interrupted() or time.perf_counter() - started >= limit


def _check(problem: Problem, dataset: Dataset, options: Options, settings: Settings) -> None:
    if dataset.y.size != dataset.n_rows:
        raise DataError("no target was given: pass y, or the name of the target column")
    problem.loss.check_target(dataset.y)
    if not options.tol >= 0.0:
        raise ProblemError(f"tol is {options.tol}; it must be a number of at least 0")
    if settings.time_limit is not None and not settings.time_limit >= 0.0:
        raise ProblemError(f"time_limit is {settings.time_limit}; it must be a number of seconds, at least 0")


def _in_original(callback: Callable[[Progress, Row], Any] | None, info: DataInfo) -> Any:
    """Return a callback that is given coefficients in the units of the columns."""
    if callback is None:
        return None

    def call(progress: Progress, row: Row) -> Any:
        coef, intercept = internal_to_original(info, progress.coef, progress.intercept)
        return callback(Progress(coef, intercept, progress.certificate, progress.primal_residual), row)

    return call


def not_finite(dataset: Dataset) -> DataError:
    """Return the error for a loss that came out as NaN or infinite: which columns are to blame.

    Parameters
    ----------
    dataset : Dataset
        Searched by blocks.
    """
    message = diagnose_non_finite(dataset.source, dataset.feature_names)
    return DataError(message or "the loss is not finite at the starting point: scale the columns or the target")


def _solution(
    problem: Problem, dataset: Dataset, info: DataInfo, outcome: Outcome, trace: Trace, seconds: float
) -> Solution:
    if outcome.status == "not finite" or (outcome.best is None and outcome.status == "stalled"):
        raise not_finite(dataset)
    best = outcome.best
    if best is None:
        nothing = Certificate(
            info.reference.objective, -math.inf, math.inf, math.inf, "duality gap", info.reference.tolerance
        )
        best = Progress(*info.start, nothing)
    coef, intercept = internal_to_original(info, best.coef, best.intercept)
    c = best.certificate
    scale = info.reference.objective if c.kind == "duality gap" else info.reference.gradient_norm
    trace.metadata.update(
        status=outcome.status, tolerance=repr(c.tolerance), certificate=c.kind, gap_scale=repr(float(scale))
    )
    if outcome.status != "converged":
        kind = "gap" if c.kind == "duality gap" else "gradient"
        reached = f"stopped after {outcome.passes:.3g} passes with a relative {kind} of {c.relative_gap:.3g}"
        advice = ADVICE.get(outcome.status, outcome.status)
        warnings.warn(f"{reached} (tol={c.tolerance:g}): {advice}", ConvergenceWarning, stacklevel=4)
    log.info("%s after %.3g passes, %.3f s: relative gap %.3g", outcome.status, outcome.passes, seconds, c.relative_gap)
    if info.n_outputs == 1:
        return Solution(coef[:, 0], float(intercept[0]), c, trace, outcome.status, outcome.passes, seconds)
    return Solution(coef, intercept, c, trace, outcome.status, outcome.passes, seconds)
