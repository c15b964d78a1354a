"""Regularisation paths: one problem for a whole range of penalty strengths, each solution with its certificate.

A squared loss needs one pass over the data for the whole path (the Gram matrix, as in Friedman, Hastie & Tibshirani
2010, section 2.2); any other loss starts each fit from the solution before.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.engines.base import Engine
from offbeat.engines.interrupt import interruptible
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit import choice
from offbeat.fit.evaluate import evaluate
from offbeat.fit.free_columns import STRENGTH_FACTOR, Evaluator, fit_free, free_quadratic, steepest, unpenalised
from offbeat.fit.inspection import Options, inspect
from offbeat.fit.settings import Allowance, FitArguments, Settings, check_limits, check_on_interrupt, settings_of
from offbeat.fit.solution import ADVICE, in_range, not_finite
from offbeat.fit.solve import fit
from offbeat.losses.questions import smooth
from offbeat.penalties import questions as of_penalty
from offbeat.problem import Certificate, Evaluation, Floats, Problem, ScaledPenalty
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo, internal_to_original
from offbeat.solvers.lasso.paths import column_path
from offbeat.solvers.newton.quadratic import QuadraticModel, rounding, solve_and_refine

STRENGTH_MARGIN = 1e-7  # share of the largest strength: covers the error of a fit of the columns without penalty
MIN_L1_RATIO = 1e-3  # l1_ratio that the largest strength is chosen for where the penalty has less of L1


@dataclass(frozen=True)
class Path:
    """Solutions along a path.

    Parameters
    ----------
    alphas : ndarray, shape (n_alphas,)
        Penalty strengths, largest first.
    coefs : ndarray, shape (n_alphas, n_columns)
    intercepts : ndarray, shape (n_alphas,)
    certificates : tuple of Certificate
    passes : float
        Passes over the data, for the whole path.
    """

    alphas: Floats
    coefs: Floats
    intercepts: Floats
    certificates: tuple[Certificate, ...]
    passes: float


@dataclass(frozen=True)
class Start:
    """Loss, gradient and, for a quadratic loss, Hessian at the null model: what a path starts from.

    ``evaluate`` evaluates another point on the rows, where rounding leaves what the Gram matrix says of it in doubt.
    """

    info: DataInfo
    at: Evaluation
    hessian: Floats | None
    evaluate: Evaluator | None = None


def start(problem: Problem, dataset: Dataset, options: Options, engine: Engine, *, gram: bool = True) -> Start:
    """Evaluate the null model in one pass: the gradient there and, for a quadratic loss, the Gram matrix.

    Parameters
    ----------
    problem : Problem
    dataset : Dataset
    options : Options
    engine : Engine
    gram : bool
        Whether to make the Gram matrix of a quadratic loss.

    Returns
    -------
    start : Start
    """
    dataset.check_target(problem.loss)
    shards = dataset.shards(engine.n_workers)
    info = inspect(problem, dataset, shards, engine, options)
    point = evaluation.query(info, Iterate(*info.start), hessian=gram and problem.loss.quadratic, exact=True)

    at, hessian = evaluate(problem, info, shards, engine, point)
    if not evaluation.finite(at):
        raise not_finite(dataset)

    def evaluate_at(info: DataInfo, x: Iterate) -> Evaluation:
        return evaluate(problem, info, shards, engine, evaluation.query(info, x))[0]

    return Start(info, at, hessian, evaluate_at)


def largest_alpha(penalty: ScaledPenalty, slope: float) -> float:
    """Return the least strength at which all penalised coefficients are zero (near zero for a pure ridge).

    Parameters
    ----------
    penalty : ScaledPenalty
        Its strength does not matter.
    slope : float
        See `_steepest`.
    """
    share = _l1_share(penalty.rule)
    margin = 1.0 + STRENGTH_MARGIN if unpenalised(penalty).any() else 1.0
    return margin * slope / max(share, MIN_L1_RATIO)


def _l1_share(penalty: Any) -> float:
    """Return the coefficient of ``abs(w)`` at a strength of 1; 0 for a penalty that has none, or no such strength."""
    if not of_penalty.scaled_by_alpha(penalty):
        return 0.0
    return of_penalty.l1(penalty._replace(alpha=1.0)) or 0.0


def _steepest(
    problem: Problem, dataset: Dataset, options: Options, engine: Engine, begun: Start
) -> tuple[float, float]:
    """Return the largest slope along a column with penalty where only the others are fitted, and passes for that."""
    penalty = begun.info.penalty
    slope = steepest(penalty, begun.at)
    if not unpenalised(penalty).any():
        return slope, 0.0
    if begun.hessian is not None:
        model = QuadraticModel(Iterate(*begun.info.start), begun.at, begun.hessian, rounding(begun.info, exact=True))
        at, evaluations = free_quadratic(problem, begun.info, model, STRENGTH_FACTOR * slope, begun.evaluate)
        return steepest(penalty, at), float(evaluations)
    found, passes = fit_free(problem, dataset, options, STRENGTH_FACTOR * slope)
    at = start(problem, dataset, replace(options, start=found), engine, gram=False).at
    return steepest(penalty, at), passes + 1.0


def solve_path(
    problem: Problem, X: Any, y: Any = None, *, alphas: Sequence[float] | Floats | None = None, n_alphas: int = 100,
    eps: float = 1e-3, sample_weight: Any = None, fit_intercept: bool = True, standardize: bool = False,
    tol: float = 1e-6, memory_budget: int | str | None = None, settings: Settings | None = None,
    max_iter: float = math.inf, time_limit: float | None = None, on_interrupt: Literal["raise", "return"] = "raise",
) -> Path:  # fmt: skip
    """Solve a problem for a range of penalty strengths.

    Parameters
    ----------
    problem : Problem
        The penalty gives the kind (L1, elastic net, L2); its ``alpha`` is replaced.
    X, y, sample_weight, fit_intercept, standardize, tol, memory_budget
        As for `solve`.
    alphas : sequence of float, optional
        Strengths, in any order; by default ``n_alphas`` of them, evenly spaced on a log scale from the least one at
        which all coefficients with penalty are zero down to ``eps`` times it.
    n_alphas : int
    eps : float
    settings : Settings, optional
        How each fit is run, where a path is made of fits: the loss is not quadratic, and the columns are not many.
    max_iter : float
        Most passes over the data, for the whole path.
    time_limit : float, optional
        Most seconds, for the whole path. A path that comes to a limit has the solutions so far only.
    on_interrupt : "raise" or "return"
        What follows on Ctrl-C: `KeyboardInterrupt`, or the solutions so far.

    Returns
    -------
    path : Path

    Raises
    ------
    ProblemError
        If the penalty has no strength to vary, or the loss has a kink, the penalty an L1 part, and ``alphas`` is not
        given.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve_path
    >>> from offbeat.datasets import make_regression
    >>> X, y = make_regression(500, 5, seed=0)
    >>> path = solve_path(Problem(losses.Squared(), penalties.L1()), X, y, n_alphas=10)
    >>> path.coefs.shape, path.passes, bool(path.coefs[0].any())
    ((10, 5), 1.0, False)
    """
    _check_path(problem)
    check_on_interrupt(on_interrupt)
    check_limits(max_iter, time_limit)
    started = time.perf_counter()
    dataset = as_dataset(X, y, sample_weight=sample_weight, memory_budget=memory_budget)
    options = Options(fit_intercept, standardize, tol)
    by_columns = choice.many_columns(problem, dataset)
    engine = choice.engine(dataset, "auto")
    if alphas is None and not of_penalty.smooth(problem.penalty):
        _check_smooth(problem, "the strengths of a path", "give alphas")
    begun, before = start(problem, dataset, options, engine, gram=not by_columns), 0.0
    if alphas is None:
        slope, before = _steepest(problem, dataset, options, engine, begun)
        strengths = grid(largest_alpha(begun.info.penalty, slope), n_alphas, eps)
    else:
        strengths = np.sort(alphas)[::-1]
    with interruptible() as interrupted:
        allowed = Allowance(max_iter, time_limit, interrupted.is_set, started=started)
        allowed.passes = before + 1.0
        if begun.hessian is not None:
            found = quadratic_path(problem, begun, strengths, allowed)
        elif by_columns:
            found = _column_path(problem, dataset, engine, begun, strengths, allowed)
        else:
            found = _warm_path(problem, dataset, options, strengths, allowed, settings_of(settings))
    if on_interrupt == "raise" and allowed.over == "interrupted":
        raise KeyboardInterrupt
    _warn_if_short(found.certificates, len(strengths), allowed)
    return found


def _check_path(problem: Problem) -> None:
    """Raise `ProblemError` unless the penalty has a strength to vary and the loss one output."""
    if not of_penalty.scaled_by_alpha(problem.penalty) or of_penalty.l1(problem.penalty) is None:
        raise ProblemError(f"a path needs an L1, L2 or ElasticNet penalty, not {problem.penalty.name!r}")
    if problem.n_outputs > 1:
        raise ProblemError("paths of multinomial problems are not supported: call solve for each strength")


def lambda_max(
    problem: Problem, X: Any, y: Any = None, *, sample_weight: Any = None, offset: Any = None,
    fit_intercept: bool = True, standardize: bool = False, memory_budget: int | str | None = None,
) -> float:  # fmt: skip
    """Return the least strength of a penalty at which all penalised coefficients are zero.

    Parameters
    ----------
    problem : Problem
        Its penalty has an L1 part; its ``alpha`` does not matter.
    X, y, sample_weight, offset, fit_intercept, standardize, memory_budget
        As for `solve`.

    Returns
    -------
    alpha : float

    Raises
    ------
    ProblemError
        If the penalty has no L1 part: then no strength is enough. If the loss has a kink: then no slope tells.

    Notes
    -----
    Columns whose weight in the penalty is 0 are fitted first: what counts is the slope there.

    Examples
    --------
    >>> import numpy as np
    >>> from offbeat import Problem, losses, penalties
    >>> from offbeat.fit.paths import lambda_max
    >>> X, y = np.array([[1.0], [-1.0]]), np.array([2.0, 0.0])
    >>> lambda_max(Problem(losses.Squared(), penalties.L1()), X, y)
    1.0
    """
    share = _l1_share(problem.penalty)
    if not share > 0.0 or problem.n_outputs > 1:
        raise ProblemError(
            f"lambda_max needs an L1 or ElasticNet penalty with l1_ratio > 0 and one output, not {problem.penalty!r} "
            f"with the {problem.loss.name} loss"
        )
    _check_smooth(problem, "lambda_max", "solve for a range of strengths")
    dataset = as_dataset(X, y, sample_weight=sample_weight, offset=offset, memory_budget=memory_budget)
    options, engine = Options(fit_intercept, standardize), choice.engine(dataset, "auto")
    begun = start(problem, dataset, options, engine, gram=False)
    return _steepest(problem, dataset, options, engine, begun)[0] / share


def _check_smooth(problem: Problem, what: str, instead: str) -> None:
    """Raise `ProblemError` for a loss whose slopes say nothing, as it has kinks where the null model is best."""
    if not smooth(problem.loss):
        raise ProblemError(f"{what} cannot be told from the slopes of the {problem.loss.name} loss: {instead}")


def grid(largest: float, n_alphas: int, eps: float) -> Floats:
    """Return strengths from the largest down to ``eps`` times it, evenly spaced on a log scale.

    Examples
    --------
    >>> grid(1.0, 3, 1e-2)
    array([1.  , 0.1 , 0.01])
    """
    top = max(largest, np.finfo(np.float64).tiny * 1e8)
    return np.asarray(np.geomspace(top, top * eps, n_alphas))


def with_alpha(penalty: ScaledPenalty, alpha: float) -> ScaledPenalty:
    """Return the penalty with another strength."""
    return replace(penalty, rule=penalty.rule._replace(alpha=float(alpha)))


def quadratic_path(problem: Problem, begun: Start, alphas: Floats, allowed: Allowance | None = None) -> Path:
    """Return the path of a quadratic loss, from its Gram matrix; rows are read again only where rounding asks for it.

    Parameters
    ----------
    problem : Problem
    begun : Start
        With a Hessian.
    alphas : ndarray, shape (n_alphas,)
        Largest first: each solution starts from the one before.
    allowed : Allowance, optional
        Ends the path after the strength at which it is over; passes count from those that it has.
    """
    assert begun.hessian is not None
    if allowed is None:
        allowed = Allowance(math.inf, None)
        allowed.passes = 1.0
    info, x = begun.info, Iterate(*begun.info.start)
    model = QuadraticModel(x, begun.at, begun.hessian, rounding(info, exact=True))
    coefs, intercepts, certificates = [], [], []
    for alpha in alphas:
        info = replace(info, penalty=with_alpha(begun.info.penalty, alpha))
        x, progress, evaluations = solve_and_refine(problem, info, model, x, begun.evaluate)
        coef, intercept = internal_to_original(info, x.u, x.b)
        in_range(coef, intercept)
        coefs.append(coef[:, 0])
        intercepts.append(float(intercept[0]))
        certificates.append(progress.certificate)
        allowed.passes += evaluations
        if allowed.over in ("interrupted", "time_limit") or (evaluations and allowed.over is not None):
            break
    return _path(alphas, coefs, intercepts, certificates, allowed.passes)


def _path(
    alphas: Floats, coefs: Sequence[Floats], intercepts: Sequence[float], certificates: Sequence[Certificate],
    passes: float,
) -> Path:  # fmt: skip
    """Return the path of the strengths for which there are solutions."""
    strengths = np.asarray(alphas[: len(coefs)], np.float64)
    return Path(strengths, np.array(coefs), np.array(intercepts), tuple(certificates), passes)


def _column_path(
    problem: Problem, dataset: Dataset, engine: Engine, begun: Start, alphas: Floats, allowed: Allowance
) -> Path:
    """Return the path of many columns, most of whose coefficients are zero."""
    before = allowed.passes

    def over(passes: float) -> bool:
        allowed.passes = before + passes
        return allowed.over is not None

    def cancelled() -> bool:
        return allowed.over in ("interrupted", "time_limit")

    shard = engine.place(dataset.shards(1, cancelled))[0]
    info = replace(begun.info, n_shards=1, longest=shard.n_rows)  # whatever the shards of the inspection were
    with np.errstate(over="ignore", invalid="ignore"):
        solved = column_path(problem, info, shard, begun.at, np.asarray(alphas, np.float64), over, allowed.left)
    in_range(solved.coefs.T, solved.intercepts)
    return _path(alphas, list(solved.coefs), solved.intercepts.tolist(), solved.certificates, solved.passes + before)


def _warn_if_short(certificates: Sequence[Certificate], wanted: int, allowed: Allowance) -> None:
    short = sum(not certificate.satisfied for certificate in certificates)
    missing = wanted - len(certificates)
    message = f"{short} of {len(certificates)} fits of the path stopped short of tol" if short else ""
    if missing:
        why = ADVICE.get(allowed.over or "", "")
        message = f"{message or 'the path stopped'}, and {missing} of {wanted} strengths were not reached: {why}"
    if message:
        warnings.warn(message, ConvergenceWarning, stacklevel=3)


def _warm_path(
    problem: Problem, dataset: Dataset, options: Options, alphas: Floats, allowed: Allowance, settings: Settings
) -> Path:
    """Return the path of any loss, each fit started from the one before."""
    coefs: list[Floats] = []
    intercepts, certificates = [], []
    for alpha in alphas:
        one = Problem(problem.loss, problem.penalty._replace(alpha=float(alpha)))
        passes, seconds = allowed.part(1)
        arguments = FitArguments(settings=settings, max_iter=min(passes, FitArguments.max_iter), time_limit=seconds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solution = fit(one, dataset, options, arguments)
        options = replace(options, start=(solution.coef, np.atleast_1d(solution.intercept)))
        allowed.spend(solution)
        coefs.append(solution.coef)
        intercepts.append(solution.intercept)
        certificates.append(solution.certificate)
        if allowed.over is not None:
            break
    return _path(alphas, coefs, intercepts, certificates, allowed.passes)
