"""Who exchanges contributions with whom, and what is passed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from offbeat.errors import ProblemError


class Topology(Protocol):
    """How contributions meet. ``batch`` matters to a hub; peers have neighbours."""

    @property
    def batch(self) -> int | None: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Hub:
    """A coordinator holds the sum.

    ``batch=1`` updates at every arrival, ``None`` with all that came in since the last update. Barrier mode
    (``staleness=0``) waits for every shard, whatever the batch.

    Examples
    --------
    >>> Hub(batch=1)
    Hub(batch=1)
    """

    batch: int | None = None
    name = "hub"

    def __post_init__(self) -> None:
        """Refuse batches of nothing."""
        if self.batch is not None and self.batch < 1:
            raise ProblemError(f"batch of Hub is {self.batch}; give a whole number from 1, or None")


@dataclass(frozen=True)
class Broadcast:
    """Every worker sends its contributions to all others and holds the sum itself (Gonzalez et al. 2015, section 3).

    Examples
    --------
    >>> Broadcast().neighbours(1, 4)
    (0, 2, 3)
    """

    name = "broadcast"
    batch = None
    relays = False

    def neighbours(self, worker: int, n_workers: int) -> tuple[int, ...]:
        """Return whom a worker sends to: everybody else."""
        return tuple(w for w in range(n_workers) if w != worker)


@dataclass(frozen=True)
class Tree:
    """Sums travel along the edges of a tree: each worker tells a neighbour the sum of all that lies behind it.

    Each edge carries one sum at a time, so that the traffic of a worker does not depend on how many there are.

    Parameters
    ----------
    fanout : int
        Children of a worker.

    Examples
    --------
    >>> Tree(2).neighbours(1, 6)
    (0, 3, 4)
    """

    fanout: int = 2
    name = "tree"
    batch = None

    def __post_init__(self) -> None:
        """Refuse trees without branches."""
        if self.fanout < 1:
            raise ProblemError(f"fanout of Tree is {self.fanout}; give a whole number from 1")

    def neighbours(self, worker: int, n_workers: int) -> tuple[int, ...]:
        """Return parent and children."""
        parent = () if worker == 0 else ((worker - 1) // self.fanout,)
        first = worker * self.fanout + 1
        return (*parent, *range(min(first, n_workers), min(first + self.fanout, n_workers)))


@dataclass(frozen=True)
class Gossip:
    """Each worker sends what is new to it to a few others, chosen at random once; news reaches all in a few hops.

    Parameters
    ----------
    degree : int
        How many others each worker tells.
    seed : int
        Of the random graph; a ring is always part of it, so that it is connected.

    Examples
    --------
    >>> len(Gossip(3).neighbours(0, 16))
    3
    """

    degree: int = 3
    seed: int = 0
    name = "gossip"
    batch = None
    relays = True

    def __post_init__(self) -> None:
        """Refuse to talk to nobody."""
        if self.degree < 1:
            raise ProblemError(f"degree of Gossip is {self.degree}; give a whole number from 1")

    def neighbours(self, worker: int, n_workers: int) -> tuple[int, ...]:
        """Return the next on the ring and ``degree - 1`` others."""
        if n_workers == 1:
            return ()
        ahead = (worker + 1) % n_workers
        rng = np.random.default_rng((self.seed, worker))
        others = [int(w) for w in rng.permutation(n_workers) if w not in (worker, ahead)]
        return (ahead, *others[: self.degree - 1])


Peers = Broadcast | Tree | Gossip
"""Topologies without a coordinator."""
