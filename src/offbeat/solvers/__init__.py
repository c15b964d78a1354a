"""Methods: one file each, hyper-parameters only, pure steps."""

from offbeat.solvers.newton import Newton

__all__ = ["Newton"]
