"""Solvers: each file has a class `Solver`."""
