"""What goes wrong in a simulated cluster, and when. Times are seconds of the virtual clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Loss:
    """Each message is lost with this probability."""

    probability: float


@dataclass(frozen=True)
class Duplicate:
    """Each message arrives a second time with this probability."""

    probability: float


@dataclass(frozen=True)
class Delay:
    """Each message is held up with this probability, for up to so many seconds: later ones overtake it."""

    probability: float
    seconds: float


@dataclass(frozen=True)
class Crash:
    """A worker loses all it holds at ``at``, and is back ``down`` seconds later; never, with ``down=inf``."""

    worker: int
    at: float
    down: float = 0.0


@dataclass(frozen=True)
class Join:
    """A worker that was not there at the start comes at ``at``. Hub topologies only."""

    at: float


@dataclass(frozen=True)
class Pause:
    """A worker stands still for a while (garbage collection); every ``every`` seconds, if that is finite."""

    worker: int
    at: float
    seconds: float
    every: float = math.inf


@dataclass(frozen=True)
class Partition:
    """The workers named and all others (the coordinator too) cannot reach each other for a while."""

    workers: tuple[int, ...]
    at: float
    seconds: float


@dataclass(frozen=True)
class SlowDisk:
    """Loading a shard that is not at home takes a worker so many seconds."""

    seconds: float


Fault: TypeAlias = Loss | Duplicate | Delay | Crash | Join | Pause | Partition | SlowDisk
