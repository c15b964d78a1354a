"""Quadratic models of the loss over a working set, and their minima: by residuals, or by the Gram matrix.

A sweep by residuals reads every column in the working set; a sweep by the Gram matrix reads none, but the matrix must
be made, which pays where many sweeps follow. A matrix may be older than the point: the slopes never are.

Columns are about their centre where the data is dense, about zero where it is sparse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.shards import Cancelled, Shard, Targets, Workspace
from offbeat.data.shards.threads import map_on_threads
from offbeat.data.source import CSR
from offbeat.kernels.arguments import ColumnModel, Columns, PenaltyScaling, SweepLimits, Sweeps
from offbeat.problem import Floats, Problem

SWEEPS = 1000
GRAM_SWEEPS = 20_000
BURST = 20  # sweeps between two exact solutions
BURSTS = 50
EXACT = 1000  # coefficients at most, for an exact solution
JITTER = 1e-12  # of the diagonal, that rounding needs where columns are dependent
AT_ONCE = 1e8  # multiplications between looks at the wish to stop
FEWEST = 20  # sweeps between them: each time, all columns are swept first
LARGEST = 2048  # columns of a Gram matrix
WORTH = 12.0  # sweeps by residuals that making one may cost
DENSE_COLUMNS = 800  # of a Gram matrix of dense columns, which costs a twentieth of a sweep a column
TRIFLE = 2e8  # multiplications that always pay
LEAST = 1e-12  # of a column's square, that its curvature about its mean has
CHUNK = 2048  # dense rows to weight at once


class Task(NamedTuple):
    """A working set: its columns, their centre and penalty, the rows, and how many entries the columns have."""

    problem: Problem
    shard: Shard
    workspace: Workspace
    columns: NDArray[np.int64]
    center: Floats
    scaling: PenaltyScaling
    stored: float
    intercept: bool

    @property
    def rule(self) -> Any:
        """The penalty without its weights."""
        return self.problem.penalty._replace(weights=None)

    @property
    def target(self) -> Targets:
        """Targets, weights and offsets."""
        return Targets(self.shard.y, self.shard.weight, self.shard.offset)

    @property
    def constant(self) -> bool:
        """Whether the curvature of every row is one."""
        return bool(self.problem.loss.quadratic) and not self.shard.weight.size

    @property
    def origin(self) -> Floats:
        """What has to be taken from columns to have them about their centre."""
        return self.center if self.shard.source.sparse else np.zeros_like(self.center)


class Gram(NamedTuple):
    """Second derivatives of the mean loss over some columns, intercept eliminated; means of ``h x``, and of ``h``."""

    columns: NDArray[np.int64]
    matrix: Floats
    means: Floats
    mass: float


class Slopes(NamedTuple):
    """Derivatives of the mean loss in the coefficients of the working set, about their centre, and in the intercept."""

    columns: Floats
    intercept: float


class Step(NamedTuple):
    """What minimises a model: changes of coefficients and intercept (about the centre), first and last sweep's move."""

    d: Floats
    b: float
    first: float


def gram_pays(task: Task) -> bool:
    """Whether a Gram matrix costs less than the sweeps that it saves."""
    m, n = task.columns.size, task.shard.n_rows
    if m > LARGEST:
        return False
    if not task.shard.source.sparse:
        return m <= DENSE_COLUMNS or m * m * n <= TRIFLE
    return 0.65 * task.stored * task.stored / n <= WORTH * 2.0 * task.stored and m * m <= WORTH * task.stored


def make_gram(task: Task, h: Floats, old: Gram | None = None) -> Gram:
    """Return the Gram matrix with curvatures ``h`` of the rows.

    ``old`` is that of the first columns at the same curvatures: only the rest is made.
    """
    from offbeat.kernels import gram

    m, n = task.columns.size, task.shard.n_rows
    known = 0 if old is None else old.columns.size
    place = np.full(task.shard.source.shape[1], -1, np.int32)
    place[task.columns] = np.arange(m)
    first = task.shard.start

    def added(part: Shard) -> tuple[Floats, Floats]:
        return _added(task, part, h[part.start - first : part.stop - first], place, known)

    made = map_on_threads(added, task.shard)
    matrix, sums = made[0]
    for other in made[1:]:
        matrix += other[0]
        sums += other[1]
    if old is not None:
        matrix[:known, :known], sums[:known] = old.matrix, old.means * n
    mass = float(h.sum()) if task.intercept else 0.0
    squares = np.diag(matrix).copy()
    gram.finish(matrix, known, sums, mass, float(n))
    diagonal = np.einsum("ii->i", matrix)[known:]
    np.maximum(diagonal, np.where(squares[known:] > 0.0, LEAST * squares[known:] / n, 1e-100), out=diagonal)
    return Gram(task.columns, matrix, sums / n, mass / n)


def _added(task: Task, shard: Shard, h: Floats, place: NDArray[np.int32], known: int) -> tuple[Floats, Floats]:
    """Return the sums of some rows: the matrix but for its known rows, and ``sum h x``."""
    from offbeat.kernels import gram

    m, row = task.columns.size, 0
    matrix, sums = np.zeros((m, m)), np.zeros(m)
    for block, _, ranges in shard.blocks(1.0, task.workspace):
        rows = int(ranges[-1, 1])
        if isinstance(block, CSR):
            gram.add_rows(block, row, place, np.empty(0) if task.constant else h, known, matrix, sums)
        else:
            _add_dense(task, block, h[row : row + rows], known, (matrix, sums))
        row += rows
    return matrix, sums


def _add_dense(task: Task, block: Any, h: Floats, known: int, into: tuple[Floats, Floats]) -> None:
    matrix, sums = into
    for a in range(0, len(block), CHUNK):
        part = block[a : a + CHUNK, task.columns].astype(np.float64) - task.center
        weighted = part[:, known:] * h[a : a + CHUNK, None]
        matrix[known:] += weighted.T @ part
        sums[known:] += weighted.sum(axis=0)


def by_gram(
    task: Task, w: Floats, slopes: Slopes, made: Gram, limits: tuple[float, float], *, exact: bool = False
) -> Step:
    """Return the step to the minimum of the model with this Gram matrix."""
    new, slope, begin = w.copy(), slopes.columns.copy(), 0.0
    if made.mass > 0.0:
        begin = -slopes.intercept / made.mass
        slope += slopes.intercept * task.origin + begin * made.means
    first = _solved(task, made.matrix, slope, new, limits, exact=exact)
    d, shift = new - w, begin
    if made.mass > 0.0:
        shift += float(task.origin @ d) - float(made.means @ d) / made.mass
    return Step(d, shift, max(first, abs(begin) * math.sqrt(made.mass)))


def _solved(task: Task, matrix: Floats, slope: Floats, w: Floats, limits: tuple[float, float], *, exact: bool) -> float:
    """Bring ``w`` to the minimum and ``slope`` along; return the largest move of the first sweep.

    Coordinate descent finds which coefficients are away from zero, and creeps where columns are nearly dependent; an
    exact solution for those coefficients does not: it follows where descent has not settled, or in any case.
    """
    from offbeat.kernels import gram

    share, least = limits

    def descend(limits: SweepLimits) -> Sweeps:
        sweeps: Sweeps = gram.descend(task.rule, matrix, slope, w, task.scaling, limits)
        return sweeps

    burst = max(BURST, 2 * int(np.count_nonzero(w)))  # as long as an exact solution takes
    first, last, used = descend(SweepLimits(burst, share, least))
    goal = max(share * first, least)
    for _ in range(BURSTS):
        if task.shard.cancelled():
            raise Cancelled
        if not exact and (used < burst or last <= goal):
            break
        if not _jumped(task, matrix, slope, w):
            _in_turns(task, descend, float(w.size) ** 2, GRAM_SWEEPS, (0.0, goal))
            break
        burst = max(BURST, 2 * int(np.count_nonzero(w)))
        start, last, used = descend(SweepLimits(burst, 0.0, goal))
        exact = exact and start > goal
    return float(first)


def _jumped(task: Task, matrix: Floats, slope: Floats, w: Floats) -> bool:
    """Solve for the coefficients that are not zero, as far as none changes its sign; return whether that was possible.

    Where one would, all go as far as the first that does.
    """
    from offbeat.kernels import gram, separable

    active = np.flatnonzero(w)
    if not 0 < active.size <= EXACT:
        return active.size == 0
    some, scaling = w[active], PenaltyScaling(task.scaling.factor[active], task.scaling.weight[active])
    slopes, bends = np.empty(active.size), np.empty(active.size)
    if not gram.smooth_part(task.rule, some, scaling, slopes, bends):
        return False
    part = matrix[np.ix_(active, active)]
    part[np.diag_indices(active.size)] += bends + JITTER * np.diag(part)
    d = np.linalg.solve(part, -(slope[active] + slopes))
    crossing = np.flatnonzero((some + d) * some <= 0.0)
    length = 1.0
    if crossing.size:
        reach = -some[crossing] / d[crossing]
        length = float(reach.min())
        d *= length
        d[crossing[reach <= length]] = -some[crossing[reach <= length]]
    new = some + d
    if not math.isfinite(separable.value(task.rule, new, *scaling)):
        return False
    w[active] = new
    slope += d @ matrix[active]
    return True


def by_residuals(
    task: Task, at_hand: tuple[Columns, NDArray[np.int64]], w: Floats, rows: tuple[Floats, Floats, Floats],
    limits: tuple[float, float], most: float = math.inf,
) -> tuple[Step, int]:  # fmt: skip
    """Return the step to the minimum of a model, and the number of sweeps, ``most`` or one at most.

    ``at_hand`` are fetched columns and which of them the working set is; ``rows`` are the first two derivatives of the
    loss of each row and scratch memory for curvature times value of each entry.
    """
    from offbeat.kernels import coordinate

    columns, chosen = at_hand
    theta, h, weighted = rows
    m, n, new = chosen.size, float(task.shard.n_rows), w.copy()
    squares, sums = np.empty(m), np.empty(m)
    coordinate.weigh(columns, chosen, np.empty(0) if task.constant else h, weighted, squares, sums)
    mass = float(h.sum()) if task.intercept else 0.0
    begin = -float(theta.sum()) / mass if mass > 0.0 else 0.0
    entries, residual, shift = columns.data if task.constant else weighted, theta.copy(), begin

    def descend(limits: SweepLimits) -> Sweeps:
        nonlocal shift
        sweeps: Sweeps
        model = ColumnModel(squares, sums, mass, n, shift)
        sweeps, shift = coordinate.descend(
            task.rule, columns, entries, chosen, new, residual, model, task.scaling, limits
        )
        return sweeps

    first, sweeps = _in_turns(task, descend, task.stored, int(min(max(most, 1.0), SWEEPS)), limits)
    return Step(new - w, shift, max(first, abs(begin) * math.sqrt(mass / n))), sweeps


def _in_turns(
    task: Task, descend: Callable[[SweepLimits], Sweeps], size: float, most: int, limits: tuple[float, float]
) -> tuple[float, int]:
    """Sweep until the descent settles, and look from time to time whether the fit is cancelled.

    ``descend`` takes the limits of some of the sweeps; each sweep takes about ``size`` multiplications.

    Raises
    ------
    Cancelled
    """
    at_once = int(max(FEWEST, AT_ONCE / max(size, 1.0)))
    share, least = limits
    first, _, sweeps = descend(SweepLimits(min(at_once, most), share, least))
    used = sweeps
    while used == at_once and sweeps < most:
        if task.shard.cancelled():
            raise Cancelled
        used = descend(SweepLimits(min(at_once, most - sweeps), 0.0, max(share * first, least))).count
        sweeps += used
    return float(first), int(sweeps)
