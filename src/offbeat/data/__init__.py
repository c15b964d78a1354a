"""Features and targets, in memory, in files or on a cluster.

Reading order: `source` (the protocol of a matrix), `arrays`, `tables` and `files` (matrices of all kinds), `shards`
(rows with targets, and sums over them), `dataset` (what a fit asks of its data), `opening` and `load` (from what a user
passes to a data set), `placed` (data on a cluster). `diagnose`, `fingerprint` and `memory` answer one question each.
"""
