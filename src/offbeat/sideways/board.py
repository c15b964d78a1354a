"""The board: the newest contribution of every shard, and their sum."""

from __future__ import annotations

from offbeat.sideways.messages import Floats, Message

RESUM_EVERY = 256  # arrivals, at least: with as many as there are slots, its cost stays O(k) an arrival


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
        self.arrivals = 0
        self._resum_every = max(RESUM_EVERY, n_shards)
        self._slots: list[Message | None] = [None] * n_shards
        self._lives: dict[int, int] = {}
        self._filled = 0
        self._sum: Floats | None = None

    def put(self, message: Message) -> bool:
        """Store a contribution unless a newer one, or a newer life of its worker, is there. Return whether it counts.

        A payload of another length (a solver that asks for more than before) drops the running sum: it is taken anew.
        """
        if not 0 <= message.shard < self.n_shards:
            return False
        old = self._slots[message.shard]
        if not self._counts(message, old):
            return False
        self._slots[message.shard] = message
        self._filled += old is None
        self.arrivals += 1
        fits = self._sum is not None and self._sum.shape == message.payload.shape
        if self.exact or not fits or self.arrivals % self._resum_every == 0:
            self._sum = None
        elif self._sum is not None:
            self._sum += message.payload
            if old is not None:
                self._sum -= old.payload
        return True

    def _counts(self, message: Message, old: Message | None) -> bool:
        """Whether this is news: of this run, of a living worker, and newer than what is there.

        A worker that restarted may count from one again, so its own lives come before its clock; between workers,
        only the clock of the shard decides.
        """
        if message.run != self.run or not self.alive(message):
            return False
        self._lives[message.worker] = message.incarnation
        if old is None:
            return True
        if old.worker == message.worker:
            return (message.incarnation, message.clock) > (old.incarnation, old.clock)
        return message.clock > old.clock

    def alive(self, message: Message) -> bool:
        """Whether a message comes from the newest life of its worker, as far as is known."""
        return message.incarnation >= self._lives.get(message.worker, 0)

    def fence(self, worker: int, incarnation: int) -> None:
        """Refuse what earlier lives of a worker may still have on its way."""
        self._lives[worker] = max(incarnation, self._lives.get(worker, 0))

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

    def slot(self, shard: int) -> Message | None:
        """Return the newest contribution of a shard."""
        return self._slots[shard]

    @property
    def heard(self) -> float:
        """Share of the shards that have reported."""
        return self._filled / self.n_shards

    def in_proportion(self) -> Board:
        """Return a board with the sum that there would be if shards not heard of were like those that were.

        Examples
        --------
        >>> import numpy as np
        >>> board = Board(4)
        >>> board.put(Message(0, 0, 0, 0, 1, "step", np.array([1.0])))
        True
        >>> board.in_proportion().total()
        array([4.])
        """
        return View(self.total() / self.heard, self.n_shards, self._filled)

    @property
    def complete(self) -> bool:
        """Whether every shard has reported at least once."""
        return self._filled == self.n_shards


class View(Board):
    """A sum that came ready-made, with the number of shards that are in it."""

    def __init__(self, total: Floats, n_shards: int, present: int) -> None:
        super().__init__(n_shards)
        self._sum, self._filled = total, present
