"""What the documentation of all estimators has in common, written once."""

from __future__ import annotations

from inspect import signature
from typing import TypeVar

Class = TypeVar("Class", bound=type)

FITTING = """\
fit_intercept : bool, default=True
        Whether the model has an intercept, which is never penalised."""

COMMON = """\
solver : Solver or "auto", default="auto"
        An object of `offbeat.solvers`; "auto" chooses by loss, penalty and shape, and says why in the trace.
    engine : Engine or "auto", default="auto"
        An object of `offbeat.engines`; "auto" takes all cores for large data and the calling thread for small.
    settings : Settings, optional
        An object of `offbeat.Settings`: how the fit is run, such as whether workers wait for each other.
    tol : float, default=1e-4
        Relative duality gap at which to stop: gap over the objective at ``coef_ = 0``.
    max_iter : float, default={max_iter}
        Most passes over the data, of the whole fit.
    time_limit : float, optional
        Most seconds, of the whole fit, from when the data is open.
    random_state : int, RandomState instance or None, default=None
        Seed of solvers that draw.
    verbose : int, default=0
        Above 0, shows progress.
    callbacks : callable or list of callable, optional
        ``callback(progress, row)`` after each certified update; true stops the fit.
    memory_budget : int or str, optional
        Bytes, or a string such as "1GiB", that reading data from files may hold at once."""

WARM = """\
warm_start : bool, default=False
        Whether to start from the coefficients of the fit before."""

COEFFICIENTS = """\
coef_ : ndarray, shape (n_features,)
    intercept_ : float
    n_iter_ : int
        Passes over the data, rounded up."""

ATTRIBUTES = """\
n_features_in_ : int
        Number of features, or of columns of a table.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns, where X has names.
    encoder_ : Encoder or None
        How the columns of a table became the features that ``coef_`` belongs to.
    target_ : str or None
        Name of the column that was the target.
    reading_ : Reading
        How the text file was read that X was; those for prediction are read alike.
    certificate_ : Certificate
        Proof of how good the model is: ``primal``, ``dual``, ``gap``, ``relative_gap``, ``kind``, ``satisfied``.
    status_ : str
        "converged", or why the fit stopped before.
    trace_ : Trace
        What happened when: ``to_frame()``, ``plot()``, ``report("fit.html")``."""

PARTS = {
    "{fitting}": FITTING, "{common}": COMMON, "{warm}": WARM, "{coefficients}": COEFFICIENTS,
    "{attributes}": ATTRIBUTES,
}  # fmt: skip


def documented(cls: Class) -> Class:
    """Fill in the parts of a class's docstring that all estimators share.

    Examples
    --------
    >>> @documented
    ... class Model:
    ...     '''Some model.
    ...
    ...     {fitting}
    ...     '''
    >>> "never penalised" in Model.__doc__
    True
    """
    text = cls.__doc__ or ""
    for name, part in PARTS.items():
        text = text.replace(name, part)
    limit = signature(cls).parameters.get("max_iter")
    text = text if limit is None else text.replace("{max_iter}", str(limit.default))
    cls.__doc__ = text
    return cls
