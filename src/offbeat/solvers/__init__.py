"""Methods: frozen hyper-parameters, pure steps, explicit state. Each family is a room, and none imports another.

Reading order: `gradient`, `newton` (Hessians), `newton_cg` (products), `lasso` (columns), `dual` (rows),
`interior_point` (kinks), `saga` (single rows), `admm` (consensus). `composite` holds methods made of these, `baselines`
what there is to compare with, `_common` what two families use.
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
