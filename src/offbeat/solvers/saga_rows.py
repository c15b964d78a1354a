"""The shard's side of `SAGA`: its table of slopes, and what an epoch makes of them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shard import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.problem import Floats, Problem
from offbeat.sideways.protocol import Step

EXACT = 16  # epochs after which the gradient is taken from the table anew: sums of changes gather rounding
RUN = 8  # rows that are drawn together: reading them one after another is twice as fast
STEP = 1.0 / 3.0  # over the largest curvature of a row


class Query(NamedTuple):
    """Where the fit stands, in the units of the columns, intercept last.

    ``point`` and ``average`` are about ``center``: of length 0 for sparse rows, which are about zero. ``metric`` has a
    step's relative length along each coordinate; ``copies`` (sparse only) rows for each entry of a column; ``factor``
    and ``strength`` belong to the penalty. ``share`` is what the change of a row counts in the average; 0 stands for
    one over the rows of the shard. ``damp`` is by how much steps are shorter than usual. ``through`` says whether
    shards run one after another, so that one iterate passes through all. ``number`` 0 asks for the slopes at the point;
    ``room`` is the number of rows of the largest shard.
    """

    point: Floats
    average: Floats
    center: Floats
    metric: Floats
    copies: Floats
    factor: Floats
    strength: Floats
    share: float
    damp: float
    through: bool
    number: int
    seed: int
    epochs: int
    room: int


class Facts(NamedTuple):
    """Numbers that a contribution carries besides vectors; all but ``level`` add up over shards.

    ``conjugate`` is ``sum (t z - v l(z))``, without offsets; ``excess`` how much the loss, as rows were visited, was
    above their tangents of the epoch before; ``weight`` and ``bend`` are the sums of ``v`` and ``v l''`` at the start.
    ``level`` is the largest curvature of a row, 0 while unknown; ``step`` the rows times the step length; ``bad``
    counts rows whose slope was not finite.
    """

    conjugate: float
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

    ``gradient``: ``sum t x``, intercept last. ``position``: where shards run one after another, by how much this one
    has moved the iterate since the start of the fit; else its own last iterate, times its rows. ``squares`` and
    ``counts``: of the entries of each column, from the first step and for sparse rows only. ``table``, padded to the
    rows of the largest shard, is for whoever goes on with this shard: its sum means nothing.
    """

    gradient: Floats
    position: Floats
    squares: Floats
    counts: Floats
    facts: Facts
    table: Floats

    def flat(self) -> Floats:
        """Return all in one array."""
        return np.concatenate([*self[:4], self.facts, self.table])

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
        ends = np.cumsum([size, size, columns, columns, len(Facts._fields)])
        gradient, position, squares, counts, facts, table = np.split(flat, ends)
        return cls(gradient, position, squares, counts, Facts(*facts.tolist()), table)


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
    facts = last.facts._replace(level=level, weight=0.0, bend=0.0, bad=0.0, passes=last.facts.passes + cost * shard.n_rows)
    epoch = _Epoch(problem, shard, local.workspace, query, last._replace(facts=facts))
    for _ in range(query.epochs):
        epoch.run()
    new = epoch.contribution()
    return Step(Local(local.workspace, new), new.flat(), query.epochs + cost, "epoch")


class _Epoch:
    """The arrays that epochs work on, and the kernels that fit the rows."""

    def __init__(self, problem: Problem, shard: Shard, workspace: Workspace, query: Query, last: Contribution) -> None:
        self.problem, self.shard, self.workspace, self.query, self.last = problem, shard, workspace, query, last
        self.step = query.damp * STEP / last.facts.level
        self.share = query.share or 1.0 / shard.n_rows
        self.x, self.average, self.table = query.point.copy(), query.average.copy(), last.table.copy()
        self.facts = last.facts
        rate = self.step * query.metric
        penalty = problem.penalty
        shrink = np.empty(0)
        if penalty.name in ("none", "l2"):
            length = rate[:-1] * (query.copies if query.copies.size else 1.0)
            shrink = 1.0 / (1.0 + length * query.factor**2 * penalty.alpha * query.strength)
        bounded = math.isfinite(problem.loss.smoothness)
        self.metric = (query.copies if shard.source.sparse else query.center, rate, self.share, float(not bounded))
        self.rule = (shrink, query.factor, query.strength)

    def run(self) -> None:
        """Visit every row once."""
        from offbeat.kernels import saga

        query, facts, sums, done = self.query, self.facts, np.zeros(4), 0
        penalty = self.problem.penalty._replace(weights=None)
        rng = np.random.default_rng((query.seed, self.shard.start, round(facts.steps)))
        for block, targets, ranges in self.shard.blocks(1.0, self.workspace):
            rows = int(ranges[-1, 1])
            visit: Any = saga.sparse_epoch if isinstance(block, CSR) else saga.dense_epoch
            data = tuple(block) if isinstance(block, CSR) else block
            visit(
                self.problem.loss, penalty, data, tuple(targets), self.table[done : done + rows], order(rows, rng),
                (self.x, self.average), self.metric, self.rule, sums,
            )  # fmt: skip
            done += rows
        self.facts = facts._replace(
            conjugate=float(sums[saga.CONJUGATE]), bad=facts.bad + float(sums[saga.BAD]), steps=facts.steps + 1.0,
            excess=float(sums[saga.LOSS]) + facts.conjugate - float(sums[saga.CROSS]), step=self.step * self.shard.n_rows,
            passes=facts.passes + self.shard.n_rows,
        )  # fmt: skip

    def contribution(self) -> Contribution:
        """Return what the epochs have made of the shard."""
        query, last = self.query, self.last
        moved = self.x - query.point
        position = last.position + moved if query.through else self.shard.n_rows * self.x
        if round(self.facts.steps) // EXACT > round(last.facts.steps) // EXACT:
            gradient = _gradient(self.shard, self.workspace, query.center, self.table)
        else:
            gradient = last.gradient + (self.average - query.average) / self.share
        none = np.zeros_like(last.squares)
        return Contribution(gradient, position, none, none, self.facts, self.table)


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


def _started(problem: Problem, shard: Shard, workspace: Workspace, query: Query) -> Contribution:
    """Return the slopes of all rows at the query, and what the first step has to tell of the columns."""
    from offbeat.kernels import saga

    k, loss = shard.source.shape[1], problem.loss
    table, head, done = np.zeros(max(query.room, shard.n_rows)), np.zeros(4), 0
    gradient, squares, counts = np.zeros(k + 1), np.zeros(query.copies.size), np.zeros(query.copies.size)
    for block, targets, ranges in shard.blocks(1.0, workspace):
        rows = int(ranges[-1, 1])
        part = table[done : done + rows]
        if isinstance(block, CSR):
            saga.sparse_slopes(loss, tuple(block), tuple(targets), query.point, part, head)
            saga.sparse_gradient(tuple(block), part, gradient)
            saga.sparse_columns(tuple(block), targets.weight, squares, counts)
        else:
            saga.dense_slopes(loss, block, tuple(targets), query.point, query.center, part, head)
            saga.dense_gradient(block, part, query.center, gradient)
        done += rows
    position = np.zeros(k + 1) if query.through else shard.n_rows * query.point
    conjugate, weight, bend, bad = head.tolist()
    facts = Facts(conjugate, 0.0, weight, bend, 0.0, 0.0, bad, float(shard.n_rows), 0.0)
    return Contribution(gradient, position, squares, counts, facts, table)


def _gradient(shard: Shard, workspace: Workspace, center: Floats, table: Floats) -> Floats:
    """Return the gradient that the table stands for."""
    from offbeat.kernels import saga

    out, done = np.zeros(shard.source.shape[1] + 1), 0
    for block, _, ranges in shard.blocks(1.0, workspace):
        rows = int(ranges[-1, 1])
        if isinstance(block, CSR):
            saga.sparse_gradient(tuple(block), table[done : done + rows], out)
        else:
            saga.dense_gradient(block, table[done : done + rows], center, out)
        done += rows
    return out


def _steepest(problem: Problem, shard: Shard, workspace: Workspace, query: Query) -> float:
    """Return the largest curvature of a row of the shard."""
    from offbeat.kernels import saga

    loss, most = problem.loss, 0.0
    bound = float(loss.smoothness)
    for block, targets, _ in shard.blocks(1.0, workspace):
        if isinstance(block, CSR):
            found = saga.sparse_steepest(loss, bound, tuple(block), tuple(targets), query.point, query.metric)
        else:
            found = saga.dense_steepest(loss, bound, block, tuple(targets), query.point, query.center, query.metric)
        most = max(most, found)
    return most if most > 0.0 else 1.0
