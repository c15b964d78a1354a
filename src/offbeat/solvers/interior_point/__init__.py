"""A primal-dual interior point method for piecewise linear losses.

Reading order: `interior_point` (the solver and the hub's step), `shard` (the shard's step), `steps` (formulas for
slacks and multipliers), `products` (products with the rows).
"""
