"""Dual coordinate ascent: one dual variable a row. For many rows, hinge losses and penalties with a ridge.

Reading order: `sdca` (the solver), `hub` (the hub's step), `shard` (a shard's step), `epochs` (the loops over rows),
`active_set` (an accurate solution of a support vector machine), `delays` (contributions of different ages).
"""
