"""What each worker did when: a line for each worker, a box for each step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from offbeat.diagnostics.formatting import size
from offbeat.diagnostics.plots.charts import Axis, Boxes, Chart, Detail, Marks
from offbeat.diagnostics.plots.convergence_charts import MAX_POINTS, time_label
from offbeat.diagnostics.plots.palette import STEPS, TRANSFER, UPDATE
from offbeat.diagnostics.series import Floats, Ints, Spans, Unit, Updates, thin, time_unit

MAX_NAMED_LINES = 30  # with more, only some workers are named
HEIGHTS = (170, 900)  # least and most (pixels)
SHADES = (0.68, 0.95)  # tell one step from the next, on light and dark


def worker_chart(spans: Spans, transfers: Spans, updates: Updates) -> Chart:
    """Steps of the workers, what was moved to them, and the coordinator's updates above.

    Transfers lie along the lower edge of a worker's line, as the worker may take steps meanwhile.

    Parameters
    ----------
    spans : Spans
        Of steps.
    transfers : Spans
    updates : Updates
    """
    moments = updates.time[thin(updates.time, MAX_POINTS)]
    ends = (spans.end, transfers.end, moments)
    end = max(float(each.max(initial=0.0)) for each in ends) or 10.0
    unit = time_unit(end)
    workers = np.unique(np.concatenate([spans.worker, transfers.worker]))
    boxes = [*_steps(spans, workers, unit), *_transfers(transfers, workers, unit)]
    return Chart(
        Axis(time_label({"": updates}, unit), low=0.0, high=end * unit.factor * 1.005),
        _lines(workers),
        boxes=tuple(boxes),
        marks=(Marks(moments * unit.factor, -0.3, 0.3, UPDATE, "update"),) if boxes and len(moments) else (),
        nothing="No step was recorded.",
        height=int(np.clip(90 + 26 * (1 + len(workers)), *HEIGHTS)),
        zoom="x",
    )


def _lines(workers: Ints) -> Axis:
    """Return the axis that names the coordinator and the workers below."""
    count = 1 + len(workers)
    named = range(1, count, count // 25) if count > MAX_NAMED_LINES else range(1, count)
    ticks = ((0.0, "coordinator"), *((float(line), f"worker {workers[line - 1]}") for line in named))
    return Axis(low=count - 0.4, high=-0.6, ticks=ticks, grid=False)


def _line_of(spans: Spans, workers: Ints) -> Floats:
    return 1.0 + np.searchsorted(workers, spans.worker).astype(np.float64)


def _steps(spans: Spans, workers: Ints, unit: Unit) -> list[Boxes]:
    """Return the boxes of each kind of step."""
    line = _line_of(spans, workers)
    made = []
    for index, label in enumerate(sorted(set(spans.label))):
        chosen = spans.label == label
        shade = np.where(np.arange(int(chosen.sum())) % 2, *SHADES)
        if spans.resolution:  # joined steps: the paler, the more of their time was idle
            shade = 0.2 + 0.75 * busy_share(spans)[chosen]
        color, middle = STEPS[index % len(STEPS)], line[chosen]
        left = spans.start[chosen] * unit.factor
        details = step_details(spans, left, unit, chosen, alone="duration")
        right = spans.end[chosen] * unit.factor
        # An outline of their own colour keeps steps visible that are shorter than a point of the screen.
        made.append(Boxes(left, right, middle - 0.38, middle + 0.38, color, label, shade, color, details))
    return made


def busy_share(spans: Spans) -> Floats:
    """Part of each span in which steps were taken, from 0 to 1."""
    share: Floats = np.clip(spans.busy / np.maximum(spans.end - spans.start, 1e-300), 0.0, 1.0)
    return share


def step_details(
    spans: Spans, left: Floats, unit: Unit, chosen: npt.NDArray[np.bool_] | slice = slice(None), alone: str = "busy"
) -> tuple[Detail, ...]:
    """What is said of each step; ``alone`` names the time of a span that is one step."""
    names: Sequence[str] = ("worker", "shard", "clock", "staleness")
    details = [Detail(name, getattr(spans, name)[chosen].astype(np.int32)) for name in names]
    name = "busy" if spans.resolution else alone
    details += [Detail("began", left, unit.name), Detail(name, spans.busy[chosen] * unit.factor, unit.name)]
    if spans.resolution:
        details.append(Detail("steps in this bar", spans.steps[chosen].astype(np.int32)))
    return tuple(details)


def _transfers(transfers: Spans, workers: Ints, unit: Unit) -> list[Boxes]:
    if not len(transfers):
        return []
    line = _line_of(transfers, workers)
    left, right = transfers.start * unit.factor, transfers.end * unit.factor
    details = [
        Detail("worker", transfers.worker.astype(np.int32)),
        Detail("moved here", transfers.label),
        Detail("size", np.array([size(int(each)) for each in transfers.bytes], dtype=object)),
        Detail("began", left, unit.name),
        Detail("took", transfers.busy * unit.factor, unit.name),
    ]
    if transfers.resolution:
        details.append(Detail("transfers in this bar", transfers.steps.astype(np.int32)))
    return [Boxes(left, right, line + 0.24, line + 0.46, TRANSFER, "transfer", 1.0, TRANSFER, tuple(details))]
