"""Coordinate descent on columns: penalties that leave few columns.

Reading order: `proximal_newton` (the hub's side), `working_set` (the shard's side), `column_models` and
`residual_steps` (two ways to minimise over columns), `column_store`, `row_sample` (a start), `paths`.
"""
