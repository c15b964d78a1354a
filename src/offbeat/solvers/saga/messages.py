"""The messages of `SAGA`: queries to the shards, and their contributions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from offbeat.problem import Floats


class SagaQuery(NamedTuple):
    """What a shard needs for its epochs. Vectors are in the units of the centred columns, intercept last.

    - ``point``: where the epochs start;
    - ``average``: mean of the last gradients of all shards; ``anchor``: mean of the points where these were evaluated;
    - ``metric``: relative step length along each coordinate;
    - ``copies``: number of rows for each stored entry of a column, sparse rows only;
    - ``factor``, ``strength``: of the penalty;
    - ``damp``: step length over the usual one;
    - ``through``: whether shards run one after another, so that one iterate passes through all;
    - ``room``: length of the table of derivatives, 0 for no table;
    - ``number``: number of the query; 0 asks for the derivatives at the point only.
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


class SagaScalars(NamedTuple):
    """Scalars of a contribution. All but ``level`` are summed over shards.

    - ``conjugate``: ``sum (t z - v l(z))`` without offsets, with derivatives ``t`` and weights ``v``;
    - ``loss``: sum of the loss of each row when it was visited; ``excess``: this loss minus the tangents;
    - ``weight``, ``bend``: sums of ``v`` and ``v l''`` at the start;
    - ``level``: largest curvature of a row, 0 while unknown;
    - ``step``: step length times rows; ``bad``: number of rows whose derivative was not finite.
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


class SagaContribution(NamedTuple):
    """Contribution of a shard, or a sum of contributions.

    - ``gradient``: ``sum t x``, intercept last; ``anchor``: the point where it was evaluated, times the rows;
    - ``position``: if shards run one after another, the total move of the iterate by this shard; else its last iterate
      times its rows;
    - ``squares``, ``counts``: of the stored entries of each column, in the first contribution, sparse rows only;
    - ``table``: last derivative of each row, for a single shard in memory.
    """

    gradient: Floats
    anchor: Floats
    position: Floats
    squares: Floats
    counts: Floats
    facts: SagaScalars
    table: Floats

    def flat(self) -> Floats:
        """Return all fields in one array."""
        return np.concatenate([*self[:5], self.facts, self.table])

    @classmethod
    def unflat(cls, flat: Floats, size: int, columns: int) -> SagaContribution:
        """Return what `flat` packed.

        Parameters
        ----------
        flat : ndarray
        size : int
            Number of columns, intercept included.
        columns : int
            Length of ``squares``: 0 for dense rows.
        """
        ends = np.cumsum([size, size, size, columns, columns, len(SagaScalars._fields)])
        gradient, anchor, position, squares, counts, facts, table = np.split(flat, ends)
        return cls(gradient, anchor, position, squares, counts, SagaScalars(*facts.tolist()), table)
