"""What can go wrong in a simulated cluster, and how long things take there.

Examples
--------
>>> from offbeat.engines import Simulated, faults
>>> Simulated(4, compute=faults.HeavyTailed(0.01), faults=(faults.Loss(0.2),)).n_workers
4
"""

from offbeat.engines.simulation.faults import Crash, Delay, Duplicate, Join, Loss, Partition, Pause, SlowDisk
from offbeat.engines.simulation.models import Constant, Exponential, HeavyTailed, Measured

__all__ = [
    "Constant", "Crash", "Delay", "Duplicate", "Exponential", "HeavyTailed", "Join", "Loss", "Measured", "Partition",
    "Pause", "SlowDisk",
]  # fmt: skip
