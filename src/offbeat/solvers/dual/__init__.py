"""Coordinate ascent on dual variables, one a row: hinges, ridges, many rows.

Reading order: `sdca`, `hub` (what comes of the contributions), `shard` (what makes them), `epochs` (sweeps over rows),
`active_set` (the last digits), `delays` (contributions of different ages).
"""
