"""A simulated cluster as fast as a real one: how long steps take, from the trace of a real fit."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from offbeat.engines.simulation.models import Measured
from offbeat.errors import DataError
from offbeat.sideways.evaluation import HESSIAN_COLUMNS
from offbeat.sideways.messages import STEP, Row

GRADIENT, HESSIAN = "gradient", "gradient + Hessian"
ENOUGH = 10  # steps of a kind, not to need others


def measured(rows: Iterable[Row], n_rows: int, n_columns: int, share: float | None = None) -> Measured:
    """Return the seconds of a gradient pass over a share of the rows, from the steps of a trace.

    Steps for the gradient alone count; where there are few, so do those with a Hessian, by what a Hessian costs more;
    where there are neither, the commonest kind of step is taken for a unit of work. The first step of each worker and
    kind is left out where there are others: it compiles, and fills caches.

    Parameters
    ----------
    rows : iterable of Row
        A `Trace` is one.
    n_rows, n_columns : int
        Of the data that the trace is of; its shards are taken to be of equal size.
    share : float, optional
        Rows to give the time of; by default those of a shard of the trace.

    Returns
    -------
    model : Measured
        For ``compute`` of `Simulated`, where ``share`` is the number of rows over that of workers.

    Raises
    ------
    DataError
        There is no step in the trace that took time.

    Examples
    --------
    >>> steps = [Row(0.1 * i, 0.1, STEP, worker=0, shard=0, note="gradient") for i in range(20)]
    >>> measured(steps, n_rows=1000, n_columns=10, share=500.0).typical
    0.05
    """
    steps = [row for row in rows if row.kind == STEP and row.duration > 0.0 and math.isfinite(row.duration)]
    if not steps:
        raise DataError("the trace has no steps with a duration to calibrate with: give the trace of a real fit")
    n_shards = 1 + max(row.shard for row in steps)
    works = _works(steps, n_columns)
    scale = (n_rows / n_shards if share is None else share) / (n_rows / n_shards)
    return Measured(tuple(scale * row.duration / works[row.note] for row in _warm(steps) if row.note in works))


def _works(steps: list[Row], n_columns: int) -> dict[str, float]:
    """Return what steps of each kind that is to count cost, in gradient passes."""
    counts = Counter(row.note for row in steps)
    if counts[GRADIENT] >= ENOUGH:
        return {GRADIENT: 1.0}
    known = {GRADIENT: 1.0, HESSIAN: 1.0 + n_columns / HESSIAN_COLUMNS}
    return known if counts[GRADIENT] + counts[HESSIAN] else {counts.most_common(1)[0][0]: 1.0}


def _warm(steps: list[Row]) -> list[Row]:
    """Return the steps without the first of each worker and kind, unless it is the only one."""
    groups: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in steps:
        groups[row.worker, row.note].append(row)
    return [row for group in groups.values() for row in (group[1:] or group)]
