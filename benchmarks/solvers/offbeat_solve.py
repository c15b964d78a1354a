"""Offbeat with its defaults: `solver="auto"`, `engine="auto"`."""

from benchmarks.solvers._offbeat import Offbeat


class Solver(Offbeat):
    name = "offbeat"
