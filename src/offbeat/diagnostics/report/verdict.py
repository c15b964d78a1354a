"""What a certificate and a status say about a fit, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from offbeat.diagnostics.series import number
from offbeat.diagnostics.trace_table import TraceTable

if TYPE_CHECKING:
    from offbeat.problem import Certificate

_STATUS = {
    "converged": "The fit stopped because its certificate reached the tolerance.",
    "max_iter": "The fit stopped at its limit of passes over the data.",
    "time_limit": "The fit stopped at its time limit.",
    "interrupted": "The fit was interrupted; this is the best model it had.",
    "callback": "A callback stopped the fit.",
    "stalled": "The fit stopped because rounding allowed no further progress.",
    "separable": "The fit stopped because the classes can be separated: without a penalty there is no optimum.",
    "diverged": "The fit stopped because it diverged.",
}


class Verdict(NamedTuple):
    """Whether a fit is certified, and what is said of it."""

    certified: bool
    badge: str
    said: str


def verdict(certificate: Certificate | None, status: str) -> Verdict:
    """What stands at the head of a report.

    Parameters
    ----------
    certificate : Certificate or None
    status : str
        Why the fit stopped; empty when that is not known.

    Examples
    --------
    >>> verdict(None, "max_iter").badge
    'Not certified'
    """
    stopped = _STATUS.get(status, f"Stopped: {status}." if status else "")
    certified, sentence = _judged(certificate)
    return Verdict(certified, "Certified optimal" if certified else "Not certified", f"{sentence} {stopped}".strip())


def _judged(certificate: Certificate | None) -> tuple[bool, str]:
    """Whether the model is certified, and what that means in one sentence."""
    if certificate is None:
        return False, "There is no certificate with this record of the fit."
    if not math.isfinite(certificate.relative_gap):
        return False, "How far the model is from the optimum is not known."
    reached, wanted = f"{certificate.relative_gap:.1e}", f"{certificate.tolerance:.0e}"
    if certificate.kind == "gradient":
        what = "The size of the gradient, relative to that at zero, is"
        close = f"{what} {reached}, within the tolerance of {wanted}."
        far = f"{what} {reached}; {wanted} was asked for."
    else:
        what = f"The objective is proven to be within {reached} of the lowest possible one"
        close = f"{what} (relative to the objective at zero; tolerance {wanted})."
        far = f"{what} (relative to the objective at zero); {wanted} was asked for."
    return bool(certificate.satisfied), close if certificate.satisfied else far


def certificate_of(trace: TraceTable) -> Certificate | None:
    """Certificate that the last update of ``trace`` with a known gap stands for; None when there is none.

    Parameters
    ----------
    trace : Trace
        With ``gap_scale`` in its metadata, and ``tolerance`` to judge by.
    """
    from offbeat.problem import Certificate

    scale = number(trace.metadata.get("gap_scale"))
    last = next((row for row in reversed(list(trace)) if row.kind == "update" and math.isfinite(row.gap)), None)
    if last is None or not scale > 0:
        return None
    return Certificate(
        primal=last.primal,
        dual=last.dual,
        gap=last.gap,
        relative_gap=last.gap / scale,
        kind="gradient" if trace.metadata.get("certificate") == "gradient" else "duality gap",
        tolerance=number(trace.metadata.get("tolerance")),
    )
