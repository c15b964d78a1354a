"""Solvers made of other solvers.

Reading order: `fallback` (a second solver takes over if the first stalls), `row_span` (coordinates in the span of the
rows), `row_space` (data with more columns than rows, solved in these coordinates).
"""
