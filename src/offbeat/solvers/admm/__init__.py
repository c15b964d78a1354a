"""Consensus: every shard solves its own problem, drawn towards the others.

Reading order: `admm` (the hub's side), `local_prox` (what a shard does and sends), `smooth` and `hinge` (its local
solvers), `bounds` (what contributions of different ages prove), `asip` (the method as it was published).
"""
