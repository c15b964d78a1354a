"""Shards: consecutive rows with their targets, and what is summed over them.

Reading order: `shard` (rows), `blocks` (how they are read), `point` (where a loss is evaluated, and its sums), `sums`
(the evaluation: the only code that knows dense from sparse), `conditioning` (sparse columns far from zero), `moments`
(means and deviations of columns), `threads` (one shard on several threads).
"""

from offbeat.data.shards.blocks import Cancelled, Targets, Workspace
from offbeat.data.shards.moments import ColumnMoments, pooled_moments
from offbeat.data.shards.point import Point, Sums, head_size
from offbeat.data.shards.shard import Shard

__all__ = [
    "Cancelled",
    "ColumnMoments",
    "Point",
    "Shard",
    "Sums",
    "Targets",
    "Workspace",
    "head_size",
    "pooled_moments",
]
