from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from offbeat.diagnostics import Trace, convergence, save_figure, task_stream
from offbeat.errors import DataError
from offbeat.sideways.messages import Row


def test_convergence_has_gap_and_objective_against_time_and_passes(trace: Trace) -> None:
    figure = convergence(trace)
    gap_time, gap_passes, objective_time, objective_passes = figure.axes
    assert gap_time.get_yscale() == "log"
    assert gap_time.get_ylabel() == "relative duality gap"
    assert objective_time.get_xlabel() == "time (ms)"
    assert objective_passes.get_xlabel() == "passes over the data"
    line = gap_time.get_lines()[0]
    assert line.get_ydata()[0] == pytest.approx(1.0)
    assert line.get_xdata()[-1] == pytest.approx(1200.0)
    assert gap_passes.get_lines()[0].get_xdata()[-1] == 6.0
    names = [text.get_text() for text in objective_time.get_legend().get_texts()]
    assert names == ["primal", "dual (lower bound)"]


def test_tolerance_is_drawn(trace: Trace) -> None:
    axes = convergence(trace, x="passes").axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["relative duality gap", "tolerance 1e-06"]
    assert axes.get_ylim()[0] < 1e-6


def test_several_traces_share_axes_and_one_legend(trace: Trace) -> None:
    other = Trace([Row(2.0 * row.time, kind=row.kind, passes=row.passes, gap=row.gap) for row in trace])
    figure = convergence({"newton": trace, "_$x": other}, x="time")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["newton", "\u200a_\\$x", "primal", "dual", "tolerance 1e-06"]
    assert figure.axes[0].get_ylabel() == "distance from the optimum"  # one relative, one absolute
    assert figure.axes[1].get_xlabel() == "time (s)"


def test_an_unknown_axis_is_an_error(trace: Trace) -> None:
    with pytest.raises(DataError, match="'time' or 'passes'"):
        convergence(trace, x="bytes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Row(0.5)],
        [Row(0.5, primal=0.4, dual=0.3, gap=0.1)],
        [Row(0.5, primal=0.4, dual=-math.inf, gap=math.inf)],
        [Row(0.0, primal=0.0, dual=0.0, gap=0.0), Row(0.0, passes=math.nan)],
        [Row(0.1, 0.1, "step", worker=0)],
    ],
)
def test_thin_traces_are_drawn_without_complaint(rows: list[Row], tmp_path: Path) -> None:
    Trace(rows).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    convergence({"a": Trace(rows), "b": Trace()}, x="time").draw_without_rendering()
    task_stream(Trace(rows)).draw_without_rendering()


def test_panels_without_data_say_so() -> None:
    said = [[text.get_text() for text in axes.texts] for axes in convergence(Trace(), x="time").axes]
    assert said == [["No gap was recorded."], ["No objective was recorded."]]


def test_long_curves_are_thinned_to_what_can_be_seen() -> None:
    trace = Trace(Row(0.001 * i, primal=1.0 / (i + 1), gap=1.0 / (i + 1)) for i in range(50_000))
    assert len(convergence(trace, x="time").axes[0].get_lines()[0].get_xdata()) < 3100


def test_pixels_of_a_png(trace: Trace, tmp_path: Path) -> None:
    save_figure(convergence(trace), tmp_path / "a.png")
    header = (tmp_path / "a.png").read_bytes()[16:24]
    assert (int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")) == (1560, 990)


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a", b"\x89PNG")])
def test_format_follows_the_ending(trace: Trace, tmp_path: Path, name: str, start: bytes) -> None:
    trace.plot(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_an_unknown_ending_is_an_error(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.docx: use one of"):
        trace.plot(tmp_path / "a.docx")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_an_os_error(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        trace.plot(tmp_path / "missing" / "a.png")


def test_task_stream_has_a_line_a_worker_and_a_box_a_step(make_rows: Callable[..., list[Row]]) -> None:
    rows = [row._replace(note="gradient" if row.clock % 2 else "hessian") for row in make_rows(updates=4)]
    axes = task_stream(Trace(rows)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["coordinator", "worker 0", "worker 1", "worker 2"]
    assert [(collection.get_label(), len(collection.get_paths())) for collection in axes.collections] == [
        ("gradient", 12), ("hessian", 12), ("update", 4),
    ]  # fmt: skip


def test_task_stream_shows_what_was_moved(make_rows: Callable[..., list[Row]]) -> None:
    rows = [*make_rows(updates=4), Row(0.1, 0.2, "transfer", worker=7, bytes=3_000_000, note="shard")]
    axes = task_stream(Trace(rows)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "worker 7"
    assert [collection.get_label() for collection in axes.collections] == ["step", "transfer", "update"]
    assert len(axes.collections[1].get_paths()) == 1


def test_pyplot_is_left_alone(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it now fails
    convergence(trace)
    task_stream(trace)
