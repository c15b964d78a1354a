"""What a fit ends with: coefficients in the units of the columns, its certificate, and a warning if it is too weak."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass
from typing import Any

from offbeat.data.dataset import Dataset
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.diagnostics.trace import Trace
from offbeat.errors import ConvergenceWarning, DataError
from offbeat.problem import Certificate, Floats
from offbeat.sideways.loop import Outcome
from offbeat.sideways.protocol import DataInfo, Progress, internal_to_original

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


def not_finite(dataset: Dataset) -> DataError:
    """Return the error for a loss that came out as NaN or infinite: which columns are to blame.

    Parameters
    ----------
    dataset : Dataset
        Searched by blocks.
    """
    return DataError(
        _bad_columns(dataset) or "the loss is not finite at the starting point: scale the columns or the target"
    )


def _bad_columns(dataset: Dataset) -> str | None:
    return diagnose_non_finite(dataset.source, dataset.feature_names)


def solution_of(dataset: Dataset, info: DataInfo, outcome: Outcome, trace: Trace, seconds: float) -> Solution:
    """Return what a loop ended with in the units of the columns; warn if it is short of the tolerance.

    Parameters
    ----------
    dataset : Dataset
    info : DataInfo
    outcome : Outcome
    trace : Trace
        Told how the fit ended.
    seconds : float

    Raises
    ------
    DataError
        If no point with a finite loss was found.

    Warns
    -----
    ConvergenceWarning
    """
    best = outcome.best
    if best is None and outcome.status in ("not finite", "stalled"):
        raise not_finite(dataset)
    if best is None and outcome.status == "diverged" and (cause := _bad_columns(dataset)):
        raise DataError(cause)
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
