from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from offbeat.diagnostics import Trace
from offbeat.diagnostics.series import ROUNDING, curves, labels, objective_range, step_bars, thin, time_unit
from offbeat.sideways.messages import Row


def test_gap_is_relative_when_its_scale_is_known() -> None:
    rows = [Row(1.0, gap=0.5), Row(2.0, gap=0.05)]
    curve = curves(Trace(rows, {"gap_scale": "2", "tolerance": "0.1"}))
    assert curve.measure.tolist() == [0.25, 0.025]
    assert (curve.label, curve.tolerance) == ("relative duality gap", 0.1)
    curve = curves(Trace(rows, {"tolerance": "0.1"}))
    assert curve.measure.tolist() == [0.5, 0.05]
    assert curve.label == "duality gap"
    assert math.isnan(curve.tolerance)  # relative, so it has no place on an axis of absolute gaps


def test_gradient_certificates_are_not_called_gaps() -> None:
    assert curves(Trace([Row(1.0, gap=0.5)], {"certificate": "gradient", "gap_scale": "1"})).label == (
        "relative optimality"
    )


def test_residuals_stand_in_for_an_unknown_gap() -> None:
    curve = curves(Trace([Row(1.0, primal_residual=0.5, dual_residual=0.7), Row(2.0, primal_residual=0.1)]))
    assert curve.measure.tolist() == [0.7, 0.1]
    assert curve.label == "residual"


def test_zero_and_negative_gaps_are_drawn_at_rounding() -> None:
    trace = Trace([Row(1.0, gap=0.5), Row(2.0, gap=0.0), Row(3.0, gap=-1e-18)], {"gap_scale": "1"})
    assert curves(trace).measure.tolist() == [0.5, ROUNDING, ROUNDING]


def test_unknown_and_infinite_values_are_no_points() -> None:
    rows = [Row(1.0), Row(2.0, gap=math.inf, dual=-math.inf, primal=0.5), Row(math.nan, gap=1.0), Row(3.0, gap=0.5)]
    curve = curves(Trace(rows, {"gap_scale": "nonsense"}))
    assert curve.points("time", "measure")[0].tolist() == [3.0]
    assert curve.points("time", "primal")[0].tolist() == [2.0]
    assert curve.points("time", "dual")[0].tolist() == []


def test_updates_are_put_in_time_order() -> None:
    curve = curves(Trace([Row(2.0, gap=0.1), Row(1.0, gap=0.2)]))
    assert curve.time.tolist() == [1.0, 2.0]
    assert curve.measure.tolist() == [0.2, 0.1]


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


def test_few_steps_have_a_bar_each(trace: Trace) -> None:
    bars = step_bars(trace)
    assert len(bars) == 36
    assert bars.resolution == 0
    assert bars.steps.tolist() == [1] * 36
    first = next(row for row in trace if row.kind == "step")
    assert (bars.start[0], bars.end[0]) == (first.time, first.time + first.duration)


def test_many_steps_are_joined_without_losing_any(make_rows: Callable[..., list[Row]]) -> None:
    trace = Trace(make_rows(updates=400, workers=4, shards=12))
    whole, joined = step_bars(trace), step_bars(trace, limit=300)
    assert len(whole) == 4800
    assert len(joined) <= 300
    assert joined.resolution > 0
    assert joined.steps.sum() == 4800
    assert math.isclose(joined.busy.sum(), whole.busy.sum())
    for worker in range(4):
        mine, all_of_mine = joined.worker == worker, whole.worker == worker
        assert joined.start[mine].min() == whole.start[all_of_mine].min()
        assert joined.end[mine].max() == whole.end[all_of_mine].max()
        assert np.all(joined.start[mine][1:] >= joined.end[mine][:-1])  # no bar covers another


def test_joining_keeps_long_pauses() -> None:
    rows = [Row(0.001 * i + (50.0 if i >= 500 else 0.0), 0.001, "step", worker=0) for i in range(1000)]
    bars = step_bars(Trace(rows), limit=20)
    assert len(bars) <= 20
    assert (bars.start[1:] - bars.end[:-1]).max() > 49.0


def test_joining_ends_when_every_worker_has_a_bar_of_its_own() -> None:
    rows = [Row(0.001 * (i // 50), 0.001, "step", worker=i % 50) for i in range(500)]
    assert len(step_bars(Trace(rows), limit=5)) == 50


def test_steps_without_length_or_time() -> None:
    assert len(step_bars(Trace([Row(math.nan, 1.0, "step"), Row(0.0, 0.0, "step")] * 10), limit=5)) == 10
    assert len(step_bars(Trace())) == 0


def test_transfers_are_bars_of_their_own() -> None:
    trace = Trace([Row(0.0, 0.3, "step", worker=0), Row(0.1, 0.1, "transfer", worker=0, bytes=9, note="query")])
    bars = step_bars(trace, kind="transfer")
    assert (bars.label.tolist(), bars.bytes.tolist(), len(step_bars(trace))) == (["query"], [9], 1)


def test_labels_are_notes_unless_there_are_too_many() -> None:
    assert labels(np.array(["a", "", "b"], dtype=object)).tolist() == ["a", "step", "b"]
    assert set(labels(np.array([f"n{i}" for i in range(9)], dtype=object))) == {"step"}
