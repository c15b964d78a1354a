"""Who exchanges contributions with whom.

Examples
--------
>>> from offbeat import topology
>>> topology.Hub(batch=1)
Hub(batch=1)
"""

from offbeat.sideways.topologies import Broadcast, Gossip, Hub, Tree

__all__ = ["Broadcast", "Gossip", "Hub", "Tree"]
