"""The board: the newest contribution of every shard, and their sum."""

from __future__ import annotations

from offbeat.sideways.messages import Floats, Message

RESUM_EVERY = 256


class Board:
    """Keeps the newest contribution of each shard and their running sum: O(k) an arrival, however many shards.

    Parameters
    ----------
    n_shards : int
        Number of slots.
    run : int
        Messages of other runs are refused.
    exact : bool
        Take the sum in shard order, so that it does not depend on who arrived first (barrier mode).

    Examples
    --------
    >>> import numpy as np
    >>> board = Board(2)
    >>> board.put(Message(0, 0, 0, 0, 1, "step", np.array([1.0])))
    True
    >>> board.put(Message(0, 1, 0, 1, 1, "step", np.array([2.0])))
    True
    >>> board.total()
    array([3.])
    """

    def __init__(self, n_shards: int, *, run: int = 0, exact: bool = True) -> None:
        self.n_shards = n_shards
        self.run = run
        self.exact = exact
        self._slots: list[Message | None] = [None] * n_shards
        self._filled = 0
        self._sum: Floats | None = None
        self._arrivals = 0

    def put(self, message: Message) -> bool:
        """Store a contribution unless a newer one, or a newer life of its worker, is there. Return whether it counts.

        A payload of another length (a solver that asks for more than before) drops the running sum: it is taken anew.
        """
        old = self._slots[message.shard]
        if message.run != self.run:
            return False
        if old is not None and (message.incarnation, message.clock) <= (old.incarnation, old.clock):
            return False
        self._slots[message.shard] = message
        self._filled += old is None
        self._arrivals += 1
        fits = self._sum is not None and self._sum.shape == message.payload.shape
        if self.exact or not fits or self._arrivals % RESUM_EVERY == 0:
            self._sum = None
        elif self._sum is not None:
            self._sum += message.payload
            if old is not None:
                self._sum -= old.payload
        return True

    def total(self) -> Floats:
        """Return the sum of the slots, valid until the next `put`; taken in shard order when ``exact``."""
        if self._sum is None:
            filled = [slot.payload for slot in self._slots if slot is not None]
            self._sum = filled[0].copy()
            for payload in filled[1:]:
                self._sum += payload
        return self._sum

    def clock(self, shard: int) -> int:
        """Return the clock of the shard's newest contribution, 0 when there is none."""
        slot = self._slots[shard]
        return 0 if slot is None else slot.clock

    @property
    def complete(self) -> bool:
        """Whether every shard has reported at least once."""
        return self._filled == self.n_shards
