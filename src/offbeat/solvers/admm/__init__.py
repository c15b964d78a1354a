"""Consensus ADMM: every shard solves a local problem, and the hub pulls their solutions together.

Reading order: `admm` (the solver and the hub's step), `local_prox` (a shard's step, state and contribution), `smooth`
and `dual_ascent` (the local solvers), `bounds` (a lower bound from contributions of different ages), `asip` (ASIP-ADMM
as published, a baseline).
"""
