"""A primal-dual interior point for losses with kinks.

Reading order: `interior_point` (the hub's side), `shard`, `steps` (slacks and multipliers), `products`.
"""
