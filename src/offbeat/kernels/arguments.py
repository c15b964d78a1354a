"""The records that compiled loops take: arrays and numbers that belong together, each with its name.

Numba compiles named tuples as they are. This module does not import Numba, so that a solver can build a record before
it needs a loop. Rows and targets are records of the data layer, ``CSR(indptr, indices, data)`` and
``Targets(y, weight, offset)``; loops take them as they are. Everywhere, ``n`` is a number of rows, ``k`` of columns and
``m`` of some of the columns. Arrays of length 0 stand for what is absent: weights of one, offsets of zero, no centre.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


class LinearPoint(NamedTuple):
    """A point for rows that are not centred: the predictor of a row is ``x'coef + intercept``.

    ``coef`` has shape (k,), ``intercept`` is a number; with several classes (k, n_classes) and (n_classes,).
    """

    coef: Floats
    intercept: Any


class CentredPoint(NamedTuple):
    """A point for rows that are centred: the predictor of a row is ``(x - center)'coef + intercept``.

    ``unit``, shape (k,), multiplies the columns of the rows that are weighted for a Hessian.
    """

    coef: Floats
    center: Floats
    intercept: float
    unit: Floats


class EvaluationSums(NamedTuple):
    """What an evaluation adds to.

    ``head`` (4,): the sums over rows of ``v l``, ``v l'`` and ``v h``, and the number of rows, where ``h`` is the
    loss's ``dual_direction``. ``gradient`` (k,): ``sum v l' x``. ``repair`` (k,) or (0,): ``sum v h x``, if wanted.
    """

    head: Floats
    gradient: Floats
    repair: Floats


class PenaltyScaling(NamedTuple):
    """How the penalty sees coefficients: that of ``u_j`` is ``r(factor_j u_j; weight_j)``; both of shape (m,)."""

    factor: Floats
    weight: Floats


class SweepLimits(NamedTuple):
    """When coordinate descent stops: after ``max_sweeps``, or at a small move of all coordinates.

    A move is measured as the root of twice the decrease of the objective that it brings. It is small when it is at most
    ``relative`` times the largest move of the first sweep, or at most ``absolute``.
    """

    max_sweeps: int
    relative: float
    absolute: float


class Sweeps(NamedTuple):
    """What coordinate descent did: the largest moves of its first and its last sweep, and the number of sweeps."""

    first: float
    last: float
    count: int


class Columns(NamedTuple):
    """Some columns of the data, compressed by column.

    Column ``c`` has the values ``data[starts[c]:ends[c]]``, in the rows ``rows[starts[c]:ends[c]]``. Dense columns have
    no ``rows`` (length 0): each holds all rows in order.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: NDArray[np.int32]
    data: NDArray[Any]


class ColumnModel(NamedTuple):
    """A quadratic model of the loss, as coordinate descent on columns needs it.

    ``squares`` and ``sums`` (m,): the sums of ``h x^2`` and ``h x`` over each column, where ``h`` is the curvature of a
    row. ``mass`` is the sum of ``h``, 0 without an intercept; ``n`` the number of rows; ``shift`` the change of the
    intercept so far.
    """

    squares: Floats
    sums: Floats
    mass: float
    n: float
    shift: float


class DualScaling(NamedTuple):
    """How the dual variables of rows move the point in dual coordinate ascent.

    A change ``d`` of the dual variable of a row with weight ``v`` moves the point by ``-sigma v d shrink (x, 1)``.

    ``shrink`` (k + 1,), the intercept last; ``threshold`` (k,) or (0,): coefficients are the soft thresholds of the
    point; ``sigma``; ``norms`` (n,): ``sum_j shrink_j x_j^2`` of each row, without the intercept; ``equal``: the
    ``shrink`` of all columns, or 0 where they differ; ``center`` (k,) or (0,): rows are ``x - center``, which needs a
    point without thresholds.
    """

    shrink: Floats
    threshold: Floats
    sigma: float
    norms: Floats
    equal: float
    center: Floats


class DenseState(NamedTuple):
    """What an epoch of SAGA over dense rows changes; each array of shape (k + 1,), the intercept last.

    ``point`` moves; ``average`` is the mean gradient of the table, which stays; ``gradient`` is what the new slopes of
    the rows add up to.
    """

    point: Floats
    average: Floats
    gradient: Floats


class SparseState(NamedTuple):
    """What an epoch of SAGA over sparse rows changes: see `offbeat.kernels.saga_sparse`.

    ``point`` has shape (k,), ``average`` and ``gradient`` (k + 1,); ``average`` is about the centre and ``gradient``
    about zero. ``numbers`` (3,) are the intercept, ``turn`` and ``v.center``.
    """

    point: Floats
    average: Floats
    gradient: Floats
    numbers: Floats


class DenseMetric(NamedTuple):
    """Lengths of steps over dense rows.

    ``center`` (k,); ``rate`` (k + 1,): the step of each coordinate; ``implicit``: whether the slope of a row is taken
    where the step along it ends.
    """

    center: Floats
    rate: Floats
    implicit: bool


class SparseMetric(NamedTuple):
    """Lengths of steps over sparse rows.

    ``rate`` (k + 1,); ``copies`` (k,): rows for each entry of a column, so that a column that occurs in few rows takes
    long steps along its average gradient, and all the fewer of them; ``drift`` (k + 1,): ``rate center``, and its
    product with the centre last; ``center`` (k,); ``center_length``: the squared length of the centre where steps
    along rows are implicit, else -1.
    """

    rate: Floats
    copies: Floats
    drift: Floats
    center: Floats
    center_length: float


class PenaltyStep(NamedTuple):
    """The proximal step of the penalty after each row.

    ``shrink`` (k,): by which a ridge, or no penalty, multiplies; of length 0 for other penalties, which are
    ``r(factor_j u_j; weight_j)``.
    """

    shrink: Floats
    factor: Floats
    weight: Floats


class FixedPoints(NamedTuple):
    """Two points that stay during an epoch, each of shape (k + 1,).

    The average gradient was taken at ``anchor``; the gradient is to be taken at ``point``. For sparse rows, the last
    numbers are the predictors of a row of zeros.
    """

    anchor: Floats
    point: Floats


class RowParts(NamedTuple):
    """An array of rows that lies in several parts, one below the other.

    ``like`` is one of the parts. ``addresses`` (parts,), for CSR (parts, 4): addresses of the arrays of a part, and for
    CSR the number of entries. ``edges`` (parts + 1,): the first row of each part, and the number of all rows.
    """

    like: Any
    addresses: NDArray[np.int64]
    edges: NDArray[np.int64]


class MinibatchColumns(NamedTuple):
    """Columns as mini-batch steps see them.

    ``center``, ``scale``, and ``factor`` and ``weight`` of the penalty, each of shape (k,); ``intercept`` is 1 with an
    intercept, 0 without.
    """

    center: Floats
    scale: Floats
    factor: Floats
    weight: Floats
    intercept: float


class MinibatchPlan(NamedTuple):
    """Which rows the steps take, and how long they are.

    Step ``r`` takes the rows from ``starts[r]``, ``size`` of them; its length is ``first / sqrt(1 + decay (before +
    r))``, where ``before`` is the number of steps taken earlier.
    """

    starts: NDArray[np.int64]
    size: int
    first: float
    decay: float
    before: float


class ScaledColumns(NamedTuple):
    """Columns as ``(x - center) unit``, both of shape (k,); ``intercept`` is 1 with an intercept, 0 without."""

    center: Floats
    unit: Floats
    intercept: float


class Pull(NamedTuple):
    """What a local solve adds to the loss: ``linear.x + rho ||x - center||^2 / 2``, with arrays of shape (k + 1,)."""

    linear: Floats
    center: Floats
    rho: float


class Batches(NamedTuple):
    """Mini-batches of a local solve.

    Batch ``t`` is the rows from ``starts[t]``, ``size`` of them, with a step of ``step / sqrt(t + 1)``. A move of at
    most ``tolerance`` ends the solve.
    """

    starts: NDArray[np.int64]
    size: int
    step: float
    tolerance: float


class CentredColumns(NamedTuple):
    """Columns of a CSR block that are to be stored about their centres, in other units: ``(x - center) unit``.

    ``numbers`` (m,), of the type of the block's ``indices``; ``place`` (k,): which of the m a column is, -1 for none;
    ``center`` and ``unit`` (m,).
    """

    numbers: NDArray[Any]
    place: NDArray[np.int64]
    center: Floats
    unit: Floats
