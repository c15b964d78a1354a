from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from offbeat.diagnostics import Trace
from offbeat.diagnostics.series import ROUNDING, labels, objective_range, spans_of, thin, time_unit, updates_of
from offbeat.sideways.messages import Row


def test_gap_is_relative_when_its_scale_is_known() -> None:
    rows = [Row(1.0, gap=0.5), Row(2.0, gap=0.05)]
    updates = updates_of(Trace(rows, {"gap_scale": "2", "tolerance": "0.1"}))
    assert updates.measure.tolist() == [0.25, 0.025]
    assert (updates.label, updates.tolerance) == ("relative duality gap", 0.1)
    updates = updates_of(Trace(rows, {"tolerance": "0.1"}))
    assert updates.measure.tolist() == [0.5, 0.05]
    assert updates.label == "duality gap"
    assert math.isnan(updates.tolerance)  # relative, so it has no place on an axis of absolute gaps


def test_gradient_certificates_are_not_called_gaps() -> None:
    assert updates_of(Trace([Row(1.0, gap=0.5)], {"certificate": "gradient", "gap_scale": "1"})).label == (
        "relative optimality"
    )


def test_residuals_stand_in_for_an_unknown_gap() -> None:
    updates = updates_of(Trace([Row(1.0, primal_residual=0.5, dual_residual=0.7), Row(2.0, primal_residual=0.1)]))
    assert updates.measure.tolist() == [0.7, 0.1]
    assert updates.label == "residual"


def test_zero_and_negative_gaps_are_drawn_at_rounding() -> None:
    trace = Trace([Row(1.0, gap=0.5), Row(2.0, gap=0.0), Row(3.0, gap=-1e-18)], {"gap_scale": "1"})
    assert updates_of(trace).measure.tolist() == [0.5, ROUNDING, ROUNDING]


def test_unknown_and_infinite_values_are_no_points() -> None:
    rows = [Row(1.0), Row(2.0, gap=math.inf, dual=-math.inf, primal=0.5), Row(math.nan, gap=1.0), Row(3.0, gap=0.5)]
    updates = updates_of(Trace(rows, {"gap_scale": "nonsense"}))
    assert updates.points("time", "measure")[0].tolist() == [3.0]
    assert updates.points("time", "primal")[0].tolist() == [2.0]
    assert updates.points("time", "dual")[0].tolist() == []


def test_updates_are_put_in_time_order() -> None:
    updates = updates_of(Trace([Row(2.0, gap=0.1), Row(1.0, gap=0.2)]))
    assert updates.time.tolist() == [1.0, 2.0]
    assert updates.measure.tolist() == [0.2, 0.1]


def test_axis_of_objectives_cuts_a_dual_that_starts_far_below() -> None:
    low, high = objective_range([np.array([1.0, 0.5])], [np.array([-1e6, 0.4])]) or (0.0, 0.0)
    assert -1.0 < low < 0.5
    assert high > 1.0
    assert objective_range([], []) is None
    low, high = objective_range([np.array([0.5])], []) or (0.0, 0.0)
    assert low < 0.5 < high
    low, high = objective_range([], [np.array([0.5])]) or (0.0, 0.0)
    assert low < high


def test_thinning_keeps_ends_and_extremes(rng: np.random.Generator) -> None:
    y = rng.normal(size=10_000)
    y[4321], y[1234] = 50.0, -50.0
    kept = thin(y, 100)
    assert len(kept) <= 102
    assert {0, 1234, 4321, 9999} <= set(kept.tolist())
    assert np.all(np.diff(kept) > 0)


@pytest.mark.parametrize(
    ("seconds", "name"), [(0.0, "µs"), (0.01, "ms"), (30.0, "s"), (1800.0, "min"), (1e5, "h"), (math.nan, "h")]
)
def test_units_of_time(seconds: float, name: str) -> None:
    unit = time_unit(seconds)
    assert unit.name == name
    assert math.isclose(unit.factor, {"µs": 1e6, "ms": 1e3, "s": 1.0, "min": 1 / 60, "h": 1 / 3600}[name])


def test_few_steps_have_a_span_each(trace: Trace) -> None:
    spans = spans_of(trace)
    assert len(spans) == 36
    assert spans.resolution == 0
    assert spans.steps.tolist() == [1] * 36
    first = next(row for row in trace if row.kind == "step")
    assert (spans.start[0], spans.end[0]) == (first.time, first.time + first.duration)


def test_many_steps_are_joined_without_losing_any(make_rows: Callable[..., list[Row]]) -> None:
    trace = Trace(make_rows(updates=400, workers=4, shards=12))
    whole, joined = spans_of(trace), spans_of(trace, limit=300)
    assert len(whole) == 4800
    assert len(joined) <= 300
    assert joined.resolution > 0
    assert joined.steps.sum() == 4800
    assert math.isclose(joined.busy.sum(), whole.busy.sum())
    for worker in range(4):
        mine, all_of_mine = joined.worker == worker, whole.worker == worker
        assert joined.start[mine].min() == whole.start[all_of_mine].min()
        assert joined.end[mine].max() == whole.end[all_of_mine].max()
        assert np.all(joined.start[mine][1:] >= joined.end[mine][:-1])  # no span covers another


def test_joining_keeps_long_pauses() -> None:
    rows = [Row(0.001 * i + (50.0 if i >= 500 else 0.0), 0.001, "step", worker=0) for i in range(1000)]
    spans = spans_of(Trace(rows), limit=20)
    assert len(spans) <= 20
    assert (spans.start[1:] - spans.end[:-1]).max() > 49.0


def test_joining_ends_when_every_worker_has_a_span_of_its_own() -> None:
    rows = [Row(0.001 * (i // 50), 0.001, "step", worker=i % 50) for i in range(500)]
    assert len(spans_of(Trace(rows), limit=5)) == 50


def test_steps_without_length_or_time() -> None:
    assert len(spans_of(Trace([Row(math.nan, 1.0, "step"), Row(0.0, 0.0, "step")] * 10), limit=5)) == 10
    assert len(spans_of(Trace())) == 0


def test_transfers_are_spans_of_their_own() -> None:
    trace = Trace([Row(0.0, 0.3, "step", worker=0), Row(0.1, 0.1, "transfer", worker=0, bytes=9, note="query")])
    spans = spans_of(trace, kind="transfer")
    assert (spans.label.tolist(), spans.bytes.tolist(), len(spans_of(trace))) == (["query"], [9], 1)


def test_labels_are_notes_unless_there_are_too_many() -> None:
    assert labels(np.array(["a", "", "b"], dtype=object)).tolist() == ["a", "step", "b"]
    assert set(labels(np.array([f"n{i}" for i in range(9)], dtype=object))) == {"step"}


def test_spans_of_some_workers(trace: Trace) -> None:
    assert set(spans_of(trace, workers=(0, 2)).worker) == {0, 2}
    assert len(spans_of(trace, workers=())) == 0
