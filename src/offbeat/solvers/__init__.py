"""Methods: one file each, hyper-parameters only, pure steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offbeat._lazy import lazily

if TYPE_CHECKING:
    from offbeat.solvers.admm import ADMM
    from offbeat.solvers.delayed_proximal_gradient import DelayedProximalGradient
    from offbeat.solvers.dual_averaging import DualAveraging
    from offbeat.solvers.gradient_descent import GradientDescent
    from offbeat.solvers.hogwild import Hogwild
    from offbeat.solvers.interior_point import InteriorPoint
    from offbeat.solvers.lbfgs import LBFGS
    from offbeat.solvers.model_averaging import ModelAveraging
    from offbeat.solvers.newton import Newton
    from offbeat.solvers.newton_cg import NewtonCG
    from offbeat.solvers.proximal_gradient import ProximalGradient
    from offbeat.solvers.proximal_newton import ProximalNewton
    from offbeat.solvers.row_space import RowSpace
    from offbeat.solvers.saga import SAGA
    from offbeat.solvers.sdca import SDCA
    from offbeat.solvers.sgd import SGD

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
    "SAGA": "saga",
    "SDCA": "sdca",
    "SGD": "sgd",
    "Hogwild": "hogwild",
    "ModelAveraging": "model_averaging",
    "DualAveraging": "dual_averaging",
    "DelayedProximalGradient": "delayed_proximal_gradient",
    "ADMM": "admm",
    "GradientDescent": "gradient_descent",
    "InteriorPoint": "interior_point",
    "LBFGS": "lbfgs",
    "Newton": "newton",
    "NewtonCG": "newton_cg",
    "ProximalGradient": "proximal_gradient",
    "ProximalNewton": "proximal_newton",
    "RowSpace": "row_space",
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
