"""Penalties: one class a file, pure scalar methods, callable from Python and from compiled kernels."""

from offbeat.penalties.base import Penalty
from offbeat.penalties.box import Box, NonNegative
from offbeat.penalties.elastic_net import ElasticNet
from offbeat.penalties.l1 import L1
from offbeat.penalties.l2 import L2
from offbeat.penalties.zero import Zero

__all__ = ["L1", "L2", "Box", "ElasticNet", "NonNegative", "Penalty", "Zero"]
