"""Proximal Newton with working sets: penalties that leave most coefficients at zero, many columns.

Reading order: `proximal_newton` (the solver), `working_set` (a shard's step), `column_models` (quadratic models over a
working set), `residual_steps` (many models in one round), `column_store` (columns in memory), `row_sample` (a start),
`paths` (many strengths of the penalty).
"""
