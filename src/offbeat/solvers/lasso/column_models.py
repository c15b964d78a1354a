"""Quadratic models of the loss over a working set. Coordinate descent minimises them, in one of two forms.

With residuals, a sweep reads every column of the working set. With the Gram matrix, a sweep reads no column, but the
matrix must be computed first, which pays if many sweeps follow. The matrix may belong to an earlier point; the gradient
belongs to the current one.

Columns are centred if the data is dense, and uncentred if it is sparse.
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

DAMPING_RANGE = (1e-12, 1.0)  # of the least curvature of a row, over the bound of the loss's second derivative
MAX_SWEEPS = 1000  # by residuals
MAX_GRAM_SWEEPS = 20_000  # by the Gram matrix, if no exact solution is possible
MIN_SWEEPS_PER_SOLVE = 20  # between two exact solutions
MAX_EXACT_SOLVES = 50
MAX_EXACT_COEFFICIENTS = 1000  # nonzero coefficients of an exact solution
RELATIVE_JITTER = 1e-12  # added to the diagonal, in case columns are linearly dependent
MULTIPLICATIONS_PER_CHECK = 1e8  # between two checks for cancellation
MIN_SWEEPS_PER_CHECK = 20  # between two checks: each group of sweeps begins with one over all columns
MAX_GRAM_COLUMNS = 2048
MAX_GRAM_COST = 12.0  # of the Gram matrix of sparse columns, in sweeps by residuals
MAX_DENSE_GRAM_COLUMNS = 800  # each dense column costs a twentieth of a sweep
MAX_CHEAP_MULTIPLICATIONS = 2e8  # a Gram matrix with no more is always computed
MIN_RELATIVE_CURVATURE = 1e-12  # of a centred column, over the mean of its squares
CHUNK_ROWS = 2048  # dense rows that are weighted at a time


class WorkingSetProblem(NamedTuple):
    """A problem restricted to a working set: its columns, their centre and penalty, the rows, their stored entries."""

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
        """Whether the curvature of every row is 1."""
        return bool(self.problem.loss.quadratic) and not self.shard.weight.size

    @property
    def origin(self) -> Floats:
        """The values to subtract from the columns in use to centre them: 0 for dense columns, which are centred."""
        return self.center if self.shard.source.sparse else np.zeros_like(self.center)


class GramMatrix(NamedTuple):
    """Hessian of the mean loss over some columns, with the intercept eliminated; means of ``h x`` and of ``h``."""

    columns: NDArray[np.int64]
    matrix: Floats
    means: Floats
    mass: float


class WorkingSetGradient(NamedTuple):
    """Gradient of the mean loss for the centred columns of the working set, and for the intercept."""

    columns: Floats
    intercept: float


class WorkingSetStep(NamedTuple):
    """Step to the minimum of a model: changes of coefficients and of the intercept; largest move of the first sweep."""

    d: Floats
    b: float
    first: float


def gram_pays(task: WorkingSetProblem) -> bool:
    """Whether the Gram matrix costs less than the sweeps that it saves."""
    m, n = task.columns.size, task.shard.n_rows
    if m > MAX_GRAM_COLUMNS:
        return False
    if not task.shard.source.sparse:
        return m <= MAX_DENSE_GRAM_COLUMNS or m * m * n <= MAX_CHEAP_MULTIPLICATIONS
    return (
        0.65 * task.stored * task.stored / n <= MAX_GRAM_COST * 2.0 * task.stored
        and m * m <= MAX_GRAM_COST * task.stored
    )


def make_gram(task: WorkingSetProblem, h: Floats, old: GramMatrix | None = None) -> GramMatrix:
    """Return the Gram matrix with curvatures ``h`` of the rows.

    ``old`` is the matrix of the first columns at the same curvatures. Only the other entries are computed.
    """
    from offbeat.kernels import gram

    m, n = task.columns.size, task.shard.n_rows
    known = 0 if old is None else old.columns.size
    place = np.full(task.shard.source.shape[1], -1, np.int32)
    place[task.columns] = np.arange(m)
    first = task.shard.start

    def added(part: Shard) -> tuple[Floats, Floats]:
        return _gram_sums(task, part, h[part.start - first : part.stop - first], place, known)

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
    np.maximum(
        diagonal, np.where(squares[known:] > 0.0, MIN_RELATIVE_CURVATURE * squares[known:] / n, 1e-100), out=diagonal
    )
    return GramMatrix(task.columns, matrix, sums / n, mass / n)


def _gram_sums(
    task: WorkingSetProblem, shard: Shard, h: Floats, place: NDArray[np.int32], known: int
) -> tuple[Floats, Floats]:
    """Return sums over some rows: the matrix except for its known rows, and ``sum h x``."""
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


def _add_dense(task: WorkingSetProblem, block: Any, h: Floats, known: int, into: tuple[Floats, Floats]) -> None:
    """Add the sums of a block of dense rows to ``into``."""
    matrix, sums = into
    for a in range(0, len(block), CHUNK_ROWS):
        part = block[a : a + CHUNK_ROWS, task.columns].astype(np.float64) - task.center
        weighted = part[:, known:] * h[a : a + CHUNK_ROWS, None]
        matrix[known:] += weighted.T @ part
        sums[known:] += weighted.sum(axis=0)


def step_by_gram(
    task: WorkingSetProblem,
    w: Floats,
    slopes: WorkingSetGradient,
    made: GramMatrix,
    limits: tuple[float, float],
    *,
    exact: bool = False,
) -> WorkingSetStep:
    """Return the step to the minimum of the model with a given Gram matrix."""
    new, slope, begin = w.copy(), slopes.columns.copy(), 0.0
    if made.mass > 0.0:
        begin = -slopes.intercept / made.mass
        slope += slopes.intercept * task.origin + begin * made.means
    first = _minimise(task, made.matrix, slope, new, limits, exact=exact)
    d, shift = new - w, begin
    if made.mass > 0.0:
        shift += float(task.origin @ d) - float(made.means @ d) / made.mass
    return WorkingSetStep(d, shift, max(first, abs(begin) * math.sqrt(made.mass)))


def _minimise(
    task: WorkingSetProblem, matrix: Floats, slope: Floats, w: Floats, limits: tuple[float, float], *, exact: bool
) -> float:
    """Minimise the model over ``w``, in place, and update ``slope``. Return the largest move of the first sweep.

    Coordinate descent finds the nonzero coefficients, but converges slowly if columns are nearly dependent. So an exact
    solution for these coefficients follows if descent has not converged, or always if ``exact``.
    """
    from offbeat.kernels import gram

    share, least = limits

    def descend(limits: SweepLimits) -> Sweeps:
        sweeps: Sweeps = gram.descend(task.rule, matrix, slope, w, task.scaling, limits)
        return sweeps

    burst = max(MIN_SWEEPS_PER_SOLVE, 2 * int(np.count_nonzero(w)))  # about the cost of an exact solution
    first, last, used = descend(SweepLimits(burst, share, least))
    goal = max(share * first, least)
    for _ in range(MAX_EXACT_SOLVES):
        if task.shard.cancelled():
            raise Cancelled
        if not exact and (used < burst or last <= goal):
            break
        if not _solve_active(task, matrix, slope, w):
            _sweep_with_checks(task, descend, float(w.size) ** 2, MAX_GRAM_SWEEPS, (0.0, goal))
            break
        burst = max(MIN_SWEEPS_PER_SOLVE, 2 * int(np.count_nonzero(w)))
        start, last, used = descend(SweepLimits(burst, 0.0, goal))
        exact = exact and start > goal
    return float(first)


def _solve_active(task: WorkingSetProblem, matrix: Floats, slope: Floats, w: Floats) -> bool:
    """Solve for the nonzero coefficients, up to the first change of a sign. Return whether this was possible."""
    from offbeat.kernels import gram, separable

    active = np.flatnonzero(w)
    if not 0 < active.size <= MAX_EXACT_COEFFICIENTS:
        return active.size == 0
    some, scaling = w[active], PenaltyScaling(task.scaling.factor[active], task.scaling.weight[active])
    slopes, curvatures = np.empty(active.size), np.empty(active.size)
    if not gram.smooth_part(task.rule, some, scaling, slopes, curvatures):
        return False
    part = matrix[np.ix_(active, active)]
    part[np.diag_indices(active.size)] += curvatures + RELATIVE_JITTER * np.diag(part)
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


def step_by_residuals(
    task: WorkingSetProblem, at_hand: tuple[Columns, NDArray[np.int64]], w: Floats, rows: tuple[Floats, Floats, Floats],
    limits: tuple[float, float], most: float = math.inf,
) -> tuple[WorkingSetStep, int]:  # fmt: skip
    """Return the step to the minimum of a model, and the number of sweeps.

    ``at_hand`` are stored columns, and the places of the working set among them. ``rows`` are the first two derivatives
    of the loss of each row, and scratch memory for curvature times value of each entry. ``most`` bounds the sweeps; one
    sweep is always made.
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

    first, sweeps = _sweep_with_checks(task, descend, task.stored, int(min(max(most, 1.0), MAX_SWEEPS)), limits)
    return WorkingSetStep(new - w, shift, max(first, abs(begin) * math.sqrt(mass / n))), sweeps


def _sweep_with_checks(
    task: WorkingSetProblem, descend: Callable[[SweepLimits], Sweeps], size: float, most: int,
    limits: tuple[float, float],
) -> tuple[float, int]:  # fmt: skip
    """Sweep until the descent converges. Check from time to time whether the fit is cancelled.

    ``descend`` takes the limits of some of the sweeps. A sweep takes about ``size`` multiplications.

    Raises
    ------
    Cancelled
    """
    at_once = int(max(MIN_SWEEPS_PER_CHECK, MULTIPLICATIONS_PER_CHECK / max(size, 1.0)))
    share, least = limits
    first, _, sweeps = descend(SweepLimits(min(at_once, most), share, least))
    used = sweeps
    while used == at_once and sweeps < most:
        if task.shard.cancelled():
            raise Cancelled
        used = descend(SweepLimits(min(at_once, most - sweeps), 0.0, max(share * first, least))).count
        sweeps += used
    return float(first), int(sweeps)
