"""Matrices of numbers: in memory, in pieces, in files.

Reading order: `in_memory`, `chunks` (pieces), `vectors` (targets, weights, offsets), `npy` with `npy_header` and
`row_file`, `spill` (sparse rows that do not fit in memory).
"""
