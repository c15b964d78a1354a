"""SAGA: stochastic gradients with variance reduction, one row at a time.

Reading order: `saga` (the solver), `messages` (queries and contributions), `hub` (metric, iterate, candidate), `shard`
(a shard's step), `epochs` (the loops over rows).
"""
