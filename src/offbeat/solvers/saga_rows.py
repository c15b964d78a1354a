"""The shard's side of `SAGA`: its table of slopes, and what an epoch makes of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shard import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step

RUN = 8  # rows that are drawn together: reading them one after another is twice as fast
STEP = 1.0 / 3.0  # over the largest curvature of a row
SEGMENT = 1024  # rows of a piece of data that is in memory, after which it is another's turn


class Query(NamedTuple):
    """Where the fit stands, in the units of the columns, intercept last.

    ``point``, ``average`` and ``anchor`` are about ``center``: of length 0 for sparse rows, which are about zero.
    ``average`` is the mean of the last gradients of all shards, ``anchor`` that of the points where they were taken.
    ``metric`` has a step's relative length along each coordinate; ``copies`` (sparse only) rows for each entry of a
    column; ``factor`` and ``strength`` belong to the penalty. ``damp`` is by how much steps are shorter than usual.
    ``through`` says whether shards run one after another, so that one iterate passes through all; ``room`` is the
    length of tables, 0 for none. ``number`` 0 asks for the slopes at the point.
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


class Local(NamedTuple):
    """A shard's contribution, which has all that it knows; None at first."""

    workspace: Workspace
    last: Contribution | None


def local_step(problem: Problem, shard: Shard, local: Local, query: Query) -> Step:
    """Set the slopes at the start, or run epochs from the query on."""
    last = local.last
    if last is None or query.number == 0:
        new = _started(problem, shard, local.workspace, query)
        return Step(Local(local.workspace, new), new.flat(), 1.0, "start")
    cost, level = 0.0, last.facts.level
    if level <= 0.0:
        level, cost = _steepest(problem, shard, local.workspace, query), 1.0
    epoch = _Epoch(problem, shard, local.workspace, query, level)
    new = epoch.with_table(last) if last.table.size else epoch.anchored(last)
    passes = last.facts.passes + (cost + query.epochs) * shard.n_rows
    facts = new.facts._replace(level=level, passes=passes, steps=last.facts.steps + query.epochs)
    new = new._replace(facts=facts, squares=np.zeros_like(last.squares), counts=np.zeros_like(last.counts))
    return Step(Local(local.workspace, new), new.flat(), query.epochs + cost, "epoch")


class _Epoch:
    """What the epochs of one step have in common: the kernels that fit the rows, and their arguments."""

    def __init__(self, problem: Problem, shard: Shard, workspace: Workspace, query: Query, level: float) -> None:
        self.shard, self.workspace, self.query = shard, workspace, query
        self.step = query.damp * STEP / level
        self.loss, self.penalty = problem.loss, problem.penalty._replace(weights=None)
        rate = self.step * query.metric
        shrink = np.empty(0)
        if self.penalty.name in ("none", "l2"):
            length = rate[:-1] * (query.copies if query.copies.size else 1.0)
            shrink = 1.0 / (1.0 + length * query.factor**2 * self.penalty.alpha * query.strength)
        self.metric = (
            query.copies if shard.source.sparse else query.center, rate, not math.isfinite(self.loss.smoothness)
        )  # fmt: skip
        self.rule = (shrink, query.factor, query.strength)

    def with_table(self, last: Contribution) -> Contribution:
        """Return the contribution after epochs that compare slopes with those of the epoch before."""
        from offbeat.kernels import saga

        query, x, table, facts = self.query, self.query.point.copy(), last.table.copy(), last.facts
        average, gradient, steps = query.average, last.gradient, round(facts.steps)
        pieces = [(block, targets) for block, targets, _ in self.shard.blocks(1.0, self.workspace)]
        ends = np.cumsum([0, *(len(targets.y) for _, targets in pieces)])
        for epoch in range(steps, steps + query.epochs):
            gradient, sums = np.zeros_like(x), np.zeros(4)
            for piece, rows in turns(np.diff(ends), self._rng(epoch)):
                block, targets = pieces[piece]
                visit: Any = saga.sparse_epoch if isinstance(block, CSR) else saga.dense_epoch
                visit(
                    self.loss, self.penalty, tuple(block) if isinstance(block, CSR) else block, tuple(targets),
                    table[ends[piece] : ends[piece + 1]], rows, (x, average, gradient), self.metric, self.rule, sums,
                )  # fmt: skip
            average = gradient / self.shard.n_rows
            facts = self._facts(facts, sums, facts.conjugate)
        return self._contribution(last._replace(table=table), x, gradient, facts)

    def anchored(self, last: Contribution) -> Contribution:
        """Return the contribution after epochs that compare slopes with those at the anchor.

        The first takes the gradient at the query's point: what the shard tells the others.
        """
        from offbeat.kernels import saga

        query, x, facts, steps = self.query, self.query.point.copy(), last.facts, round(last.facts.steps)
        gradient = np.zeros_like(x)
        points = (query.anchor, query.point)
        for epoch in range(steps, steps + query.epochs):
            rng, fresh, sums = self._rng(epoch), np.zeros_like(x), np.zeros(4)
            for block, targets, _ in self.shard.blocks(1.0, self.workspace):
                visit: Any = saga.sparse_visit if isinstance(block, CSR) else saga.dense_visit
                visit(
                    self.loss, self.penalty, tuple(block) if isinstance(block, CSR) else block, tuple(targets), points,
                    order(len(targets.y), rng), (x, query.average, fresh), self.metric, self.rule, sums,
                )  # fmt: skip
            if epoch == steps:
                gradient, facts = fresh, self._facts(facts, sums, float(sums[saga.CONJUGATE]))
        return self._contribution(last, x, gradient, facts)

    def _rng(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.query.seed, self.shard.start, epoch))

    def _facts(self, facts: Facts, sums: Floats, conjugate: float) -> Facts:
        """Return facts with those of an epoch; ``conjugate`` is that of the tangents that the loss is held against."""
        from offbeat.kernels import saga

        loss, cross, new, bad = (float(sums[i]) for i in (saga.LOSS, saga.CROSS, saga.CONJUGATE, saga.BAD))
        return facts._replace(
            conjugate=new, loss=loss, excess=loss + conjugate - cross, bad=bad, weight=0.0, bend=0.0,
            step=self.step * self.shard.n_rows,
        )  # fmt: skip

    def _contribution(self, last: Contribution, x: Floats, gradient: Floats, facts: Facts) -> Contribution:
        query, n = self.query, self.shard.n_rows
        position = last.position + (x - query.point) if query.through else n * x
        return last._replace(gradient=gradient, anchor=n * query.point, position=position, facts=facts)


def order(rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the order in which rows are visited: short runs of neighbours, the runs in random order.

    Examples
    --------
    >>> sorted(order(10, np.random.default_rng(0)).tolist()) == list(range(10))
    True
    """
    starts = RUN * rng.permutation(-(-rows // RUN))
    every = (starts[:, None] + np.arange(RUN)).ravel()
    return every[every < rows] if rows % RUN else every


def turns(lengths: NDArray[np.int64], rng: np.random.Generator) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield pieces of data and rows to visit in them, so that all pieces are visited evenly throughout.

    Were a piece visited as a whole, the point would run to where that piece wants it.

    Examples
    --------
    >>> [piece for piece, _ in turns(np.array([2000, 2000]), np.random.default_rng(0))]
    [0, 1, 0, 1]
    """
    orders = [order(int(rows), rng) for rows in lengths]
    if len(orders) == 1:
        yield 0, orders[0]
        return
    rounds = max(1, round(max(lengths) / SEGMENT))
    parts = [np.array_split(rows, rounds) for rows in orders]
    for number in range(rounds):
        for piece, of_piece in enumerate(parts):
            yield piece, of_piece[number]


def _started(problem: Problem, shard: Shard, workspace: Workspace, query: Query) -> Contribution:
    """Return the slopes of all rows at the query, and what the first step has to tell of the columns."""
    from offbeat.kernels import row_sums

    k, loss = shard.source.shape[1], problem.loss
    table, head, done = np.zeros(shard.n_rows), np.zeros(4), 0
    gradient, squares, counts = np.zeros(k + 1), np.zeros(query.copies.size), np.zeros(query.copies.size)
    for block, targets, ranges in shard.blocks(1.0, workspace):
        rows = int(ranges[-1, 1])
        part = table[done : done + rows]
        if isinstance(block, CSR):
            row_sums.sparse_slopes(loss, tuple(block), tuple(targets), query.point, part, head)
            row_sums.sparse_gradient(tuple(block), part, gradient)
            row_sums.sparse_columns(tuple(block), targets.weight, squares, counts)
        else:
            row_sums.dense_slopes(loss, block, tuple(targets), query.point, query.center, part, head)
            row_sums.dense_gradient(block, part, query.center, gradient)
        done += rows
    position = np.zeros(k + 1) if query.through else shard.n_rows * query.point
    conjugate, weight, bend, bad = head.tolist()
    facts = Facts(conjugate, 0.0, 0.0, weight, bend, 0.0, 0.0, bad, float(shard.n_rows), 0.0)
    table = table if query.room else np.empty(0)
    return Contribution(gradient, shard.n_rows * query.point, position, squares, counts, facts, table)


def _steepest(problem: Problem, shard: Shard, workspace: Workspace, query: Query) -> float:
    """Return the largest curvature of a row of the shard."""
    from offbeat.kernels import row_sums

    loss, most = problem.loss, 0.0
    bound = float(loss.smoothness)
    for block, targets, _ in shard.blocks(1.0, workspace):
        if isinstance(block, CSR):
            found = row_sums.sparse_steepest(loss, bound, tuple(block), tuple(targets), query.point, query.metric)
        else:
            found = row_sums.dense_steepest(loss, bound, block, tuple(targets), query.point, query.center, query.metric)
        most = max(most, found)
    return most if most > 0.0 else 1.0
