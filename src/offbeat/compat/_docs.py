"""What the documentation of dask-ml's estimators has in common, written once."""

from __future__ import annotations

from offbeat.linear_model._shared.docs import Class, documented

PARAMETERS = """\
penalty : {"l2", "l1", "elastic_net"} or Regularizer of dask-glm, default="l2"
        Of the coefficients of standardised columns; an elastic net is half ridge, half lasso, unless the regularizer
        has another ``weight``.
    dual : bool, default=False
        Only False.
    tol : float, default=1e-4
        Relative duality gap at which to stop: proven, for every solver.
    C : float, default=1.0
        The penalty is multiplied by ``1 / C``.
    fit_intercept : bool, default=True
        Whether there is an intercept, which is not penalised.
    intercept_scaling : float, default=1.0
        Only 1.
    class_weight : dict, "balanced" or None, default=None
        For logistic regression; dask-ml takes no notice of it.
    random_state : int, RandomState instance or None, default=None
        Seed of solvers that draw.
    solver : str or Solver, default="auto"
        "auto", which is the fastest as a rule; "admm", "lbfgs", "proximal_grad"; "newton" and "gradient_descent", which
        take no notice of the penalty, as in dask-ml; or an object of `offbeat.solvers`.
    max_iter : float, default=100
        Most passes over the data.
    multi_class : str, default="ovr"
        No meaning: more than two classes are multinomial.
    verbose : int, default=0
        Above 0, shows progress.
    warm_start : bool, default=False
        Whether to start from the coefficients of the fit before; dask-ml takes no notice of it.
    n_jobs : int, default=1
        No meaning: the cluster's threads are used.
    solver_kwargs : dict, optional
        ``lamduh``, ``regularizer``, ``tol``, ``max_iter`` take the place of the parameters; ``normalize=False``
        penalises the coefficients of the columns as they are. What steers one algorithm of dask-glm has no counterpart.
    engine : Engine or "auto", default="auto"
        Where to fit: see `offbeat.engines`.
    settings : Settings, optional
        An object of `offbeat.Settings`: how the fit is run, such as whether workers wait for each other."""


def parameters_of_dask_ml(cls: Class) -> Class:
    """Fill in the parts of a class's docstring that its estimators share."""
    cls.__doc__ = (cls.__doc__ or "").replace("{parameters}", PARAMETERS)
    return documented(cls)
