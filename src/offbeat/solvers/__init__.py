"""Methods: one file each, hyper-parameters only, pure steps."""

from offbeat.solvers.gradient_descent import GradientDescent
from offbeat.solvers.lbfgs import LBFGS
from offbeat.solvers.newton import Newton
from offbeat.solvers.proximal_gradient import ProximalGradient

__all__ = ["LBFGS", "GradientDescent", "Newton", "ProximalGradient"]
