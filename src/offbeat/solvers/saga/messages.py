"""What `SAGA` sends: queries to the shards, contributions back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from offbeat.problem import Floats


class Query(NamedTuple):
    """Where the fit stands, in the units of the columns, intercept last.

    ``point``, ``average`` and ``anchor`` are about ``center``. ``average`` is the mean of the last gradients of all
    shards, ``anchor`` that of the points where they were taken. ``metric`` has a step's relative length along each
    coordinate; ``copies`` (sparse only) rows for each entry of a column; ``factor`` and ``strength`` belong to the
    penalty. ``damp`` is by how much steps are shorter than usual. ``through`` says whether shards run one after
    another, so that one iterate passes through all; ``room`` is the length of tables, 0 for none. ``number`` 0 asks for
    the slopes at the point.
    """

    point: Floats
    average: Floats
    anchor: Floats
    center: Floats
    metric: Floats
    copies: Floats
    factor: Floats
    strength: Floats
    damp: float
    through: bool
    room: int
    number: int
    seed: int
    epochs: int
    threads: int


class Facts(NamedTuple):
    """Numbers that a contribution carries besides vectors; all but ``level`` add up over shards.

    ``conjugate`` is ``sum (t z - v l(z))``, without offsets; ``loss`` that of rows as they were visited, and ``excess``
    how much it was above the tangents; ``weight`` and ``bend`` are the sums of ``v`` and ``v l''`` at the start.
    ``level`` is the largest curvature of a row, 0 while unknown; ``step`` the rows times the step length; ``bad``
    counts rows whose slope was not finite.
    """

    conjugate: float
    loss: float
    excess: float
    weight: float
    bend: float
    level: float
    step: float
    bad: float
    passes: float
    steps: float
    present: float = 1.0


class Contribution(NamedTuple):
    """What a shard puts on the board.

    ``gradient``: ``sum t x``, intercept last; ``anchor``: the point where it was taken, times the rows. ``position``:
    where shards run one after another, by how much this one has moved the iterate since the start of the fit; else its
    own last iterate, times its rows. ``squares`` and ``counts``: of the entries of each column, from the first step and
    for sparse rows only. ``table``: the slopes that rows had last, for a single shard whose rows are in memory.
    """

    gradient: Floats
    anchor: Floats
    position: Floats
    squares: Floats
    counts: Floats
    facts: Facts
    table: Floats

    def flat(self) -> Floats:
        """Return all in one array."""
        return np.concatenate([*self[:5], self.facts, self.table])

    @classmethod
    def unflat(cls, flat: Floats, size: int, columns: int) -> Contribution:
        """Return what `flat` packed.

        Parameters
        ----------
        flat : ndarray
        size : int
            Number of columns, intercept included.
        columns : int
            Length of ``squares``: 0 for dense rows.
        """
        ends = np.cumsum([size, size, size, columns, columns, len(Facts._fields)])
        gradient, anchor, position, squares, counts, facts, table = np.split(flat, ends)
        return cls(gradient, anchor, position, squares, counts, Facts(*facts.tolist()), table)
