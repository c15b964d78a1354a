"""How the ranks of an asynchronous iteration know that it is over, without a coordinator and without rounds."""

from __future__ import annotations

import numpy as np

from offbeat.sideways.messages import Floats
from offbeat.sideways.port import Port

LIFE = 2.0**32  # versions of a restarted rank begin beyond those of its earlier life


class Agreement:
    """Exchanges the parts of an iterate, and tells when all of them fit together.

    Each rank owns one part and computes it anew from the newest parts of all, whenever it likes. A part has a version,
    which grows when the part changes; with its part a rank sends the versions that it was computed from. Once
    everybody's newest part was computed from everybody's newest parts, and did not change, that is a fixed point, and
    all ranks find out by themselves.

    Messages may be repeated and overtake each other. A rank that restarted is told again what it missed, as long as
    nobody has ended.

    Parameters
    ----------
    port : Port
        What the engine gave to the program.

    Examples
    --------
    Everybody moves to the mean of its own rows and what the others think:

    >>> from offbeat import engines
    >>> from offbeat.sideways import WAIT, Agreement
    >>> def program(port, shard):
    ...     agreement, rows = Agreement(port), shard.rows()
    ...     parts = np.zeros(port.n_workers)
    ...     while True:
    ...         for rank, part in agreement.poll():
    ...             parts[rank] = part[0]
    ...         new = 0.5 * rows.mean() + 0.5 * np.delete(parts, port.worker).mean()
    ...         changed = abs(new - parts[port.worker]) > 1e-9
    ...         if changed:
    ...             parts[port.worker] = new
    ...         agreement.push(parts[[port.worker]], changed=changed)
    ...         if agreement.over:
    ...             return round(float(new), 3)
    ...         yield 1.0 if changed else WAIT
    >>> engines.Simulated(3).run(program, np.arange(6.0).reshape(6, 1))
    [1.7, 2.5, 3.3]
    """

    def __init__(self, port: Port) -> None:
        n = port.n_workers
        self._port = port
        self._others = tuple(rank for rank in range(n) if rank != port.worker)
        self._versions = np.zeros(n)
        self._versions[port.worker] = port.incarnation * LIFE
        self._based_on = np.full((n, n), -1.0)  # row i: what the newest part of rank i was computed from
        self._newest = [(0, 0)] * n
        self._clock = 0
        self._again = False

    def poll(self) -> list[tuple[int, Floats]]:
        """Return what came in since the last call: of each rank that sent something, its newest part.

        Returns
        -------
        parts : list of (int, ndarray)
            Rank and part.
        """
        parts: dict[int, Floats] = {}
        for message in self._port.poll():
            rank, key = message.worker, (message.incarnation, message.clock)
            if key <= self._newest[rank]:
                continue
            self._again |= message.incarnation > self._newest[rank][0]
            self._newest[rank] = key
            version, self._based_on[rank], parts[rank] = np.split(message.payload, [1, 1 + len(self._versions)])
            self._versions[rank] = version[0]
        return list(parts.items())

    def push(self, part: Floats, *, changed: bool) -> None:
        """Send the own part to everybody, if that is news to them.

        Parameters
        ----------
        part : ndarray of float64
            Flat, and computed from all that `poll` has returned.
        changed : bool
            Whether it differs from the part that was pushed before.
        """
        me = self._port.worker
        if not (changed or self._again or (self._based_on[me] != self._versions).any()):
            return
        self._based_on[me] = self._versions  # what changed was computed from the part before it
        self._versions[me] += changed
        self._again = False
        self._clock += 1
        payload = np.concatenate([self._versions[me : me + 1], self._based_on[me], part])
        self._port.push(self._port.message(payload, clock=self._clock), to=self._others)

    @property
    def over(self) -> bool:
        """Whether the newest parts of all were computed from the newest parts of all."""
        return bool((self._based_on == self._versions).all())
