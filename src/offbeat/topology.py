"""Who exchanges contributions with whom.

Examples
--------
>>> from offbeat import topology
>>> topology.Hub(batch=1)
Hub(batch=1)
"""

from offbeat.sideways.protocol import Hub

__all__ = ["Hub"]
