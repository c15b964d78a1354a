"""The result of a fit: coefficients in the units of the columns, a certificate, and a warning if it is too weak."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from offbeat.data.dataset import Data, Dataset
from offbeat.diagnostics.trace import Trace
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from offbeat.losses.questions import smooth
from offbeat.problem import Certificate, Floats, Problem
from offbeat.sideways.loop import Outcome
from offbeat.sideways.protocol import DataInfo, Progress, internal_to_original

MIN_TARGETS_TRIED = 100  # distinct targets with which a loss of the user's own is tried, if there are as many
MAX_LOG_MEAN = 50.0  # logarithm of a mean: no count or amount is larger
log = logging.getLogger("offbeat")
ADVICE = {
    "max_iter": "raise max_iter",
    "time_limit": "raise time_limit",
    "interrupted": "it was interrupted",
    "callback": "the callback stopped it",
    "stalled": "rounding allows no further progress: raise tol, scale the columns, or use float64",
    "separable": "the classes are separated, so without a penalty there is no optimum: add a penalty",
    "rounds": "all rounds of averaging are done: raise rounds, or finish with another solver",
    "diverged": "a step gave numbers that are not finite: scale the columns or the target, or lower eta if you set it",
    "not finite": "a step gave a loss that is not finite: scale the columns or the target",
}
"""What to do about each way of stopping short of the tolerance."""
KINK_ADVICE = (
    "a loss with kinks is certified only where every column has a penalty: add one, or take a loss without kinks"
)


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
        "separable", "rounds", "diverged", "not finite". The point is the best that was certified; where none was, it is
        the start, and the gap is infinite.
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


def not_finite(dataset: Data) -> DataError:
    """Return the error for a loss that is NaN or infinite: it names the columns that cause it.

    Parameters
    ----------
    dataset : Data
        Searched by blocks.
    """
    found = dataset.fault() or large_offset(dataset)
    return DataError(found or "the loss is not finite at the starting point: scale the columns or the target")


def large_offset(dataset: Data) -> str | None:
    """Return a message for an offset that is too large to be a logarithm: it is likely to be the exposure itself.

    Parameters
    ----------
    dataset : Data
        That of a cluster is not looked at.
    """
    if not isinstance(dataset, Dataset) or not dataset.offset.size:
        return None
    row = int(np.argmax(dataset.offset))
    if not dataset.offset[row] > MAX_LOG_MEAN:
        return None
    return (
        f"the offset goes up to {dataset.offset[row]:.6g} (row {row}), and the exponential of it multiplies the mean: "
        "of an exposure, give the logarithm"
    )


def in_range(coef: Floats, intercept: Floats) -> None:
    """Raise `DataError` for a model with a coefficient or intercept that is NaN or infinite.

    Parameters
    ----------
    coef : ndarray, shape (n_columns,) or (n_columns, n_outputs)
        In the units of the columns.
    intercept : ndarray

    Examples
    --------
    >>> in_range(np.array([1.0, np.inf]), np.zeros(1))
    Traceback (most recent call last):
    offbeat.errors.DataError: the coefficient of column 1 is out of the range of numbers: scale the column or the target
    """
    wrong = np.flatnonzero(~np.isfinite(coef).reshape(len(coef), -1).all(axis=1))
    if wrong.size:
        more = f" (and of {wrong.size - 1} more)" if wrong.size > 1 else ""
        raise DataError(
            f"the coefficient of column {wrong[0]}{more} is out of the range of numbers: scale the column or the target"
        )
    if not np.all(np.isfinite(intercept)):
        raise DataError("the intercept is out of the range of numbers: scale the columns or the target")


def wrong_loss(loss: Any, y: Floats) -> str | None:
    """Return what is wrong with a loss of the user's own: which method gives NaN or raises, and at which point.

    Parameters
    ----------
    loss : NamedTuple
    y : ndarray
        Targets; some are tried, with predictors from -50 to 50.

    Examples
    --------
    >>> from offbeat import losses
    >>> wrong_loss(losses.Squared(), np.zeros(3)) is None
    True
    """
    if type(loss).__module__.partition(".")[0] == __name__.partition(".")[0]:
        return None
    rows = np.unique(y, return_index=True)[1]
    for row in rows[:: max(1, len(rows) // MIN_TARGETS_TRIED)].tolist():
        for z in sorted(np.linspace(-50.0, 50.0, 201).tolist(), key=abs):
            for name in ("value", "derivative", "second_derivative"):
                try:
                    result = float(getattr(loss, name)(z, float(y[row])))
                except (ArithmeticError, ValueError) as error:
                    result, found = math.nan, f"raises {error!r}"
                else:
                    found = "is nan"
                if math.isnan(result):
                    at = f"at z={z:g}, y={y[row]:g} (row {row})"
                    return f"the {name} of the loss {loss.name!r} {found} {at}: correct the method"
    return None


def shortfall(certificate: Certificate, status: str, passes: float, *, kinked: bool = False) -> str:
    """Return what to tell the user of a fit that stopped short of its tolerance.

    Gradients of a loss with kinks (``kinked``) do not tend to zero: there it takes a duality gap to prove anything.

    Examples
    --------
    >>> shortfall(Certificate(1.0, 0.9, 0.1, 0.1, "duality gap", 1e-4), "max_iter", 5.0)
    'stopped after 5 passes with a relative gap of 0.1 (tol=0.0001): raise max_iter'
    """
    kind = "gap" if certificate.kind == "duality gap" else "gradient"
    reached = f"stopped after {passes:.3g} passes with a relative {kind} of {certificate.relative_gap:.3g}"
    advice = KINK_ADVICE if kinked and certificate.kind == "gradient" else ADVICE.get(status, status)
    return f"{reached} (tol={certificate.tolerance:g}): {advice}"


def solution_of(
    problem: Problem, dataset: Data, info: DataInfo, outcome: Outcome, trace: Trace, seconds: float
) -> Solution:
    """Return what a loop ended with in the units of the columns; warn if it is short of the tolerance.

    After Ctrl-C there is no warning: whoever raises `KeyboardInterrupt` must not be kept from it by a warning that is
    an error.

    Parameters
    ----------
    problem : Problem
    dataset : Data
    info : DataInfo
    outcome : Outcome
    trace : Trace
        Told how the fit ended.
    seconds : float

    Raises
    ------
    DataError
        If no point with a finite loss was found.
    ProblemError
        If a loss of the user's own is to blame.

    Warns
    -----
    ConvergenceWarning
    """
    best = outcome.best
    doubtful = outcome.status in ("not finite", "diverged", "stalled")
    if doubtful and (fault := dataset.fault(partial(wrong_loss, problem.loss))):
        raise ProblemError(fault)
    if best is None and outcome.status in ("not finite", "stalled"):
        raise not_finite(dataset)
    if best is None and outcome.status == "diverged" and (cause := dataset.fault()):
        raise DataError(cause)
    if best is None:
        nothing = Certificate(
            info.reference.objective, -math.inf, math.inf, math.inf, "duality gap", info.reference.tolerance
        )
        best = Progress(*info.start, nothing)
    coef, intercept = internal_to_original(info, best.coef, best.intercept)
    in_range(coef, intercept)
    c = best.certificate
    scale = info.reference.objective if c.kind == "duality gap" else info.reference.gradient_norm
    trace.metadata.update(
        status=outcome.status, tolerance=repr(c.tolerance), certificate=c.kind, gap_scale=repr(float(scale))
    )
    log.info("%s after %.3g passes, %.3f s: relative gap %.3g", outcome.status, outcome.passes, seconds, c.relative_gap)
    if outcome.status not in ("converged", "interrupted"):
        kinked = not smooth(problem.loss)
        message = shortfall(c, outcome.status, outcome.passes, kinked=kinked)
        warnings.warn(message, ConvergenceWarning, stacklevel=4)
    if info.n_outputs == 1:
        return Solution(coef[:, 0], float(intercept[0]), c, trace, outcome.status, outcome.passes, seconds)
    return Solution(coef, intercept, c, trace, outcome.status, outcome.passes, seconds)
