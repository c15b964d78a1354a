"""Solvers. Each is a frozen dataclass of parameters with pure step functions; all state is explicit.

Families, in reading order. None imports another, except that `composite` and `baselines` use the others.

- `gradient`: `LBFGS`, `ProximalGradient` and `DelayedProximalGradient` use gradients only;
- `newton`: `Newton` uses Hessians, for few columns;
- `newton_cg`: `NewtonCG` uses products with the Hessian, for many columns;
- `lasso`: `ProximalNewton` uses working sets of columns, for penalties that leave most coefficients at zero;
- `dual`: `SDCA` is coordinate ascent on one dual variable a row;
- `interior_point`: `InteriorPoint` is a primal-dual method for piecewise linear losses;
- `saga`: `SAGA` makes stochastic steps along single rows, with variance reduction;
- `admm`: `ADMM` lets every shard solve a local problem, and finds a consensus;
- `composite`: `RowSpace` solves in the span of the rows; `fallback` changes to a second solver if the first stalls;
- `baselines`: `GradientDescent`, `SGD`, `Hogwild`, `DualAveraging` and `ModelAveraging`, for comparison.

`_common` has what two or more families use. A new reader should begin with `gradient.lbfgs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offbeat._utils.lazy import lazily

if TYPE_CHECKING:
    from offbeat.solvers.admm.admm import ADMM
    from offbeat.solvers.baselines.dual_averaging import DualAveraging
    from offbeat.solvers.baselines.gradient_descent import GradientDescent
    from offbeat.solvers.baselines.hogwild import Hogwild
    from offbeat.solvers.baselines.model_averaging import ModelAveraging
    from offbeat.solvers.baselines.sgd import SGD
    from offbeat.solvers.composite.row_space import RowSpace
    from offbeat.solvers.dual.sdca import SDCA
    from offbeat.solvers.gradient.delayed_proximal_gradient import DelayedProximalGradient
    from offbeat.solvers.gradient.lbfgs import LBFGS
    from offbeat.solvers.gradient.proximal_gradient import ProximalGradient
    from offbeat.solvers.interior_point.interior_point import InteriorPoint
    from offbeat.solvers.lasso.proximal_newton import ProximalNewton
    from offbeat.solvers.newton.newton import Newton
    from offbeat.solvers.newton_cg.newton_cg import NewtonCG
    from offbeat.solvers.saga.saga import SAGA

__all__ = [
    "ADMM",
    "LBFGS",
    "SAGA",
    "SDCA",
    "SGD",
    "DelayedProximalGradient",
    "DualAveraging",
    "GradientDescent",
    "Hogwild",
    "InteriorPoint",
    "ModelAveraging",
    "Newton",
    "NewtonCG",
    "ProximalGradient",
    "ProximalNewton",
    "RowSpace",
]

_HOMES = {
    "ADMM": "admm.admm",
    "DelayedProximalGradient": "gradient.delayed_proximal_gradient",
    "DualAveraging": "baselines.dual_averaging",
    "GradientDescent": "baselines.gradient_descent",
    "Hogwild": "baselines.hogwild",
    "InteriorPoint": "interior_point.interior_point",
    "LBFGS": "gradient.lbfgs",
    "ModelAveraging": "baselines.model_averaging",
    "Newton": "newton.newton",
    "NewtonCG": "newton_cg.newton_cg",
    "ProximalGradient": "gradient.proximal_gradient",
    "ProximalNewton": "lasso.proximal_newton",
    "RowSpace": "composite.row_space",
    "SAGA": "saga.saga",
    "SDCA": "dual.sdca",
    "SGD": "baselines.sgd",
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
